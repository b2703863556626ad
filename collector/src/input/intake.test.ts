import { readCaptures } from '@tributary/aggregator/receive/captures/captures.ts'
import { chunkHeader } from '@tributary/protocol/chunk.ts'
import { compress } from '@tributary/protocol/compression.ts'
import { chunkOf, type ForwardMessage, parseMessage } from '@tributary/protocol/forward.ts'
import { decode, encode } from '@tributary/protocol/msgpack.ts'
import { expect, test } from 'vitest'
import { CollectorMetrics } from '../metrics.ts'
import { Intake } from './intake.ts'
import { Peers } from './peers.ts'

interface Relayed {
  readonly to: string
  readonly id: string
  readonly message: ForwardMessage
  ack(): void
}

function start(format: 'tributary' | 'fluentd' = 'tributary') {
  const relayed: Relayed[] = []
  const unsupported: string[] = []
  const leftOut: number[] = []
  const courier = {
    open: true,
    relayedBytes: 0,
    relayRoute: (preferred: number) => String(preferred % 2),
    relay(to: string, id: string, _source: Buffer, pieces: readonly Buffer[]) {
      const { promise, resolve } = Promise.withResolvers<void>()
      relayed.push({ to, id, message: parseMessage(Buffer.concat(pieces))!, ack: resolve })
      return promise
    },
  }
  const metrics = new CollectorMetrics()
  const peers = new Peers({ cluster: 'c', node: 'n', describe: () => expect.unreachable(), directory: undefined })
  const intake = new Intake({
    courier,
    peers,
    format,
    metrics,
    onUnsupported: (signal) => unsupported.push(signal),
    onLeftOut: (entries) => leftOut.push(entries),
  })
  const from = { address: '127.0.0.1', user: undefined, closed: false, ended: false, hold: () => {} }
  /** The answer; `waiting` while there is none, `none` when there won't be any. */
  const send = async (value: unknown, origin = from) => {
    const answer = intake.accept(Buffer.isBuffer(value) ? value : encode(value), origin)
    if (answer === undefined) return 'none'
    return await Promise.race([
      answer.then((bytes) => decode(bytes!)),
      new Promise((resolve) => setImmediate(() => resolve('waiting'))),
    ])
  }
  const counted = async (name: string) => (await metrics.registry.getSingleMetric(name)!.get()).values[0]?.value ?? 0
  return { relayed, unsupported, leftOut, intake, send, counted, from }
}

test('an application is acknowledged under its own chunk id, and not before the aggregator has it', async () => {
  const { relayed, intake, from } = start()
  const answer = intake.accept(encode(['app', 5, { log: 'x' }, { chunk: 'theirs' }]), from)!
  let answered = false
  void answer.then(() => {
    answered = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  expect(answered).toBe(false)
  expect(chunkOf(relayed[0]!.message)).toBe(relayed[0]!.id)
  expect(relayed[0]!.id).not.toBe('theirs')
  relayed[0]!.ack()
  expect(decode((await answer)!)).toEqual({ ack: 'theirs' })
})

test('every message that Fluent Bit and Fluentd really send is passed on with who sent it, and answered if it asks', async () => {
  const { relayed, unsupported, send } = start()
  let sent = 0
  for (const { scenario, client } of readCaptures()) {
    for (const message of client.filter((one) => !one.includes('PING'))) {
      const asks = chunkOf(parseMessage(message)!) !== undefined
      const answer = await send(message)
      if (scenario === 'fb-metrics') continue
      expect(answer === 'none', scenario).toBe(!asks)
      sent++
    }
  }
  expect(sent).toBeGreaterThan(20)
  // The captures of one chunk towards different peers hold the same bytes.
  expect(relayed.length).toBeGreaterThan(15)
  expect(new Set(relayed.map(({ id }) => id)).size).toBe(relayed.length)
  expect(unsupported.every((signal) => signal === 'metrics')).toBe(true)
  for (const { message } of relayed)
    expect(chunkHeader(message.options)).toMatchObject({ relayed: true, labels: { cluster: 'c', node: 'n' } })
})

test('what one sends through one aggregator is one source without a gap, and connections take turns', async () => {
  const { relayed, send } = start()
  const connections = Array.from({ length: 4 }, () => ({
    address: '127.0.0.1',
    user: undefined,
    closed: false,
    ended: false,
    hold: () => {},
  }))
  for (let i = 0; i < 20; i++) await send(['app', i, { log: 'x'.repeat(i) }], connections[i % 4])
  for (const to of ['0', '1']) {
    const headers = relayed.filter((one) => one.to === to).map(({ message }) => chunkHeader(message.options)!)
    expect(headers).toHaveLength(10)
    expect(new Set(headers.map(({ source }) => source.toString('hex'))).size).toBe(1)
    headers.reduce((end, { range }) => {
      expect(range[0]).toBe(end)
      return range[1]
    }, 0)
  }
})

test.for([
  { what: 'a heartbeat', value: null, answer: 'none' },
  { what: 'a message of no entries', value: ['app', [], { chunk: 'c' }], answer: { ack: 'c' } },
  { what: 'a packed message of no bytes', value: ['app', Buffer.alloc(0), { chunk: 'c' }], answer: { ack: 'c' } },
  { what: 'metrics', value: ['app', Buffer.of(0x80), { chunk: 'c', fluent_signal: 1 }], answer: { ack: 'c' } },
])('$what is answered and not passed on', async ({ value, answer }) => {
  const { relayed, send } = start()
  expect(await send(value)).toEqual(answer)
  expect(relayed).toEqual([])
})

/** A zstd frame header that promises 1 GiB. */
const bomb = Buffer.from('28b52ffda00000004000', 'hex')
test.for([
  { what: 'no message', value: 'GET / HTTP/1.1', problem: 'not_forward', fatal: true },
  { what: 'an array of anything', value: [1, 2, 3], problem: 'not_forward', fatal: false },
  { what: 'a record that is no map', value: ['t', 5, 'x'], problem: 'not_forward', fatal: false },
  { what: 'a time that is no time', value: ['t', [['x', {}]]], problem: 'bad_entries', fatal: false },
  { what: 'an entry that is no pair', value: ['t', Buffer.of(0x91, 0x01)], problem: 'bad_entries', fatal: false },
  { what: 'an entry that is cut', value: ['t', Buffer.of(0x92, 0x01, 0x81)], problem: 'bad_entries', fatal: false },
  { what: 'not gzip', value: ['t', Buffer.of(1), { compressed: 'gzip' }], problem: 'bad_entries', fatal: false },
  { what: 'a bomb', value: ['t', bomb, { compressed: 'zstd', chunk: 'c' }], problem: 'zip_bomb', fatal: false },
])('$what is refused as $problem and never reaches an aggregator', async ({ value, problem, fatal }) => {
  const { relayed, send } = start()
  await expect(send(value)).rejects.toMatchObject({ problem, fatal })
  expect(relayed).toEqual([])
})

test('an application can not speak in the name of a log file, nor ask for a ledger', async () => {
  const { relayed, send } = start()
  const forged = {
    v: 1,
    source: Buffer.alloc(16, 7),
    first: 0,
    end: 10,
    seen: 10,
    labels: { namespace: 'kube-system' },
  }
  await send(['t', 5, { log: 'x' }, { tributary: forged }])
  await send(['t', 5, { log: 'x' }, { chunk: 'q', tributary: { v: 1, query: Buffer.alloc(16) } }])
  for (const { message } of relayed) {
    const header = chunkHeader(message.options)!
    expect(header).toMatchObject({ relayed: true, labels: { cluster: 'c', node: 'n' } })
    expect(header.labels).not.toHaveProperty('namespace')
  }
  expect(relayed).toHaveLength(2)
})

test('towards Fluentd a message has an id of ours and nothing else', async () => {
  const { relayed, send } = start('fluentd')
  const entries = compress(encode([5, { log: 'x' }]), 'gzip')
  await send(['app', entries, { size: 1, compressed: 'gzip', chunk: 'theirs' }])
  expect(relayed[0]!.message).toMatchObject({ tag: 'app', options: { size: 1, compressed: 'gzip' } })
  expect(Object.keys(relayed[0]!.message.options).sort()).toEqual(['chunk', 'compressed', 'size'])
})

test('a message that comes again on another connection is passed on once, and both are answered', async () => {
  const { relayed, send, counted } = start()
  const message = ['app', 5, { log: 'x' }, { chunk: 'c' }]
  const first = { address: '10.0.0.1', user: undefined, closed: false, ended: false, hold: () => {} }
  expect(await send(message, first)).toBe('waiting')
  first.closed = true
  expect(await send(message)).toBe('waiting')
  expect(relayed).toHaveLength(1)
  relayed[0]!.ack()
  await new Promise((resolve) => setImmediate(resolve))
  expect(await counted('collector_input_repeated_messages_total')).toBe(1)
  expect(await counted('collector_input_acked_messages_total')).toBe(1)
})

/** A record with a value so deep in it that no aggregator decodes it. */
function deep(depth: number): unknown {
  let value: unknown = 'x'
  for (let i = 0; i < depth; i++) value = { a: value }
  return { log: value }
}

test('an entry that nests too deep is left out and counted, and what was sent with it goes on', async () => {
  const { relayed, leftOut, send } = start()
  const entries = [1, 2, 3].map((n) => [n, n === 2 ? deep(80) : { log: `line ${n}` }])
  expect(await send(['app', entries, { chunk: 'theirs', size: 3 }])).toBe('waiting')
  expect(leftOut).toEqual([1])
  const { message } = relayed[0]!
  expect(message).toMatchObject({ tag: 'app', count: 2, options: { size: 2 } })
  expect(message.entries).toEqual(Buffer.concat([entries[0], entries[2]].map((entry) => encode(entry))))
})

test('a message of nothing but such an entry is acknowledged, so that it does not come for ever', async () => {
  const { relayed, leftOut, send } = start()
  expect(await send(['app', 1, deep(80), { chunk: 'theirs' }])).toEqual({ ack: 'theirs' })
  expect(await send(['app', 1, deep(80)])).toBe('none')
  expect(await send(['app', [[1, deep(80)]], { chunk: 'list' }])).toEqual({ ack: 'list' })
  expect([relayed.length, leftOut]).toEqual([0, [1, 1, 1]])
})
