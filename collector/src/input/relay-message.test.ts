import { readCaptures } from '@tributary/aggregator/receive/captures/captures.ts'
import { type ForwardMessage, parseMessage } from '@tributary/protocol/forward.ts'
import { encode } from '@tributary/protocol/msgpack.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { relayMessage } from './relay-message.ts'

const own = { chunk: 'ours', tributary: { v: 1 } }

function relay(bytes: Buffer): { before: ForwardMessage; after: ForwardMessage } {
  const before = parseMessage(bytes)!
  return { before, after: parseMessage(Buffer.concat(relayMessage(bytes, before, own)))! }
}

function expectOnlyOptionsChanged({ before, after }: { before: ForwardMessage; after: ForwardMessage }): void {
  expect(after.mode).toBe(before.mode)
  expect(after.tag).toBe(before.tag)
  expect(after.entries.equals(before.entries)).toBe(true)
  expect(after.options).toEqual({ ...before.options, ...own })
}

test('what Fluent Bit and Fluentd really send goes on as it came', () => {
  const modes = new Set<string>()
  for (const { client } of readCaptures()) {
    for (const message of client.filter((one) => !one.includes('PING'))) {
      const relayed = relay(message)
      expectOnlyOptionsChanged(relayed)
      modes.add(relayed.before.mode)
    }
  }
  expect([...modes].sort()).toEqual(['forward', 'message', 'packed'])
})

const record = fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.uint8Array()), {
  noNullPrototype: true,
})
const time = fc.oneof(fc.nat(), fc.double({ noNaN: true }))
const entries = fc.oneof(
  fc.tuple(fc.oneof(fc.uint8Array({ maxLength: 10_000 }), fc.string())),
  fc.tuple(fc.array(fc.tuple(time, record))),
  fc.tuple(time, record),
)
// A message with this key among its options is refused: nobody who means well has it.
const extra = record.filter((one) => !Object.hasOwn(one, '__proto__'))
const options = fc.oneof(
  fc.constant([]),
  fc.constant([null]),
  fc.tuple(fc.record({ size: fc.nat(), chunk: fc.string(), compressed: fc.string() }, { requiredKeys: [] })),
  fc.tuple(fc.record({ chunk: fc.string(), tributary: fc.constant({ v: 1, source: 'forged' }), extra })),
)

test('whatever an application sends, its entries and its tag are the same bytes behind us', () => {
  fc.assert(
    fc.property(fc.string(), entries, options, (tag, middle, option) => {
      expectOnlyOptionsChanged(relay(encode([tag, ...middle, ...option])))
    }),
  )
})

test('a large message is not copied', () => {
  const bytes = encode(['t', Buffer.alloc(100_000)])
  const [, body] = relayMessage(bytes, parseMessage(bytes)!, own)
  expect(body!.buffer).toBe(bytes.buffer)
})
