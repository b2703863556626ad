/** What must hold where there is more than one aggregator: with a ledger that they share, and with ledgers of their own. */
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Sink, type SunkSource } from '../../test/harness/sink.ts'
import { type RunningCollector, startCollector } from './collector.ts'
import { collectorConfig } from './config.ts'

const cri = (line: string, tag: string, second: number) =>
  `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000000Z stdout ${tag} ${line}\n`
const names = Array.from({ length: 16 }, (_, i) => `pod${i}`)

let root: string
let open: AsyncDisposableStack
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tributary-several-'))
  mkdirSync(join(root, 'containers'))
  open = new AsyncDisposableStack()
})
afterEach(async () => {
  await open.disposeAsync()
  rmSync(root, { recursive: true, force: true })
})

const fileOf = (name: string) => join(root, 'pods', `ns_${name}_uid-${name}`, 'main', '0.log')

function begin(name: string, text: string): void {
  mkdirSync(join(fileOf(name), '..'), { recursive: true })
  writeFileSync(fileOf(name), text)
  symlinkSync(fileOf(name), join(root, 'containers', `${name}_ns_main-${'0'.repeat(64)}.log`))
}

async function start(address: unknown, aggregator: Record<string, unknown> = {}): Promise<RunningCollector> {
  const config = collectorConfig.parse({
    node: 'n',
    stateDir: join(root, 'state'),
    logs: { path: join(root, 'containers'), scanInterval: '30ms', flushInterval: '10ms' },
    aggregator: { address, ...aggregator },
    http: { listen: '127.0.0.1', port: 0 },
    shutdown: { drain: '0s' },
    checkpoints: { interval: '50ms' },
  })
  const collector = await startCollector(config, { log: pino({ level: 'silent' }) })
  open.defer(() => collector.close())
  return collector
}

/** Aggregators that take sources. */
const inUse = async ({ metrics }: RunningCollector) =>
  (await metrics.aggregators.get()).values.find(({ labels }) => labels['state'] === 'in_use')?.value

const page = async ({ httpPort }: RunningCollector, path: string) =>
  await (await fetch(`http://127.0.0.1:${httpPort}${path}`)).text()

test('sources are spread over those that share a ledger, and a record that a rotation cuts is whole, wherever its halves belong', async () => {
  const shared = new Map<string, SunkSource>()
  const sinks = await Promise.all(
    [0, 1, 2].map(async () => open.use(await Sink.listen({ keep: true, ledger: 'L', shared }))),
  )
  const collector = await start(sinks.map(({ address }) => address))
  await expect.poll(() => inUse(collector)).toBe(3)
  for (const name of names) {
    begin(name, cri(`${name} whole;`, 'F', 1) + cri(`${name} half;`, 'P', 2))
    renameSync(fileOf(name), `${fileOf(name)}.20260101-000000`)
    writeFileSync(fileOf(name), cri('rest;', 'F', 3) + cri(`${name} after;`, 'F', 4))
  }
  const expected = names.flatMap((name) => [`${name} whole;`, `${name} half;rest;`, `${name} after;`]).sort()
  await expect.poll(() => sinks[0]!.lines().sort()).toEqual(expected)
  for (const { chunks } of sinks) expect(chunks).toBeGreaterThan(0)
  expect(sinks.reduce((sum, { duplicates }) => sum + duplicates, 0)).toBe(0)
})

test('of several with ledgers of their own one is used, before and after a restart, and everybody is told', async () => {
  const sinks = await Promise.all(
    ['A', 'B', 'C'].map(async (ledger) => open.use(await Sink.listen({ keep: true, ledger }))),
  )
  for (const name of names) begin(name, cri(`${name} one`, 'F', 1))
  const addresses = sinks.map(({ address }) => address)
  const first = await start(addresses)
  const lines = () => sinks.map((sink) => sink.lines().length)
  await expect.poll(() => lines().reduce((a, b) => a + b)).toBe(names.length)
  const used = lines().indexOf(names.length)
  expect(used).not.toBe(-1)
  const others = addresses.filter((address) => address !== addresses[used]).join(', ')
  const refusal = `${others} are not sent to, only ${addresses[used]}: each keeps a ledger of its own`
  expect(await page(first, '/healthz')).toMatch(`ok\n${refusal}`)
  expect(JSON.parse(await page(first, '/why'))).toMatchObject({
    ok: false,
    findings: [{ code: 'aggregators_refused', text: expect.stringContaining(refusal) }],
  })
  await first.close()
  // The one that was used comes last now, and answers last.
  await start([...addresses.filter((_, i) => i !== used), addresses[used]])
  for (const name of names) appendFileSync(fileOf(name), cri(`${name} two`, 'F', 2))
  await expect.poll(() => lines()[used]).toBe(2 * names.length)
  expect(lines().reduce((a, b) => a + b)).toBe(2 * names.length)
})

test('why tells which aggregator a log goes to, and why that one', async () => {
  const shared = new Map<string, SunkSource>()
  const one = open.use(await Sink.listen({ ledger: 'L', shared }))
  const two = open.use(await Sink.listen({ ledger: 'L', shared }))
  begin('pod0', cri('x', 'F', 1))
  const collector = await start([one.address, { address: two.address, weight: 0.000001 }])
  await expect.poll(() => one.bytes).toBeGreaterThan(0)
  const { logs } = JSON.parse(await page(collector, '/why?pod=pod0'))
  expect(logs[0].sources[0]).toMatchObject({
    route: { address: one.address, why: 'hash', others: 2 },
    findings: expect.arrayContaining([
      { level: 'fine', code: 'route', text: `it is sent to ${one.address}: by its hash, of 2 in use` },
    ]),
  })
})

test('an aggregator that dies for good with chunks in doubt loses and doubles nothing; a standby takes its place', async () => {
  const shared = new Map<string, SunkSource>()
  const options = { keep: true, ledger: 'L', shared }
  // It books what it gets, and its acknowledgements are lost.
  const dying = await Sink.listen({ ...options, fault: (chunks) => (chunks > 3 ? 'mute' : undefined) })
  const spare = open.use(await Sink.listen(options))
  for (const name of names) begin(name, cri(`${name} one`, 'F', 1))
  const address = [dying.address, { address: spare.address, standby: true }]
  const collector = await start(address, { takeoverAfter: '1s', ackTimeout: '60s' })
  await expect.poll(() => dying.chunks).toBe(names.length)
  expect(spare.chunks).toBe(0)
  await dying[Symbol.asyncDispose]()
  for (const name of names) appendFileSync(fileOf(name), cri(`${name} two`, 'F', 2))
  const expected = names.flatMap((name) => [`${name} one`, `${name} two`]).sort()
  await expect.poll(() => spare.lines().sort()).toEqual(expected)
  await expect.poll(() => collector.metrics.movedMessages.total).toBe(names.length - 3)
  // The ledger knew all that was in doubt.
  expect(spare.duplicates).toBe(names.length - 3)
})
