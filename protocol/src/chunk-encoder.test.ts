import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type ChunkHeader, type Compression, chunkId, chunkOptions } from './chunk.ts'
import { ChunkEncoder } from './chunk-encoder.ts'
import { encode } from './msgpack.ts'

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  // Around the sizes where a str gets another header, in characters of one to three bytes.
  fc
    .tuple(
      fc.constantFrom('a', 'é', '日'),
      fc.constantFrom(31, 32, 255, 256, 65_535, 65_536),
      fc.integer({ min: -1, max: 1 }),
    )
    .map(([character, bytes, more]) => character.repeat(Math.floor(bytes / Buffer.byteLength(character)) + more)),
)
const sizes = [0, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER]
const number = fc.oneof(fc.constantFrom(...sizes), fc.maxSafeNat())
const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes))
const strings = fc.dictionary(fc.string({ maxLength: 8 }), text, { maxKeys: 3 })
const usual = {
  ...{ source: bytes16, range: fc.tuple(number, number), seen: number, rawBytes: number, path: text },
  ...{ labels: strings, metadata: strings },
}
const rare = {
  outcome: fc.constant({ kind: 'lost', reason: 'deleted' } as const),
  leftOut: fc.constant({ rate: 3 }),
  seam: fc.record({ source: bytes16, at: number }),
}
const header: fc.Arbitrary<ChunkHeader> = fc.oneof(
  { weight: 4, arbitrary: fc.record(usual) },
  {
    weight: 1,
    arbitrary: fc.record({ ...usual, ...rare }, { requiredKeys: Object.keys(usual) as (keyof typeof usual)[] }),
  },
)

test('it is what the general encoder makes of the same map, byte for byte', () => {
  fc.assert(
    fc.property(
      header,
      number,
      fc.constantFrom<Compression>('zstd', 'gzip', 'none'),
      text,
      (header, records, compression, session) => {
        const { id, bytes } = new ChunkEncoder(session).encode(header, records, compression)
        expect(bytes.equals(encode(chunkOptions({ ...header, session }, records, compression)))).toBe(true)
        expect(id).toBe(chunkId(header.source, header.range))
      },
    ),
    { numRuns: 500 },
  )
})

test('other labels beside the same metadata are not taken for those before', () => {
  const encoder = new ChunkEncoder('s')
  const common = { source: Buffer.alloc(16, 1), range: [0, 10], seen: 10, rawBytes: 9, path: '/x' } as const
  const metadata = { pod_uid: 'u' }
  for (const app of ['a', 'b', 'a']) {
    const header = { ...common, labels: { app }, metadata }
    const expected = encode(chunkOptions({ ...header, session: 's' }, 1, 'zstd'))
    expect(encoder.encode(header, 1, 'zstd').bytes.equals(expected)).toBe(true)
  }
})
