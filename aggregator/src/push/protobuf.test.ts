import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { readPushRequest } from './protobuf.ts'
import { PushError } from './push-request.ts'
import { encodePushRequest } from './test-push.ts'

test('a request written out by hand', () => {
  // stream { labels: "{}"  entry { timestamp { 1 s, 2 ns } line: ff 0a  metadata { "a": "b" } } hash: 5 }, then a field of the future
  const bytes = Buffer.from('0a1a0a027b7d12120a04080110021202ff0a1a060a01611201621805220178', 'hex')
  expect(readPushRequest(bytes)).toEqual([
    {
      labels: '{}',
      entries: [
        {
          seconds: 1,
          nanoseconds: 2,
          line: Buffer.from([0xff, 0x0a]),
          metadata: Object.assign(Object.create(null), { a: 'b' }),
        },
      ],
    },
  ])
})

test('times up to the end of 64 bits are read', () => {
  const entries = [9_000_000_000_000_000_000n, 0n].map((time) => ({ time, line: '' }))
  const bytes = encodePushRequest([{ labels: '{a="b"}', entries }])
  expect(readPushRequest(bytes)[0]!.entries.map(({ seconds }) => seconds)).toEqual([9_000_000_000, 0])
})

test('whatever the bytes are, they are a request or refused with 400', () => {
  const good = encodePushRequest([
    { labels: '{a="b"}', entries: [{ time: 1n, line: 'x'.repeat(200), metadata: { k: 'v' } }] },
    { labels: '{a="c"}', entries: [{ time: 2n, line: 'y' }] },
  ])
  const damaged = fc
    .array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
    .map((changes) => {
      const bytes = Buffer.from(good)
      for (const [at, value] of changes) bytes[at] = value
      return bytes
    })
  let refused = 0
  const bytes = fc.oneof(
    damaged,
    fc.nat(good.length).map((end) => good.subarray(0, end)),
    fc.uint8Array().map(Buffer.from),
  )
  fc.assert(
    fc.property(bytes, (input) => {
      try {
        readPushRequest(input as Buffer)
      } catch (error) {
        expect(error).toBeInstanceOf(PushError)
        expect((error as PushError).statusCode).toBe(400)
        refused++
      }
    }),
    { numRuns: 3000 },
  )
  expect(refused, 'the generator never reached: broken requests').toBeGreaterThan(300)
})
