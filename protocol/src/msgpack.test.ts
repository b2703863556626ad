import { encode as reference } from '@msgpack/msgpack'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decode, EventTime, encode, isTooDeep, MsgpackError, maxDepth, skip, ValueSplitter } from './msgpack.ts'

const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double(),
    fc.string(),
    fc.string({ minLength: 30, maxLength: 400 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('any'), { maxLength: 20 }),
    fc.dictionary(fc.string(), tie('any'), { maxKeys: 18 }),
  ),
})).any

test('a stream of values comes out whole, however it is cut', () => {
  fc.assert(
    fc.property(
      fc.array(value, { maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      (values, cuts) => {
        const encoded = values.map((one) => Buffer.from(reference(one)))
        const stream = Buffer.concat(encoded)
        const splitter = new ValueSplitter(1 << 20)
        const out: Buffer[] = []
        for (let at = 0, i = 0; at < stream.length; i++) {
          const next = at + cuts[i % cuts.length]!
          out.push(...splitter.push(Buffer.from(stream.subarray(at, next))))
          at = next
        }
        expect(out.map((b) => b.toString('hex'))).toEqual(encoded.map((b) => b.toString('hex')))
        expect(splitter.pendingBytes).toBe(0)
      },
    ),
    { numRuns: 300 },
  )
})

test('skip finds the end of every value and says when bytes are missing', () => {
  fc.assert(
    fc.property(value, (one) => {
      const bytes = reference(one)
      expect(skip(bytes, 0, bytes.length)).toBe(bytes.length)
      for (let short = 0; short < bytes.length; short += 7) expect(skip(bytes, 0, short)).toBe(-1)
    }),
  )
})

test('any bytes give values or a typed error, never another failure', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), (pieces) => {
      const splitter = new ValueSplitter(4096)
      try {
        for (const piece of pieces) splitter.push(Buffer.from(piece))
      } catch (error) {
        expect(error).toBeInstanceOf(MsgpackError)
      }
    }),
    { numRuns: 500 },
  )
})

test('a message over the cap is refused when it is announced, before its bytes arrive', () => {
  const splitter = new ValueSplitter(1000)
  expect(() => splitter.push(Buffer.from([0xc6, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3]))).toThrow(MsgpackError)
})

test('where a value ends is found however deep it nests, and whether it can be decoded', () => {
  const nested = (depth: number) => Buffer.concat([Buffer.alloc(depth, 0x92), Buffer.alloc(depth + 1, 1)])
  for (const depth of [maxDepth - 1, maxDepth, maxDepth + 1, 5000]) {
    const splitter = new ValueSplitter(1 << 20)
    const bytes = Buffer.concat([nested(depth), encode('behind')])
    const values = []
    for (let at = 0; at < bytes.length; at += 7) values.push(...splitter.push(bytes.subarray(at, at + 7)))
    expect(values.map((value) => value.toString('hex'))).toEqual([
      nested(depth).toString('hex'),
      encode('behind').toString('hex'),
    ])
    expect(isTooDeep(bytes, 0)).toBe(depth >= maxDepth)
  }
  // Of what is announced nothing has to come.
  expect(isTooDeep(Buffer.from('dfffffffff'.repeat(3), 'hex'), 0)).toBe(false)
})

test('arrays that say they are long take no memory for items that are not there', () => {
  const before = process.memoryUsage.rss()
  expect(() => decode(Buffer.from('dd006500'.repeat(40), 'hex'))).toThrow(MsgpackError)
  expect(process.memoryUsage.rss() - before).toBeLessThan(100e6)
})

test('an EventTime is ext type 0 with two 32-bit integers', () => {
  const bytes = encode(new EventTime(1767225600, 127599061))
  expect(bytes.toString('hex')).toBe('d7006955b900079b01d5')
  expect(decode(bytes)).toEqual(new EventTime(1767225600, 127599061))
})
