import fc from 'fast-check'
import { expect, test } from 'vitest'
import { chunkHeader, chunkOptions, ledgerQuery, ledgerQueryOptions } from './chunk.ts'
import { chunkOf, forwardMessage, parseMessage } from './forward.ts'
import { EventTime, encode, MsgpackError } from './msgpack.ts'

const source = Buffer.alloc(16, 7)

test('a chunk of ours comes out as it was put in', () => {
  const header = {
    source,
    range: [10, 5_000_000_000] as const,
    seen: 5_000_000_001,
    rawBytes: 99,
    path: '/var/log/containers/a.log',
    labels: { namespace: 'shop', pod: 'cart-0' },
    metadata: { pod_uid: 'u' },
  }
  const options = chunkOptions(header, 3, 'zstd')
  const parsed = parseMessage(Buffer.concat(forwardMessage('kube.shop', Buffer.from('entries'), options)))!
  expect(parsed).toMatchObject({ mode: 'packed', tag: 'kube.shop', count: 3 })
  expect(parsed.entries.toString()).toBe('entries')
  expect(chunkHeader(parsed.options)).toEqual(header)
  expect(chunkOf(parsed)).toBe(options['chunk'])
})

test('the bytes of a message are those of the specification', () => {
  const [head, body, tail] = forwardMessage('t', Buffer.from([0x90]), { size: 1 })
  expect(Buffer.concat([head!, body!, tail!]).toString('hex')).toBe('93a174c60000000190' + '81a473697a6501')
})

test('a ledger query is a message without entries', () => {
  const message = Buffer.concat(
    forwardMessage('tributary', Buffer.alloc(0), ledgerQueryOptions('q1', [{ source, keep: 3 }])),
  )
  const parsed = parseMessage(message)!
  expect(chunkHeader(parsed.options)).toBeUndefined()
  expect(ledgerQuery(parsed.options)).toEqual([{ source, keep: 3 }])
})

const time = new EventTime(1, 2)
test.for([
  { mode: 'message', value: ['t', time, { log: 'a' }], count: 1 },
  { mode: 'message', value: ['t', 1700000000, { log: 'a' }, { chunk: 'c' }], count: 1 },
  { mode: 'message', value: ['t', 1.5, { log: 'a' }, null], count: 1 },
  { mode: 'forward', value: ['t', [[time, { log: 'a' }]]], count: 1 },
  {
    mode: 'forward',
    value: [
      't',
      [
        [time, {}],
        [time, {}],
      ],
      { chunk: 'c' },
    ],
    count: 2,
  },
  { mode: 'packed', value: ['t', Buffer.from('x'), { size: 4 }], count: 4 },
  { mode: 'packed', value: ['t', 'as str'], count: undefined },
])('$mode: $value', ({ mode, value, count }) => {
  expect(parseMessage(encode(value))).toMatchObject({ mode, tag: 't', count })
})

test('nil is a heartbeat', () => expect(parseMessage(encode(null))).toBeUndefined())

test.for([
  ['a map', { tag: 't' }],
  ['an array of one', ['t']],
  ['an array of five', ['t', time, {}, {}, {}]],
  ['a tag that is a number', [1, time, {}]],
  ['options that are a number', ['t', Buffer.alloc(0), 5]],
  ['a record that is a string', ['t', time, 'record']],
  ['a time and no record', ['t', time]],
  ['values behind the options', ['t', Buffer.alloc(0), {}, {}]],
  ['a text', 'GET / HTTP/1.1'],
])('%s is no Forward message', ([, value]) => {
  expect(() => parseMessage(encode(value))).toThrow(MsgpackError)
})

test('any bytes give a message or a MsgpackError, nothing else', () => {
  const good = encode(['tag', [[time, { log: 'line' }]], { chunk: 'c', size: 1 }])
  let messages = 0
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 3 }), (changes) => {
      const bytes = Buffer.from(good)
      for (const [at, value] of changes) bytes[at] = value
      try {
        parseMessage(bytes)
        messages++
      } catch (error) {
        expect(error).toBeInstanceOf(MsgpackError)
      }
    }),
    { numRuns: 3000 },
  )
  expect(messages).toBeGreaterThan(100)
})
