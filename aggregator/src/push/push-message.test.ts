import { parseMessage } from '@tributary/protocol/forward.ts'
import { encode, MsgpackError } from '@tributary/protocol/msgpack.ts'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodePush, isPush, readPush } from './push-message.ts'
import type { PushStream } from './push-request.ts'

const texts = fc.dictionary(
  fc.string(),
  fc.string({ unit: 'binary' }).map((text) => text.toWellFormed()),
  { maxKeys: 3 },
)
const entry = fc.record({
  seconds: fc.integer({ min: -9_223_372_035, max: 9_223_372_035 }),
  nanoseconds: fc.nat(999_999_999),
  line: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  metadata: fc.option(texts, { nil: undefined }),
})
const streams = fc.array(
  fc.record({ name: fc.constant(''), labels: texts, entries: fc.array(entry, { maxLength: 5 }) }),
)

test('what is written down is read back, bytes and all', () => {
  let binary = 0
  fc.assert(
    fc.property(streams, (pushed: PushStream[]) => {
      const message = parseMessage(encodePush(pushed))!
      expect(isPush(message.options)).toBe(true)
      expect(message.count).toBe(pushed.reduce((sum, { entries }) => sum + entries.length, 0))
      const read = readPush(message.entries)
      expect(plain(read)).toEqual(plain(pushed))
      if (pushed.some(({ entries }) => entries.some(({ line }) => line.toString().includes('\ufffd')))) binary++
    }),
  )
  expect(binary, 'the generator never reached: lines that are not UTF-8').toBeGreaterThan(10)
})

const plain = (all: readonly Pick<PushStream, 'labels' | 'entries'>[]) =>
  all.map(({ labels, entries }) => ({
    labels: Object.entries(labels),
    entries: entries.map((one) => ({
      ...one,
      line: one.line.toString('hex'),
      metadata: one.metadata && Object.entries(one.metadata),
    })),
  }))

test('a push of a newer version is refused, and so is what is none', () => {
  expect(() => isPush({ tributary: { push: 2 } })).toThrow('push version 2, this aggregator reads 1')
  expect(isPush({ tributary: { v: 1 } })).toBe(false)
  expect(isPush({})).toBe(false)
  for (const value of [1, [1], [{}, [[1, 2]]], [{}, [['1', 2, 'x']]], [{ a: 1 }, []], [{}, [[1, 2, 'x', 'y']]]])
    expect(() => readPush(encode(value))).toThrow(MsgpackError)
})
