import { constants, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CompressionError, compress, decompress } from './compression.ts'
import { ZstdDecompressor } from './zstd-decompressor.ts'
import type { Context } from './zstd-handle.ts'

const words = ['level=info ', 'msg=request ', 'took=12ms ', '\n']
const text = fc.array(fc.constantFrom(...words), { maxLength: 2000 }).map((all) => Buffer.from(all.join('')))
const noise = fc.uint8Array({ maxLength: 3000 })
const checksummed = (raw: Uint8Array) =>
  zstdCompressSync(raw, { pledgedSrcSize: raw.length, params: { [constants.ZSTD_c_checksumFlag]: 1 } } as never)

test('every frame comes back, whatever was decompressed before: also broken ones', () => {
  const decompressor = new ZstdDecompressor()
  let broken = 0
  let whole = 0
  const input = fc.record({
    raw: fc.oneof(text, noise),
    pack: fc.constantFrom((raw: Uint8Array) => compress(raw, 'zstd'), checksummed),
    damage: fc.option(fc.record({ at: fc.nat(), bit: fc.nat(7) })),
  })
  fc.assert(
    fc.property(fc.array(input, { maxLength: 6 }), (inputs) => {
      for (const { raw, pack, damage } of inputs) {
        const frame = Buffer.from(pack(raw))
        if (damage !== null) frame[damage.at % frame.length]! ^= 1 << damage.bit
        expect(outcomeOf(() => decompress(frame, 1 << 20, decompressor))).toEqual(
          outcomeOf(() => decompress(frame, 1 << 20)),
        )
        const content = damage === null ? decompressor.decompress(frame, raw.length) : undefined
        if (damage === null) expect(content?.equals(raw)).toBe(true)
        damage === null ? whole++ : broken++
      }
    }),
    { numRuns: 500 },
  )
  expect(broken).toBeGreaterThan(100)
  expect(whole).toBeGreaterThan(100)
})

/** The bytes, or what went wrong. */
function outcomeOf(run: () => Buffer): unknown {
  try {
    return run().toString('latin1')
  } catch (error) {
    expect(error).toBeInstanceOf(CompressionError)
    return { message: (error as Error).message }
  }
}

test('a broken frame behind one of the same size is not taken for that one', () => {
  const decompressor = new ZstdDecompressor()
  const raw = Buffer.from('some line of a log\n'.repeat(500))
  const frame = checksummed(raw)
  expect(decompressor.decompress(frame, raw.length)?.equals(raw)).toBe(true)
  const broken = Buffer.from(frame)
  broken[broken.length - 1]! ^= 1
  expect(decompressor.decompress(broken, raw.length)).toBeUndefined()
  expect(decompressor.decompress(frame, raw.length)?.equals(raw)).toBe(true)
})

test('what is as large as is kept comes back, and what is larger in the ordinary way', () => {
  const decompressor = new ZstdDecompressor()
  for (const length of [0, 1, 2 << 20, (2 << 20) + 1]) {
    const raw = Buffer.alloc(length, 'abc')
    const frame = compress(raw, 'zstd')
    expect(decompressor.decompress(frame, length) === undefined).toBe(length > 2 << 20)
    expect(decompress(frame, 4 << 20, decompressor).equals(raw)).toBe(true)
  }
})

const handle = { writeSync: () => undefined, close: () => undefined }
const cases: { what: string; open: () => Context | null; opened: number }[] = [
  { what: 'there is no handle', open: () => null, opened: 1 },
  { what: 'the handle does nothing', open: () => ({ handle, state: Uint32Array.of(1, 0) }), opened: 3 },
]
test.for(cases)('where $what, the frame is read in the ordinary way', ({ open, opened: wanted }) => {
  let opened = 0
  const decompressor = new ZstdDecompressor(() => {
    opened++
    return open()
  })
  const raw = Buffer.from('some line of a log\n'.repeat(500))
  for (let i = 0; i < 3; i++) expect(decompress(compress(raw, 'zstd'), 1 << 20, decompressor).equals(raw)).toBe(true)
  expect(opened).toBe(wanted)
})
