import { decompress } from '@tributary/protocol/compression.ts'
import { chunkOf } from '@tributary/protocol/forward.ts'
import { checkPong, HandshakeError, parseHelo, parsePing, refusal } from '@tributary/protocol/handshake.ts'
import { encode } from '@tributary/protocol/msgpack.ts'
import { expect, test } from 'vitest'
import { type ForeignRecord, readForeign } from '../../load/foreign.ts'
import { checkMessage } from '../check-message.ts'
import { readCaptures } from './captures.ts'

const captures = readCaptures()
const secured = captures.filter(({ scenario }) => /sharedkey|user|wrongkey/.test(scenario))
const data = captures.flatMap(({ scenario, client, server }) =>
  client
    .slice(secured.some((one) => one.scenario === scenario) ? 1 : 0)
    .map((message) => ({ scenario, message, server })),
)

test('every message of the captures is read to its last record', () => {
  const scenarios = new Set<string>()
  for (const { scenario, message } of data) {
    const checked = checkMessage(message, 1 << 20)
    if (checked.kind !== 'foreign') throw new Error(`${scenario}: ${checked.kind}`)
    const records: ForeignRecord[] = []
    const malformed = readForeign(checked.message, decompress(checked.message.entries, 1 << 20), (r) => records.push(r))
    expect(malformed, scenario).toBe(0)
    scenarios.add(scenario)
    for (const record of records) {
      expect(record.seconds, scenario).toBeGreaterThan(1_767_000_000)
      if (checked.message.tag === 'cap.otlp') expect(record).toMatchObject(otlpRecord)
      else if (checked.message.tag !== 'fluent.info') {
        expect(record.line.toString(), scenario).toBe('hello')
        expect(record.metadata, scenario).toEqual({ n: '1' })
        expect(record.labels, scenario).toEqual({ tag: checked.message.tag })
      }
    }
    expect(records.length, scenario).toBeGreaterThan(0)
  }
  expect(scenarios.size).toBeGreaterThan(20)
})

const otlpRecord = {
  line: Buffer.from('otlp body'),
  level: 3,
  labels: { service_name: 'cart' },
  metadata: { trace_id: '5b8efff798038103d269b633813fc60c', span_id: 'eee19b7ec3c1b174', k: 'v', scope_name: 'lib' },
}

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
    const users = scenario.includes('user') ? { fluent: 'pw' } : undefined
    expect(refusal(helo, ping, 's3cret', users), scenario).toBeUndefined()
    expect(refusal(helo, ping, 'another', users), scenario).toBe('shared_key mismatch')
    if (users) expect(refusal(helo, ping, 's3cret', { fluent: 'no' }), scenario).toBe('username/password mismatch')
    expect(() => checkPong(server[1]!, helo, ping.salt, ping.hostname, 's3cret'), scenario).not.toThrow()
    expect(() => checkPong(server[1]!, helo, ping.salt, ping.hostname, 'x'), scenario).toThrow(HandshakeError)
    verified++
  }
  expect(verified).toBeGreaterThan(5)
})
