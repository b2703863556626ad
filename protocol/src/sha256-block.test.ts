import { hash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { chunkId } from './chunk.ts'
import { maxBlockInput, sha256OfBlock } from './sha256-block.ts'

test('it is the digest that node:crypto gives, whatever was in the block before', () => {
  const block = Buffer.alloc(64, 0xff)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: maxBlockInput }), (input) => {
      block.set(input)
      expect(sha256OfBlock(block, input.length).toString('hex')).toBe(hash('sha256', input))
    }),
    { numRuns: 1000, examples: [[new Uint8Array(0)], [new Uint8Array(maxBlockInput).fill(255)]] },
  )
})

test('the id of a chunk is made of source and range, as it always was', () => {
  const offset = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, Number.MAX_SAFE_INTEGER))
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), offset, offset, (bytes, first, end) => {
      const source = Buffer.from(bytes)
      const text = Buffer.concat([source, Buffer.from(`:${first}-${end}`)])
      expect(chunkId(source, [first, end])).toBe(hash('sha256', text, 'buffer').toString('base64', 0, 16))
    }),
  )
})
