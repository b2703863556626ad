import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, connect as dial } from 'node:net'
import { join } from 'node:path'
import { connect as dialTls } from 'node:tls'
import { FluentClient } from '@fluent-org/logger'
import { TestSender } from '@tributary/aggregator/receive/test-sender.ts'
import { chunkHeader } from '@tributary/protocol/chunk.ts'
import { compress } from '@tributary/protocol/compression.ts'
import { encodePing, parseHelo } from '@tributary/protocol/handshake.ts'
import { decode, encode, ValueSplitter } from '@tributary/protocol/msgpack.ts'
import fc from 'fast-check'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Sink } from '../../../test/harness/sink.ts'
import { collectorConfig } from '../config.ts'
import { ByteBudget } from '../forward/budget.ts'
import { Courier } from '../forward/courier.ts'
import { openAggregators } from '../forward/open-aggregators.ts'
import type { PodFacts } from '../metadata/pod-facts.ts'
import { CollectorMetrics } from '../metrics.ts'
import { collect, counted, message, TestNode, until } from './fixture.ts'
import { startInput } from './input.ts'

let node: TestNode
beforeEach(() => {
  node = new TestNode()
})
afterEach(() => node[Symbol.asyncDispose]())

test('however the bytes are split, every message arrives once, in order, and is answered', async () => {
  const collector = await node.start()
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
        const arrived = () => node.sink.relayed.filter((one) => linesOf(one.message.entries).startsWith(`${id}-`))
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

test('all four modes of a real logger arrive, acknowledged', async () => {
  const collector = await node.start({ input: { sharedKey: 'secret', users: { app: 'password' } } })
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
  expect(node.sink.relayed.map(({ message: { mode, tag } }) => [mode, tag])).toEqual(
    ['message', 'forward', 'packed', 'packed'].map((mode) => [mode, 'app.test']),
  )
  expect(await counted(collector, 'acked_messages_total')).toBe(4)
})

test('what a pod sends carries its name', async () => {
  await using sink = await Sink.listen()
  const log = pino({ level: 'silent' })
  const metrics = new CollectorMetrics()
  const config = collectorConfig.parse({
    node: 'n1',
    aggregator: { address: sink.address },
    input: { forward: { enabled: true, port: 0 } },
  })
  await using open = new AsyncDisposableStack()
  const { aggregators, connect } = open.adopt(openAggregators(config, { log, metrics }), (one) => one.close())
  connect()
  const courier = new Courier({ ...config.forward, aggregators, budget: new ByteBudget(1 << 20), metrics })
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
  const collector = await node.start()
  const socket = createSocket('udp4')
  socket.send(Buffer.of(0), collector.inputPort!, '127.0.0.1')
  const [answer] = (await once(socket, 'message')) as [Buffer]
  expect(answer).toEqual(Buffer.of(0))
  socket.close()
  expect(await counted(collector, 'heartbeats_total')).toBe(1)
})

test('a heartbeat from our own port is another answer, and is not answered', async () => {
  const collector = await node.start()
  const [same, other] = [createSocket('udp4'), createSocket('udp4')]
  same.bind(collector.inputPort!, '127.0.0.2')
  await once(same, 'listening')
  same.on('message', () => expect.unreachable())
  await new Promise((resolve) => same.send(Buffer.of(0), collector.inputPort!, '127.0.0.1', resolve))
  other.send(Buffer.of(0), collector.inputPort!, '127.0.0.1')
  await once(other, 'message')
  expect(await counted(collector, 'heartbeats_total')).toBe(1)
  same.close()
  other.close()
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
  const collector = await node.start({ input: { messageTimeout: '200ms', ...input } })
  const bad = dial(collector.inputPort!, '127.0.0.1')
  bad.on('error', () => {}).resume()
  const closed = new Promise((resolve) => bad.once('close', resolve))
  bad.write(bytes)
  await closed
  const errors = await collector.metrics.registry.getSingleMetric('collector_input_errors_total')!.get()
  expect(errors.values).toMatchObject([{ labels: { reason }, value: 1 }])
  if ('sharedKey' in input) return
  expect(await (await node.client(collector)).send(message('good', 'c'))).toEqual({ ack: 'c' })
})

test('a wrong key is refused', async () => {
  const collector = await node.start({ input: { sharedKey: 'k' } })
  const socket = dial(collector.inputPort!, '127.0.0.1')
  socket.on('error', () => {})
  const splitter = new ValueSplitter(1 << 16)
  const [helo] = (await once(socket, 'data')) as [Buffer]
  const credentials = { sharedKey: 'another' }
  socket.write(encodePing(parseHelo(splitter.push(helo)[0]!), 'client', 'salt', credentials))
  const [pong] = (await once(socket, 'data')) as [Buffer]
  expect(decode(pong)).toMatchObject(['PONG', false, 'shared_key mismatch', '', ''])
  await once(socket, 'close')
})

test('with TLS and a CA only applications with a certificate of that CA are taken', async () => {
  const [certFile, keyFile] = [join(node.root, 'cert.pem'), join(node.root, 'key.pem')]
  execFileSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=localhost', '-keyout', keyFile, '-out', certFile],
  ])
  const collector = await node.start({ input: { tls: { certFile, keyFile, clientCaFile: certFile } } })
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
  expect(node.lines()).toEqual(['x'])
  known.destroy()
})

test('a port that is taken is an error that names the key', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  await expect(node.start({ input: { port } })).rejects.toThrow(/^input\.forward: 127\.0\.0\.1:\d+ is in use/)
  taken.close()
})

test('compressed entries are passed on as they are', async () => {
  const collector = await node.start()
  const entries = Buffer.from(compress(encode([5, { log: 'x' }]), 'zstd'))
  await (await node.client(collector)).send(encode(['app', entries, { chunk: 'c', size: 1, compressed: 'zstd' }]))
  expect(node.sink.relayed[0]!.message.entries.equals(entries)).toBe(true)
})
