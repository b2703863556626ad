import { readFileSync } from 'node:fs'
import { chunkOf } from '@tributary/protocol/forward.ts'
import { checkPong, HandshakeError, parseHelo, parsePing, refusal } from '@tributary/protocol/handshake.ts'
import { encode } from '@tributary/protocol/msgpack.ts'
import { expect, test } from 'vitest'
import { MessageDecoder } from '../../load/decode-message.ts'
import { labelColumns, type RowStream } from '../../store/row-stream.ts'
import { checkMessage } from '../check-message.ts'
import { readCaptures } from './captures.ts'
import { type ExpectedRow, expectedRows } from './expected.ts'

const captures = readCaptures()
const secured = captures.filter(({ scenario }) => /sharedkey|user|wrongkey/.test(scenario))
/** The messages of a scenario, without the handshake. */
function messagesOf(scenario: string): Buffer[] {
  const handshake = secured.some((one) => one.scenario === scenario) ? 1 : 0
  return captures.filter((one) => one.scenario === scenario).flatMap(({ client }) => client.slice(handshake))
}

/** Rows as they go to the store, in the form of {@link ExpectedRow}; `service_name` only where the sender gave it. */
function rowsOf(message: Buffer): ExpectedRow[] {
  const rows: ExpectedRow[] = []
  let stream: RowStream | undefined
  const decoder = new MessageDecoder({
    discoverServiceName: false,
    detectLevel: true,
    detectTrace: true,
    maxEntriesBytes: 1 << 20,
    id: 'here',
  })
  const { malformed, clamped } = decoder.decode(
    { message, accepted: [], start: { segment: 1, offset: 0 } },
    {
      setStream: (next) => {
        stream = next
      },
      add: (seconds, nanoseconds, _offset, level, bytes, start, end, _flags, attributes = {}) => {
        const named = labelColumns.filter((name) => stream![name] !== '').map((name) => [name, stream![name]])
        rows.push({
          time: `${seconds}.${String(nanoseconds).padStart(9, '0')}`,
          line: bytes.toString('utf8', start, end),
          labels: { ...stream!.labels, ...Object.fromEntries(named) },
          metadata: { ...stream!.meta, ...attributes },
          level,
        })
      },
    },
  )
  expect({ malformed, clamped }).toEqual({ malformed: 0, clamped: 0 })
  return rows
}

test.for(Object.keys(expectedRows))('%s becomes the rows that were sent', (scenario) => {
  const messages = messagesOf(scenario)
  for (const message of messages) expect(checkMessage(message, 1 << 20).kind).toBe('foreign')
  expect(messages.flatMap(rowsOf)).toEqual(expectedRows[scenario])
})

test('no capture is left out but that of a refused handshake and that of metrics, whose messages are longer than what was kept', () => {
  const all = new Set(captures.map(({ scenario }) => scenario))
  expect([...all].filter((scenario) => !(scenario in expectedRows)).sort()).toEqual(['fb-metrics', 'fb-wrongkey-to-fb'])
  expect(messagesOf('fb-metrics')).toEqual([])
})

test('the rest of a captured message of metrics would not be taken for records', () => {
  const [, , , hex] = readFileSync(new URL('fb-metrics.hex', import.meta.url), 'latin1')
    .split('\n')[0]!
    .split(' ')
  const beginning = Buffer.from(hex!, 'hex')
  // [tag, bin 16 of 11,332 bytes, options]: the bytes that the capture cut, and the options that its description tells.
  const [tagEnd, length] = [1 + 1 + 'cap.metrics'.length, 11_332]
  expect(beginning[tagEnd]).toBe(0xc5)
  expect(beginning.readUInt16BE(tagEnd + 1)).toBe(length)
  const cut = Buffer.alloc(tagEnd + 3 + length - beginning.length)
  const message = Buffer.concat([beginning, cut, encode({ chunk: 'HB8SjVBk+KaSmzRrKa2FUA==', fluent_signal: 1 })])
  expect(checkMessage(message, 1 << 20)).toEqual({
    kind: 'unsupported',
    chunk: 'HB8SjVBk+KaSmzRrKa2FUA==',
    signal: 'metrics',
  })
})

test('what the peers acknowledged is the chunk that we would acknowledge', () => {
  let acknowledged = 0
  for (const { scenario, client, server } of captures) {
    const acks = server.filter((message) => message[0] === 0x81)
    const chunks = client.flatMap((message) => {
      try {
        const checked = checkMessage(message, 1 << 20)
        return checked.kind === 'foreign' ? (chunkOf(checked.message) ?? []) : []
      } catch {
        return [] // A PING, or a message that the capture cut.
      }
    })
    for (const [i, ack] of acks.entries()) {
      expect(encode({ ack: chunks[i] }).equals(ack), scenario).toBe(true)
      acknowledged++
    }
  }
  expect(acknowledged).toBeGreaterThan(10)
})

test('the digests of every captured handshake are those we compute', () => {
  let verified = 0
  for (const { scenario, client, server } of secured) {
    const helo = parseHelo(server[0]!)
    if (client[0] === undefined) continue
    const ping = parsePing(client[0])
    if (scenario.includes('wrongkey')) {
      expect(refusal(helo, ping, 's3cret'), scenario).toBe('shared_key mismatch')
      continue
    }
    const users = scenario.includes('user') ? new Map([['fluent', 'pw']]) : undefined
    expect(refusal(helo, ping, 's3cret', users), scenario).toBeUndefined()
    expect(refusal(helo, ping, 'another', users), scenario).toBe('shared_key mismatch')
    if (users)
      expect(refusal(helo, ping, 's3cret', new Map([['fluent', 'no']])), scenario).toBe('username/password mismatch')
    expect(() => checkPong(server[1]!, helo, ping.salt, ping.hostname, 's3cret'), scenario).not.toThrow()
    expect(() => checkPong(server[1]!, helo, ping.salt, ping.hostname, 'x'), scenario).toThrow(HandshakeError)
    verified++
  }
  expect(verified).toBeGreaterThan(5)
})
