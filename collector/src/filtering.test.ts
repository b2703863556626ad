import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Sink } from '../../test/harness/sink.ts'
import { type RunningCollector, startCollector } from './collector.ts'
import { collectorConfig } from './config.ts'

let root: string
let log: string
let sink: Sink
let collector: RunningCollector

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'tributary-filtering-'))
  mkdirSync(join(root, 'containers'))
  const directory = join(root, 'pods', 'shop_cart_uid-cart', 'main')
  mkdirSync(directory, { recursive: true })
  log = join(directory, '0.log')
  symlinkSync(log, join(root, 'containers', `cart_shop_main-${'a'.repeat(64)}.log`))
  sink = await Sink.listen({ keep: true })
})

afterEach(async () => {
  await collector.close()
  await sink[Symbol.asyncDispose]()
  rmSync(root, { recursive: true, force: true })
})

function configWith(filters: unknown) {
  return collectorConfig.parse({
    node: 'n1',
    stateDir: join(root, 'state'),
    aggregator: { address: sink.address },
    http: { listen: '127.0.0.1', port: 0 },
    shutdown: { drain: '5s' },
    logs: { path: join(root, 'containers'), scanInterval: '50ms', flushInterval: '20ms' },
    multiline: { timeout: '20ms' },
    filters,
  })
}

const start = async (filters: unknown) => {
  collector = await startCollector(configWith(filters), { log: pino({ level: 'silent' }) })
}
let clock = Date.UTC(2026, 10, 23)
const write = (lines: readonly string[]) => {
  const file = lines.map((line) => `${new Date(clock++).toISOString()} stdout F ${line}\n`).join('')
  appendFileSync(log, file)
  return file.length
}

async function until(what: () => boolean): Promise<void> {
  for (const end = Date.now() + 15_000; !what(); await sleep(10))
    if (Date.now() > end) throw new Error('never came true')
}

test('what is left out is never sent, and every byte is accounted for', async () => {
  await start([
    { drop: { where: 'line contains "noise"' } },
    { redact: { patterns: ['email'] } },
    { set: { env: 'prod' } },
  ])
  const bytes = write(['one', 'noise', 'to a@b.de', 'noise'])
  await until(() => sink.lines().length === 2)
  expect(sink.lines()).toEqual(['one', 'to [redacted:email]'])
  const [source] = sink.sources.values()
  expect(source!.header.metadata).toMatchObject({ env: 'prod' })
  expect(collector.metrics.readBytes.total).toBe(bytes)
  expect(collector.metrics.filteredBytes.total).toBe(2 * '2026-11-23T00:00:00.000Z stdout F noise\n'.length)
  expect(collector.metrics.redactions.total).toBe(1)
})

test('a chunk of which nothing is left is acknowledged too, and reading goes on', async () => {
  await start([{ drop: { where: 'line contains "noise"' } }])
  const bytes = write(['noise', 'noise'])
  await until(() => collector.metrics.ackedBytes.total === bytes)
  write(['one'])
  await until(() => sink.lines().length === 1)
  expect(sink.lines()).toEqual(['one'])
})

test('filters change while the collector runs; what can not be used changes nothing', async () => {
  await start([{ drop: { where: 'line contains "a"' } }])
  write(['a1', 'b1'])
  await until(() => sink.lines().length === 1)
  expect(await collector.reload(() => configWith([{ drop: { where: 'line contains "b"' } }]))).toBe('applied')
  write(['a2', 'b2'])
  await until(() => sink.lines().length === 2)
  expect(await collector.reload(() => configWith([{ drop: { where: 'line =~ "("' } }]))).toBe('refused')
  write(['a3', 'b3'])
  await until(() => sink.lines().length === 3)
  expect(sink.lines()).toEqual(['b1', 'a2', 'a3'])
})
