/** /healthz of a running collector, against aggregators that do well, are away, or are there and do nothing. */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Sink, type SinkOptions } from '../../test/harness/sink.ts'
import { type RunningCollector, startCollector } from './collector.ts'
import { collectorConfig } from './config.ts'

let root: string
let sink: Sink
let collector: RunningCollector
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tributary-vitals-'))
  mkdirSync(join(root, 'logs'))
})
afterEach(async () => {
  await collector.close()
  await sink[Symbol.asyncDispose]()
  rmSync(root, { recursive: true, force: true })
})

const log = () => join(root, 'logs', 'app.log')

async function start(options: SinkOptions, aggregator: Record<string, unknown> = {}): Promise<void> {
  sink = await Sink.listen({ keep: true, ...options })
  const config = collectorConfig.parse({
    stateDir: join(root, 'state'),
    logs: { path: join(root, 'logs'), scanInterval: '20ms', flushInterval: '10ms' },
    aggregator: { address: sink.address, ...aggregator },
    limits: { inFlightBytes: '1KiB' },
    http: { listen: '127.0.0.1', port: 0 },
    shutdown: { drain: '0s' },
  })
  collector = await startCollector(config, { log: pino({ level: 'silent' }), stallMs: 2000 })
}

async function health(): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${collector.httpPort}/healthz`)
  return { status: response.status, text: await response.text() }
}

const unhealthy = () => expect.poll(async () => (await health()).status, { timeout: 15_000 }).toBe(503)

test.for([
  { when: 'keeps its connection', ackTimeout: '60s' },
  { when: 'is connected to again and again', ackTimeout: '1s' },
])(
  'an aggregator that answers questions and acknowledges no chunk, and $when, makes it unhealthy, with the log named',
  {
    timeout: 30_000,
  },
  async ({ ackTimeout }) => {
    let moves = false
    await start({ fault: () => (moves ? undefined : 'drop') }, { ackTimeout })
    writeFileSync(log(), `${'line\n'.repeat(500_000)}`)
    await unhealthy()
    const { text } = await health()
    expect(text).toMatch(
      /^nothing was acknowledged for \d+ s although the aggregator is connected, \d+ chunks? waits? for its/,
    )
    expect(text).toContain(`most of it in ${log()}; /why tells more`)
    moves = true
    sink.cut()
    await expect.poll(async () => (await health()).status, { timeout: 15_000 }).toBe(200)
  },
)

test('an aggregator that is away leaves it healthy, however much is unread', { timeout: 30_000 }, async () => {
  await start({})
  await sink[Symbol.asyncDispose]()
  writeFileSync(log(), 'line\n'.repeat(500_000))
  await sleep(4000)
  expect(await health()).toEqual({ status: 200, text: 'ok\n' })
  const why = await (await fetch(`http://127.0.0.1:${collector.httpPort}/why`)).json()
  expect(why).toMatchObject({ ok: false, findings: [{ code: 'aggregator_away' }] })
})

test('a quiet node with half a line in a log is healthy', { timeout: 30_000 }, async () => {
  await start({})
  writeFileSync(log(), 'whole\nhal')
  await expect.poll(() => sink.lines()).toEqual(['whole'])
  await sleep(4000)
  expect(await health()).toEqual({ status: 200, text: 'ok\n' })
  appendFileSync(log(), 'f\n')
  await expect.poll(() => sink.lines()).toEqual(['whole', 'half'])
})
