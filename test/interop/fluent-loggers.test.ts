/** The two Forward clients that npm has, as an application would use them: straight to the aggregator. */
import { FluentClient } from '@fluent-org/logger'
import fluentLogger from 'fluent-logger'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { linesOf, query, received, startAggregator } from '../harness/aggregator.ts'
import { type Pipeline, until } from '../harness/processes.ts'

// Each waits for what another program does, on a machine that may be busy.
vi.setConfig({ testTimeout: 60_000 })

let plain: Pipeline
let secured: Pipeline
beforeAll(async () => {
  ;[plain, secured] = await Promise.all([
    startAggregator(),
    startAggregator({ forward: { sharedKey: 's3cret', users: { app: 'pw' } } }),
  ])
}, 90_000)
afterAll(async () => {
  await plain?.[Symbol.asyncDispose]()
  await secured?.[Symbol.asyncDispose]()
})

const record = (i: number) => ({ message: `line ${i}`, level: 'error', user: { id: 7 } })
const expectedLines = Array.from({ length: 20 }, (_, i) => `line ${i}`)

async function expectAll(pipeline: Pipeline, tag: string): Promise<void> {
  const streams = await received(pipeline, `{tag="${tag}"}`, 20)
  expect(linesOf(streams).sort()).toEqual([...expectedLines].sort())
  expect(streams[0]!.stream).toMatchObject({ tag, detected_level: 'error', user: '{"id":7}' })
}

test.for(['Message', 'Forward', 'PackedForward', 'CompressedPackedForward'] as const)(
  '@fluent-org/logger in mode %s, acknowledged',
  async (eventMode) => {
    const tag = `org.${eventMode}`
    const client = new FluentClient(tag, {
      eventMode,
      ack: { ackTimeout: 20_000 },
      socket: { host: '127.0.0.1', port: plain.forwardPort },
    })
    await client.connect()
    // Each resolves when it is acknowledged: then it is there, whatever becomes of the aggregator.
    await Promise.all(expectedLines.map((_, i) => client.emit(record(i))))
    await client.shutdown()
    await expectAll(plain, tag)
  },
)

test('@fluent-org/logger with shared key and user', async () => {
  const client = new FluentClient('org.secure', {
    ack: { ackTimeout: 20_000 },
    socket: { host: '127.0.0.1', port: secured.forwardPort },
    security: { clientHostname: 'app.example', sharedKey: 's3cret', username: 'app', password: 'pw' },
  })
  await client.connect()
  await Promise.all(expectedLines.map((_, i) => client.emit(record(i))))
  await client.shutdown()
  await expectAll(secured, 'org.secure')
})

test('a wrong shared key lets nothing in', async () => {
  const client = new FluentClient('org.stranger', {
    ack: { ackTimeout: 500 },
    socket: { host: '127.0.0.1', port: secured.forwardPort, disableReconnect: true },
    security: { clientHostname: 'app.example', sharedKey: 'wrong', username: 'app', password: 'pw' },
  })
  let acknowledged = false
  // The library may also wait for ever: it is not waited for.
  client.connect().catch(() => {})
  client.emit(record(0)).then(
    () => {
      acknowledged = true
    },
    () => {},
  )
  const refused = async () => (await secured.metrics('aggregator')).includes('errors_total{reason="handshake"}')
  await until(refused, 15_000, () => 'no handshake was refused')
  client.disconnect().catch(() => {})
  expect(acknowledged).toBe(false)
  expect(await query(secured, '{tag="org.stranger"}')).toEqual([])
})

test.for([0, 1])('fluent-logger, acknowledged, times in milliseconds: %i', async (milliseconds) => {
  const tag = `old.${milliseconds ? 'fine' : 'coarse'}`
  const sender = fluentLogger.createFluentSender('old', {
    host: '127.0.0.1',
    port: plain.forwardPort,
    timeout: 20,
    requireAckResponse: true,
    ackResponseTimeout: 20_000,
    milliseconds,
  })
  const emitted = expectedLines.map(
    (_, i) =>
      new Promise<void>((resolve, reject) => {
        sender.emit(tag.slice('old.'.length), record(i), (error) => (error ? reject(error) : resolve()))
      }),
  )
  await Promise.all(emitted)
  await new Promise<void>((resolve) => sender.end(null as never, null as never, () => resolve()))
  await expectAll(plain, tag)
})

test('fluent-logger with shared key and user', async () => {
  const sender = fluentLogger.createFluentSender('old', {
    host: '127.0.0.1',
    port: secured.forwardPort,
    timeout: 20,
    requireAckResponse: true,
    security: { clientHostname: 'app.example', sharedKey: 's3cret', username: 'app', password: 'pw' },
  })
  const emitted = expectedLines.map(
    (_, i) =>
      new Promise<void>((resolve, reject) => {
        sender.emit('secure', record(i), (error) => (error ? reject(error) : resolve()))
      }),
  )
  await Promise.all(emitted)
  await new Promise<void>((resolve) => sender.end(null as never, null as never, () => resolve()))
  await expectAll(secured, 'old.secure')
})
