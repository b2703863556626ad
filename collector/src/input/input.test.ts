import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, connect as dial, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as dialTls } from 'node:tls'
import { FluentClient } from '@fluent-org/logger'
import { TestSender } from '@tributary/aggregator/receive/test-sender.ts'
import { chunkHeader } from '@tributary/protocol/chunk.ts'
import { compress } from '@tributary/protocol/compression.ts'
import { encodePing, parseHelo } from '@tributary/protocol/handshake.ts'
import { decode, EventTime, encode, ValueSplitter } from '@tributary/protocol/msgpack.ts'
import fc from 'fast-check'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Sink, type SinkOptions } from '../../../test/harness/sink.ts'
import { type RunningCollector, startCollector } from '../collector.ts'
import { collectorConfig } from '../config.ts'
import { ByteBudget } from '../forward/budget.ts'
import { Courier } from '../forward/courier.ts'
import { Sender } from '../forward/sender.ts'
import type { PodFacts } from '../metadata/pod-facts.ts'
import { CollectorMetrics } from '../metrics.ts'
import { startInput } from './input.ts'

let root: string
let sink: Sink
let sinkOpen = false
let senders: TestSender[]
const running = new Set<RunningCollector>()

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tributary-input-'))
  mkdirSync(join(root, 'logs'))
  senders = []
})

afterEach(async () => {
  for (const sender of senders) sender.close()
  await Promise.all([...running].map((one) => stop(one)))
  if (sinkOpen) await sink[Symbol.asyncDispose]()
  sinkOpen = false
  rmSync(root, { recursive: true, force: true })
})

async function stop(collector: RunningCollector): Promise<void> {
  if (running.delete(collector)) await collector.close()
}

interface Options {
  readonly sink?: SinkOptions
  readonly input?: Record<string, unknown>
  readonly [section: string]: unknown
}

/** A collector that sends to the sink, which is there for the whole test. */
async function start({ sink: sinkOptions, input, ...overrides }: Options = {}): Promise<RunningCollector> {
  if (!sinkOpen) sink = await Sink.listen({ keep: true, ...sinkOptions })
  sinkOpen = true
  const config = collectorConfig.parse({
    node: 'n1',
    stateDir: join(root, 'state'),
    logs: { path: join(root, 'logs'), scanInterval: '50ms', flushInterval: '20ms' },
    aggregator: { address: sink.address, ackTimeout: '300ms' },
    http: { listen: '127.0.0.1', port: 0 },
    shutdown: { drain: '0s' },
    input: { forward: { enabled: true, port: 0, ...input } },
    ...overrides,
  })
  const collector = await startCollector(config, { log: pino({ level: 'silent' }) })
  running.add(collector)
  return collector
}

async function client(collector: RunningCollector): Promise<TestSender> {
  const sender = await TestSender.connect(collector.inputPort!)
  senders.push(sender)
  return sender
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 15_000; !(await what()); await sleep(10))
    if (Date.now() > end) throw new Error('never came true')
}

async function counted(collector: RunningCollector, name: string): Promise<number> {
  const { values } = await collector.metrics.registry.getSingleMetric(`collector_input_${name}`)!.get()
  return values.reduce((sum, { value }) => sum + value, 0)
}

/** One packed message of one record. */
const message = (line: string, chunk?: string) =>
  encode(['app', encode([new EventTime(5, 6), { log: line }]), chunk === undefined ? {} : { chunk }])
/** The lines that reached the sink, of packed messages of one record. */
const lines = () =>
  sink.relayed.map(({ message: { entries } }) => (decode(entries) as [unknown, { log: string }])[1].log)
const numbers = (n: number) => Array.from({ length: n }, (_, i) => String(i))

test('an application is acknowledged when the aggregator has acknowledged', async () => {
  let away = true
  const collector = await start({ sink: { fault: () => (away ? 'drop' : undefined) } })
  const sender = await client(collector)
  let acked = false
  const answer = sender.send(message('x', 'c')).then((ack) => {
    acked = true
    return ack
  })
  await until(() => sink.chunks >= 2)
  expect(acked).toBe(false)
  away = false
  expect(await answer).toEqual({ ack: 'c' })
  expect(lines()).toEqual(['x'])
  expect(chunkHeader(sink.relayed[0]!.message.options)!.labels).toEqual({ cluster: 'default', node: 'n1' })
})

test('however the bytes are split, every message arrives once, in order, and is answered', async () => {
  const collector = await start()
  let round = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ length: fc.nat(5000), asks: fc.boolean(), packed: fc.boolean() }), { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 50 }),
      async (shapes, cuts) => {
        const id = round++
        const texts = shapes.map(({ length }, i) => `${id}-${i}-${'x'.repeat(length)}`)
        const bytes = Buffer.concat(
          shapes.map(({ asks, packed }, i) => {
            const options = asks ? { chunk: `${id}-${i}` } : {}
            const entry = [5, { log: texts[i] }]
            return encode(packed ? ['app', encode(entry), options] : ['app', ...entry, options])
          }),
        )
        const socket = dial(collector.inputPort!, '127.0.0.1')
        const answers = collect(socket)
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const end = at + cuts[i % cuts.length]!
          socket.write(bytes.subarray(at, end))
          at = end
          if (i % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
        }
        const asked = shapes.flatMap(({ asks }, i) => (asks ? [{ ack: `${id}-${i}` }] : []))
        const arrived = () => sink.relayed.filter((one) => linesOf(one.message.entries).startsWith(`${id}-`))
        await until(() => answers.length >= asked.length && arrived().length >= shapes.length)
        expect(answers).toEqual(asked)
        expect(arrived().map((one) => linesOf(one.message.entries))).toEqual(texts)
        socket.destroy()
      },
    ),
    { numRuns: 30 },
  )
})

/** The line of a message of one record, packed or not. */
function linesOf(entries: Buffer): string {
  const packed = entries[0] === 0x92
  const [, record] = decode(packed ? entries : Buffer.concat([Buffer.of(0x92), entries])) as [number, { log: string }]
  return record.log
}

function collect(socket: Socket): unknown[] {
  const answers: unknown[] = []
  const splitter = new ValueSplitter(1 << 20)
  socket.on('data', (data) => answers.push(...splitter.push(data).map((value) => decode(value))))
  socket.on('error', () => {})
  return answers
}

test('all four modes of a real logger arrive, acknowledged', async () => {
  const collector = await start({ input: { sharedKey: 'secret', users: { app: 'password' } } })
  for (const eventMode of ['Message', 'Forward', 'PackedForward', 'CompressedPackedForward'] as const) {
    const logger = new FluentClient('app', {
      eventMode,
      ack: { ackTimeout: 15_000 },
      socket: { host: '127.0.0.1', port: collector.inputPort! },
      security: { clientHostname: 'client', sharedKey: 'secret', username: 'app', password: 'password' },
    })
    await logger.emit('test', { log: eventMode })
    await logger.disconnect()
  }
  expect(sink.relayed.map(({ message: { mode, tag } }) => [mode, tag])).toEqual(
    ['message', 'forward', 'packed', 'packed'].map((mode) => [mode, 'app.test']),
  )
  expect(await counted(collector, 'acked_messages_total')).toBe(4)
})

test('what a pod sends carries its name', async () => {
  sink = await Sink.listen()
  sinkOpen = true
  const log = pino({ level: 'silent' })
  const metrics = new CollectorMetrics()
  const options = { address: sink.address, credentials: { hostname: 'n1' }, ackTimeout: 1000, log, metrics }
  await using senders = new AsyncDisposableStack()
  const sender = senders.adopt(new Sender(options), (one) => one.close())
  const budget = new ByteBudget(1 << 20)
  const courier = new Courier({
    senders: [sender],
    format: 'tributary',
    compression: 'none',
    window: 8,
    budget,
    metrics,
  })
  const config = collectorConfig.parse({
    node: 'n1',
    aggregator: { address: sink.address },
    input: { forward: { enabled: true, port: 0 } },
  })
  const pod: PodFacts = {
    uid: 'u',
    namespace: 'shop',
    name: 'cart-0',
    labels: { app: 'cart' },
    annotations: {},
    namespaceLabels: {},
    addresses: ['127.0.0.1'],
    workload: undefined,
    containers: { web: { image: 'cart:1', imageId: undefined } },
  }
  const directory = { findByAddress: (address: string) => (pod.addresses.includes(address) ? pod : undefined) }
  const input = await startInput(config, { courier, directory, log, metrics })
  const application = await TestSender.connect(input.port)
  await application.send(message('x', 'c'))
  expect(chunkHeader(sink.relayed[0]!.message.options)).toMatchObject({
    labels: { cluster: 'default', node: 'n1', namespace: 'shop', pod: 'cart-0', container: 'web', app: 'cart' },
    metadata: { pod_uid: 'u', image: 'cart:1' },
  })
  application.close()
  await input.close(AbortSignal.timeout(5000))
})

test('a UDP heartbeat is answered with one byte 0', async () => {
  const collector = await start()
  const socket = createSocket('udp4')
  socket.send(Buffer.of(0), collector.inputPort!, '127.0.0.1')
  const [answer] = (await once(socket, 'message')) as [Buffer]
  expect(answer).toEqual(Buffer.of(0))
  socket.close()
  expect(await counted(collector, 'heartbeats_total')).toBe(1)
})

test('while the aggregator is away memory is bounded and applications wait; then all arrives once', async () => {
  let away = true
  const limit = 4 * 1024 * 1024
  const collector = await start({
    sink: { fault: () => (away ? 'drop' : undefined) },
    limits: { inFlightBytes: limit },
  })
  const padding = 'x'.repeat(10_000)
  const total = 1000
  const sockets = Array.from({ length: 4 }, () => dial(collector.inputPort!, '127.0.0.1'))
  const answers = sockets.map((socket) => collect(socket))
  for (const i of numbers(total)) sockets[Number(i) % 4]!.write(message(`${i} ${padding}`, i))
  await until(async () => (await counted(collector, 'in_flight_bytes')) > limit / 2)
  // Nothing more comes in, however long the senders push.
  const taken = await counted(collector, 'messages_total')
  await until(() => sink.chunks > taken)
  expect(await counted(collector, 'messages_total')).toBe(taken)
  expect(await counted(collector, 'in_flight_bytes')).toBeLessThan(limit / 2 + 4 * 64 * 1024)
  expect(taken).toBeLessThan(total / 3)
  away = false
  await until(() => answers.every((one) => one.length === total / 4))
  expect(
    lines()
      .map((line) => Number(line.split(' ')[0]))
      .sort((a, b) => a - b),
  ).toEqual(numbers(total).map(Number))
  expect(await counted(collector, 'in_flight_bytes')).toBe(0)
  for (const socket of sockets) socket.destroy()
})

test('applications that send without end do not keep log files from being read, nor files applications', async () => {
  const collector = await start({ limits: { inFlightBytes: 64 * 1024 }, forward: { window: 1 } })
  const sender = await client(collector)
  let flooding = true
  const flood = Promise.all(
    numbers(50).map(async (n) => {
      for (let i = 0; flooding; i++) await sender.send(message('x'.repeat(200), `${i}-${n}`))
    }),
  )
  const written = numbers(30_000).map((n) => `line ${n} ${'y'.repeat(100)}`)
  writeFileSync(join(root, 'logs', 'a.log'), `${written.join('\n')}\n`)
  await until(() => sink.lines().length === written.length)
  const before = sink.relayed.length
  await until(() => sink.relayed.length > before + 200)
  flooding = false
  await flood
})

test('applications wait while the log files have used up the budget', async () => {
  let away = true
  const collector = await start({
    sink: { fault: () => (away ? 'drop' : undefined) },
    limits: { inFlightBytes: 64 * 1024 },
    forward: { compression: 'none' },
  })
  writeFileSync(join(root, 'logs', 'a.log'), `${'y'.repeat(999)}\n`.repeat(1000))
  await until(() => sink.chunks > 0)
  const sockets = Array.from({ length: 3 }, () => dial(collector.inputPort!, '127.0.0.1'))
  const answers = sockets.map((socket) => collect(socket))
  // The first message of a connection that is new is read: it is how the collector comes to look at its budget.
  for (const [i, socket] of sockets.entries()) {
    socket.write(message('first', `first ${i}`))
    await until(async () => (await counted(collector, 'messages_total')) === 1)
    socket.write(message('second', `second ${i}`))
  }
  const sent = sink.chunks
  await until(() => sink.chunks > sent)
  expect(await counted(collector, 'messages_total')).toBe(1)
  away = false
  await until(() => answers.every(({ length }) => length === 2))
  for (const socket of sockets) socket.destroy()
})

test('an application that lost its connection sends again and is answered, and nothing is doubled', async () => {
  let away = true
  const collector = await start({ sink: { fault: () => (away ? 'drop' : undefined) } })
  const first = await client(collector)
  for (const i of numbers(50)) first.send(message(i, i))?.catch(() => {})
  await until(() => sink.chunks >= 50)
  first.close()
  await sleep(20)
  const second = await client(collector)
  const answers = Promise.all(numbers(50).map((i) => second.send(message(i, i))))
  await until(async () => (await counted(collector, 'repeated_messages_total')) === 50)
  away = false
  await answers
  // The acknowledgements could have been lost on the way, too.
  second.close()
  await sleep(20)
  const third = await client(collector)
  await Promise.all(numbers(50).map((i) => third.send(message(i, i))))
  expect(lines()).toEqual(numbers(50))
})

test.for([
  { fault: 'drop' as const, when: 'before the aggregator had it', times: 1 },
  { fault: 'mute' as const, when: 'before the acknowledgement, which alone may double it', times: 2 },
])('a collector that ends $when: the application sends again', async ({ fault, times }) => {
  let away = true
  const first = await start({ sink: { fault: () => (away ? fault : undefined) } })
  const sender = await client(first)
  const failed = expect(sender.send(message('x', 'c'))).rejects.toThrow('closed')
  await until(() => sink.chunks > 0)
  await stop(first)
  await failed
  away = false
  const second = await start()
  expect(await (await client(second)).send(message('x', 'c'))).toEqual({ ack: 'c' })
  expect(lines()).toEqual(Array(times).fill('x'))
})

test('a collector that stops answers what it took, and takes nothing more', async () => {
  const collector = await start({ shutdown: { drain: '10s' } })
  const sender = await client(collector)
  const answers = numbers(200).map((i) => sender.send(message(i, i)))
  await answers[0]
  const { inputPort } = collector
  const results = Promise.allSettled(answers)
  await stop(collector)
  const acked = (await results).filter(({ status }) => status === 'fulfilled').length
  expect(lines().length).toBeGreaterThanOrEqual(acked)
  expect(lines()).toEqual(numbers(lines().length))
  await expect(TestSender.connect(inputPort!)).rejects.toThrow('ECONNREFUSED')
})

test.for([
  { what: 'a handshake that does not end', input: { sharedKey: 'k' }, bytes: Buffer.of(0x96, 0xa4), reason: 'timeout' },
  { what: 'a message that does not end', input: {}, bytes: Buffer.of(0x93, 0xa4), reason: 'timeout' },
  { what: 'another protocol', input: {}, bytes: Buffer.from('GET / HTTP/1.1\r\n\r\n'), reason: 'not_forward' },
  { what: 'a message without a handshake', input: { sharedKey: 'k' }, bytes: message('x'), reason: 'handshake' },
  {
    what: 'a message that is too long',
    input: { maxMessageBytes: '64KiB' },
    bytes: message('x'.repeat(70_000)),
    reason: 'too_large',
  },
])('$what ends its connection as $reason and disturbs no other', async ({ input, bytes, reason }) => {
  const collector = await start({ input: { messageTimeout: '200ms', ...input } })
  const bad = dial(collector.inputPort!, '127.0.0.1')
  bad.on('error', () => {}).resume()
  const closed = new Promise((resolve) => bad.once('close', resolve))
  bad.write(bytes)
  await closed
  const errors = await collector.metrics.registry.getSingleMetric('collector_input_errors_total')!.get()
  expect(errors.values).toMatchObject([{ labels: { reason }, value: 1 }])
  if ('sharedKey' in input) return
  expect(await (await client(collector)).send(message('good', 'c'))).toEqual({ ack: 'c' })
})

test('a wrong key is refused', async () => {
  const collector = await start({ input: { sharedKey: 'k' } })
  const socket = dial(collector.inputPort!, '127.0.0.1')
  socket.on('error', () => {})
  const splitter = new ValueSplitter(1 << 16)
  const [helo] = (await once(socket, 'data')) as [Buffer]
  const credentials = { sharedKey: 'another' }
  socket.write(encodePing(parseHelo(splitter.push(helo)[0]!), 'client', Buffer.alloc(16, 1), credentials))
  const [pong] = (await once(socket, 'data')) as [Buffer]
  expect(decode(pong)).toMatchObject(['PONG', false, 'shared_key mismatch', '', ''])
  await once(socket, 'close')
})

test('with TLS and a CA only applications with a certificate of that CA are taken', async () => {
  const [certFile, keyFile] = [join(root, 'cert.pem'), join(root, 'key.pem')]
  execFileSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=localhost', '-keyout', keyFile, '-out', certFile],
  ])
  const collector = await start({ input: { tls: { certFile, keyFile, clientCaFile: certFile } } })
  const [cert, key] = [readFileSync(certFile), readFileSync(keyFile)]
  const dialed = (own: object) =>
    dialTls({ port: collector.inputPort!, host: '127.0.0.1', servername: 'localhost', ca: cert, ...own })
  const known = dialed({ cert, key })
  const answers = collect(known)
  known.write(message('x', 'c'))
  await until(() => answers.length === 1)
  const unknown = dialed({})
  unknown.on('error', () => {}).resume()
  await new Promise((resolve) => unknown.once('close', resolve))
  expect(await counted(collector, 'errors_total')).toBe(1)
  expect(lines()).toEqual(['x'])
  known.destroy()
})

test('a port that is taken is an error that names the key', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  await expect(start({ input: { port } })).rejects.toThrow(/^input\.forward: 127\.0\.0\.1:\d+ is in use/)
  taken.close()
})

test('compressed entries are passed on as they are', async () => {
  const collector = await start()
  const entries = Buffer.from(compress(encode([5, { log: 'x' }]), 'zstd'))
  await (await client(collector)).send(encode(['app', entries, { chunk: 'c', size: 1, compressed: 'zstd' }]))
  expect(sink.relayed[0]!.message.entries.equals(entries)).toBe(true)
})
