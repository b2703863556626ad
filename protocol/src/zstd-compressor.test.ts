import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ZstdCompressor } from './zstd-compressor.ts'
import type { Context } from './zstd-handle.ts'

/** What Node's own call makes of it. */
const ordinary = (raw: Uint8Array) =>
  zstdCompressSync(raw, { pledgedSrcSize: raw.length, params: { [constants.ZSTD_c_compressionLevel]: 1 } } as never)

const words = ['level=info ', 'msg=request ', 'took=12ms ', '\n']
const text = fc.array(fc.constantFrom(...words), { maxLength: 2000 }).map((all) => Buffer.from(all.join('')))
const noise = fc.uint8Array({ maxLength: 3000 })

test('every frame is that of a context of its own, whatever was compressed before', () => {
  const compressor = new ZstdCompressor(1)
  fc.assert(
    fc.property(fc.array(fc.oneof(text, noise), { maxLength: 6 }), (inputs) => {
      for (const raw of inputs) expect(compressor.compress(raw).equals(ordinary(raw))).toBe(true)
    }),
    { numRuns: 300 },
  )
})

test.for([0, 1, 256 * 1024, (128 << 10) - 1, 128 << 10, 2 << 20, (2 << 20) + 1])(
  '%i bytes that do not compress',
  (length) => {
    const compressor = new ZstdCompressor(1)
    let state = 1
    const raw = Buffer.from(Array.from({ length }, () => (state = (state * 48271) % 0x7fffffff)))
    for (let i = 0; i < 2; i++) expect(zstdDecompressSync(compressor.compress(raw)).equals(raw)).toBe(true)
  },
)

test('what was returned is not written to again', () => {
  const compressor = new ZstdCompressor(1)
  const first = compressor.compress(Buffer.alloc(1000, 'a'))
  compressor.compress(Buffer.alloc(1000, 'b'))
  expect(zstdDecompressSync(first).toString()).toBe('a'.repeat(1000))
})

const handle = { writeSync: () => undefined, close: () => undefined }
const cases: { what: string; open: () => Context | null }[] = [
  { what: 'there is no handle', open: () => null },
  { what: 'the handle does nothing', open: () => ({ handle, state: Uint32Array.of(0, 0) }) },
  { what: 'the handle leaves input', open: () => ({ handle, state: Uint32Array.of(10, 5) }) },
  { what: 'the handle writes no frame', open: () => ({ handle, state: Uint32Array.of(10, 0) }) },
]
test.for(cases)('where $what, the frame is made in the ordinary way', ({ open }) => {
  let opened = 0
  const compressor = new ZstdCompressor(1, () => {
    opened++
    return open()
  })
  const raw = Buffer.from('some line of a log\n'.repeat(500))
  for (let i = 0; i < 3; i++) expect(compressor.compress(raw).equals(ordinary(raw))).toBe(true)
  expect(opened).toBe(1)
})
