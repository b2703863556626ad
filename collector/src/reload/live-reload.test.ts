/** A running collector that is given another configuration: what it reads, and what it makes of it, from then on. */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Sink } from '../../../test/harness/sink.ts'
import { type RunningCollector, startCollector } from '../collector.ts'
import { collectorConfig } from '../config.ts'

let root: string
let sink: Sink
let collector: RunningCollector

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'tributary-reload-'))
  mkdirSync(join(root, 'containers'))
  sink = await Sink.listen({ keep: true })
  collector = await startCollector(config(), { log: pino({ level: 'silent' }) })
})
afterEach(async () => {
  await collector.close()
  await sink[Symbol.asyncDispose]()
  rmSync(root, { recursive: true, force: true })
})

const config = (logs: Record<string, unknown> = {}, more: Record<string, unknown> = {}) =>
  collectorConfig.parse({
    stateDir: join(root, 'state'),
    logs: { path: join(root, 'containers'), scanInterval: '20ms', flushInterval: '10ms', ...logs },
    aggregator: { address: sink.address },
    http: { listen: '127.0.0.1', port: 0 },
    shutdown: { drain: '0s' },
    ...more,
  })

/** The log of a pod, which is found from now on. */
function pod(name: string): string {
  const directory = join(root, 'pods', `shop_${name}_uid-${name}`, 'main')
  mkdirSync(directory, { recursive: true })
  symlinkSync(join(directory, '0.log'), join(root, 'containers', `${name}_shop_main-${'a'.repeat(64)}.log`))
  return join(directory, '0.log')
}

let clock = 0
const write = (log: string, text: string) =>
  appendFileSync(log, `2026-11-23T10:00:00.${String(clock++).padStart(9, '0')}Z stdout F ${text}\n`)
const arrived = (lines: string[]) => expect.poll(() => sink.lines().sort(), { timeout: 10_000 }).toEqual(lines.sort())
const why = async (name: string) =>
  (await (await fetch(`http://127.0.0.1:${collector.httpPort}/why?namespace=shop&pod=${name}`)).json()) as {
    logs: { excludedBy?: string; findings: { code: string }[] }[]
  }

test('a pod that is left out from now on is read no further, and others are; taken up again it is read on', async () => {
  const [cart, web] = [pod('cart'), pod('web')]
  write(cart, 'cart 1')
  write(web, 'web 1')
  await arrived(['cart 1', 'web 1'])
  expect(await collector.reload(() => config({ exclude: [{ pod: 'cart' }] }))).toBe('applied')
  await expect.poll(async () => (await why('cart')).logs[0]!.excludedBy).toContain('logs.exclude')
  write(cart, 'cart 2')
  write(web, 'web 2')
  await arrived(['cart 1', 'web 1', 'web 2'])
  expect((await why('cart')).logs[0]!.findings.map(({ code }) => code)).toContain('excluded')
  expect(await collector.reload(() => config())).toBe('applied')
  write(cart, 'cart 3')
  await expect.poll(() => sink.lines(), { timeout: 10_000 }).toContain('cart 3')
})

test('a budget that was too small is enlarged while chunks wait for it', async () => {
  expect(await collector.reload(() => config({}, { limits: { inFlightBytes: '1KiB' } }))).toBe('applied')
  expect(await collector.reload(() => config({}, { limits: { inFlightBytes: '8MiB' } }))).toBe('applied')
  write(pod('cart'), 'cart 1')
  await arrived(['cart 1'])
  expect(collector.metrics.configReloads.total).toBe(2)
})
