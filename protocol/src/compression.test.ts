import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CompressionError, compress, compressionOf, declaredSize, decompress } from './compression.ts'

const text = Buffer.from('some line of a log\n'.repeat(5000))

test.for(['zstd', 'gzip', 'none'] as const)('%s comes back as it was', (compression) => {
  const packed = compress(text, compression)
  expect(compressionOf(packed)).toBe(compression)
  expect(decompress(packed, text.length).equals(text)).toBe(true)
})

test('every member of a gzip stream and every frame of a zstd stream is read', () => {
  const parts = ['first ', 'second ', 'third'].map((part) => Buffer.from(part))
  expect(decompress(Buffer.concat(parts.map((part) => gzipSync(part))), 100).toString()).toBe('first second third')
  const skippable = Buffer.from('502a4d180300000061626c', 'hex')
  const frames = parts.flatMap((part) => [zstdCompressSync(part), skippable])
  expect(decompress(Buffer.concat(frames), 100).toString()).toBe('first second third')
  expect(decompress(Buffer.concat([skippable, ...frames]), 100).toString()).toBe('first second third')
})

const zeros = Buffer.alloc(8 << 20)
/** A frame that doesn't tell its size, as a stream compressor writes it. */
const unsized = zstdCompressSync(zeros, { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } })
test.for([
  { bomb: 'zstd with its size in the header', bytes: compress(zeros, 'zstd') },
  { bomb: 'zstd without a size', bytes: unsized },
  { bomb: 'gzip', bytes: compress(zeros, 'gzip') },
  { bomb: 'many small zstd frames', bytes: Buffer.concat(Array.from({ length: 100 }, () => compress(text, 'zstd'))) },
])('a bomb stops at the cap: $bomb', ({ bytes }) => {
  expect(() => decompress(bytes, 1 << 20)).toThrow(expect.objectContaining({ reason: 'too_large' }))
})

test('what a frame declares is told before it is decompressed', () => {
  expect(declaredSize(compress(zeros, 'zstd'))).toBe(zeros.length)
  expect(declaredSize(compress(zeros, 'gzip'))).toBe(zeros.length)
  expect(declaredSize(unsized)).toBeUndefined()
  expect(declaredSize(text)).toBeUndefined()
})

test('bytes that are cut or changed give the bytes or a CompressionError, nothing else', () => {
  let corrupt = 0
  const streams = [compress(text, 'zstd'), compress(text, 'gzip'), unsized.subarray(0, 2000)]
  fc.assert(
    fc.property(fc.constantFrom(...streams), fc.nat(), fc.nat(7), fc.nat(), (bytes, at, bit, length) => {
      const broken = Buffer.from(bytes.subarray(0, (length % bytes.length) + 1))
      broken[at % broken.length]! ^= 1 << bit
      try {
        expect(decompress(broken, 1 << 20).length).toBeLessThanOrEqual(1 << 20)
      } catch (error) {
        expect(error).toBeInstanceOf(CompressionError)
        corrupt++
      }
    }),
    { numRuns: 2000 },
  )
  expect(corrupt).toBeGreaterThan(500)
})
