/** Bytes for decoders: sound ones, and what becomes of them when they are cut, spliced, changed or repeated. */
import fc from 'fast-check'

type Change = (bytes: Buffer) => Buffer

/** Lengths and counts are where decoders go wrong: values at the edges of what their fields hold. */
const edges = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff]

const place = fc.nat(1 << 16)
const set: fc.Arbitrary<Change> = fc.tuple(place, fc.nat(255)).map(([at, value]) => (bytes) => {
  if (bytes.length > 0) bytes[at % bytes.length] = value
  return bytes
})
const flip: fc.Arbitrary<Change> = fc.tuple(place, fc.nat(7)).map(([at, bit]) => (bytes) => {
  if (bytes.length > 0) bytes[at % bytes.length]! ^= 1 << bit
  return bytes
})
const edge: fc.Arbitrary<Change> = fc
  .tuple(place, fc.constantFrom(...edges), fc.boolean())
  .map(([at, value, big]) => (bytes) => {
    if (bytes.length < 4) return bytes
    const offset = at % (bytes.length - 3)
    if (big) bytes.writeUInt32BE(value, offset)
    else bytes.writeUInt32LE(value, offset)
    return bytes
  })
const cut: fc.Arbitrary<Change> = place.map((at) => (bytes) => bytes.subarray(0, at % (bytes.length + 1)))
const remove: fc.Arbitrary<Change> = fc.tuple(place, fc.nat(16)).map(([at, length]) => (bytes) => {
  const from = at % (bytes.length + 1)
  return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + length)])
})
const insert: fc.Arbitrary<Change> = fc.tuple(place, fc.uint8Array({ maxLength: 16 })).map(([at, more]) => (bytes) => {
  const from = at % (bytes.length + 1)
  return Buffer.concat([bytes.subarray(0, from), more, bytes.subarray(from)])
})
const repeat: fc.Arbitrary<Change> = fc
  .tuple(place, fc.nat(64), fc.integer({ min: 2, max: 40 }))
  .map(([at, length, times]) => (bytes) => {
    const from = at % (bytes.length + 1)
    const piece = bytes.subarray(from, from + length)
    return Buffer.concat([
      bytes.subarray(0, from),
      ...Array.from({ length: times }, () => piece),
      bytes.subarray(from + length),
    ])
  })

/** Changed seeds for the most part; seeds as they are, two halves of different ones, and noise for the rest. */
export function bytesLike(seeds: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const seed = fc.constantFrom(...seeds)
  const changed = fc
    .tuple(seed, fc.array(fc.oneof(set, flip, edge, cut, remove, insert, repeat), { minLength: 1, maxLength: 6 }))
    .map(([bytes, changes]) => changes.reduce<Buffer>((changing, change) => change(changing), Buffer.from(bytes)))
  const spliced = fc
    .tuple(seed, seed, place, place)
    .map(([a, b, i, j]) => Buffer.concat([a.subarray(0, i % (a.length + 1)), b.subarray(j % (b.length + 1))]))
  const noise = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
  return fc.oneof(
    { arbitrary: changed, weight: 12 },
    { arbitrary: spliced, weight: 3 },
    { arbitrary: noise, weight: 2 },
    { arbitrary: seed.map((bytes) => Buffer.from(bytes)), weight: 2 },
  )
}

/** The same for decoders of text: bytes that are no UTF-8 become U+FFFD, as they do wherever text comes in. */
export function textLike(seeds: readonly string[]): fc.Arbitrary<string> {
  const words = fc.array(
    fc.oneof(fc.constantFrom(...seeds.flatMap((text) => text.match(/\w+|\W/g) ?? [])), fc.string({ maxLength: 4 })),
    {
      maxLength: 30,
    },
  )
  return fc.oneof(
    { arbitrary: bytesLike(seeds.map((text) => Buffer.from(text))).map((bytes) => bytes.toString()), weight: 3 },
    { arbitrary: words.map((list) => list.join('')), weight: 2 },
    { arbitrary: fc.string({ unit: 'binary', maxLength: 100 }), weight: 1 },
  )
}
