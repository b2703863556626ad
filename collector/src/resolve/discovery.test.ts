/** Discovery against a real DNS server, whose records change while lines flow; aggregators on addresses of loopback that share a ledger. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Dnsmasq, dnsmasq } from '../../../test/harness/dnsmasq.ts'
import { freePorts } from '../../../test/harness/processes.ts'
import { Sink, type SunkSource } from '../../../test/harness/sink.ts'
import { type RunningCollector, startCollector } from '../collector.ts'
import { collectorConfig } from '../config.ts'

const logs = Array.from({ length: 40 }, (_, i) => `pod${i}`)

let root: string
let open: AsyncDisposableStack
let port: number
let shared: Map<string, SunkSource>
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'tributary-discovery-'))
  mkdirSync(join(root, 'containers'))
  open = new AsyncDisposableStack()
  ;[port] = (await freePorts(1)) as [number]
  shared = new Map()
})
afterEach(async () => {
  await open.disposeAsync()
  rmSync(root, { recursive: true, force: true })
})

/** An aggregator on 127.0.0.`last`; all have the same port, as pods do. */
async function aggregator(last: number): Promise<Sink> {
  return open.use(await Sink.listen({ keep: true, ledger: 'L', shared }, port, address(last)))
}
const address = (last: number) => `127.0.0.${last}`

async function start(aggregators: Record<string, unknown>): Promise<RunningCollector> {
  const config = collectorConfig.parse({
    node: 'n',
    stateDir: join(root, 'state'),
    logs: { path: join(root, 'containers'), scanInterval: '50ms', flushInterval: '20ms' },
    aggregator: { takeoverAfter: '2s', ...aggregators },
    http: { listen: '127.0.0.1', port: 0 },
    shutdown: { drain: '0s' },
  })
  const collector = await startCollector(config, { log: pino({ level: 'silent' }) })
  open.defer(() => collector.close())
  return collector
}

/** Writes to all logs again and again, until it is told to stop; then all that it wrote. */
class Writing {
  readonly #stop = new AbortController()
  readonly #done: Promise<void>
  readonly written: string[] = []

  constructor() {
    for (const name of logs) {
      const directory = join(root, 'pods', `ns_${name}_uid-${name}`, 'main')
      mkdirSync(directory, { recursive: true })
      writeFileSync(join(directory, '0.log'), '')
      symlinkSync(join(directory, '0.log'), join(root, 'containers', `${name}_ns_main-${'0'.repeat(64)}.log`))
    }
    this.#done = this.#write()
    open.defer(() => this.end())
  }

  async #write(): Promise<void> {
    for (let i = 0; !this.#stop.signal.aborted; i++) {
      for (const name of logs) {
        const at = `2026-01-01T00:${String(Math.floor(i / 60) % 60).padStart(2, '0')}:${String(i % 60).padStart(2, '0')}Z`
        appendFileSync(join(root, 'pods', `ns_${name}_uid-${name}`, 'main', '0.log'), `${at} stdout F ${name} ${i}\n`)
        this.written.push(`${name} ${i}`)
      }
      await sleep(30)
    }
  }

  async end(): Promise<void> {
    this.#stop.abort()
    await this.#done
  }
}

const arrived = () => [...shared.values()].flatMap(({ records }) => records.map(({ line }) => line))

/** All that was written arrived, once. */
async function expectWhole(writing: Writing): Promise<void> {
  await writing.end()
  await expect.poll(() => arrived().length, { timeout: 20_000 }).toBeGreaterThanOrEqual(writing.written.length)
  expect(arrived().toSorted()).toEqual(writing.written.toSorted())
}

const gets = (sink: Sink, timeout = 8000) => {
  const before = sink.chunks
  return expect.poll(() => sink.chunks, { timeout }).toBeGreaterThan(before)
}

describe.skipIf(dnsmasq === undefined)('with a real DNS server', { timeout: 60_000 }, () => {
  test('aggregators come and go with their name: each gets its share within seconds, and no line is lost or doubled', async () => {
    await using dns = await Dnsmasq.start()
    const sinks = [await aggregator(2)]
    dns.hosts({ 'agg.test': [address(2)] })
    const collector = await start({ address: `agg.test:${port}`, dns: { servers: [dns.address] } })
    const writing = new Writing()
    await gets(sinks[0]!)
    // One becomes five.
    for (const last of [3, 4, 5, 6]) sinks.push(await aggregator(last))
    dns.hosts({ 'agg.test': [2, 3, 4, 5, 6].map(address) })
    for (const sink of sinks) await gets(sink)
    // The name does not resolve for a while: its addresses are kept.
    dns.hosts({})
    await expect.poll(() => why(collector), { timeout: 8000 }).toContain('unresolved')
    for (const sink of sinks) await gets(sink)
    // Nobody answers at all.
    await dns.pause()
    for (const sink of sinks) await gets(sink)
    // Five become one; the others go on for as long as anything waits for them, and their connections are closed.
    dns.hosts({ 'agg.test': [address(6)] })
    await dns.resume()
    await expect.poll(() => sinks.map(({ connections }) => connections), { timeout: 15_000 }).toEqual([0, 0, 0, 0, 1])
    await gets(sinks[4]!)
    await expectWhole(writing)
    expect(collector.metrics.takeovers.total).toBe(0)
  })

  test('aggregators die, with chunks in doubt, and their addresses are others when they come back', async () => {
    await using dns = await Dnsmasq.start()
    const [first, second] = [await aggregator(2), await aggregator(3)]
    dns.hosts({ 'agg.test': [address(2), address(3)] })
    const collector = await start({ address: `agg.test:${port}`, dns: { servers: [dns.address] } })
    const writing = new Writing()
    await gets(first)
    await gets(second)
    // It hangs with what it was sent, is taken over from, and dies.
    second.pause()
    await expect.poll(() => collector.metrics.takeovers.total, { timeout: 15_000 }).toBeGreaterThan(0)
    expect(await why(collector)).toContain('aggregator_suspect')
    await second[Symbol.asyncDispose]()
    const third = await aggregator(4)
    dns.hosts({ 'agg.test': [address(2), address(4)] })
    await gets(third)
    // All at once.
    for (const one of [first, third]) await one[Symbol.asyncDispose]()
    dns.hosts({ 'agg.test': [address(5)] })
    const last = await aggregator(5)
    await gets(last, 15_000)
    await expectWhole(writing)
  })

  test('the port of a service is found by its name, and an aggregator by its host, wherever that is', async () => {
    await using dns = await Dnsmasq.start()
    dns.services([0, 1].map((i) => ({ name: '_forward._tcp.agg.test', host: `agg-${i}.agg.test`, port })))
    await dns.pause()
    dns.hosts({ 'agg-0.agg.test': [address(2)], 'agg-1.agg.test': [address(3)] })
    await dns.resume()
    const [first, second] = [await aggregator(2), await aggregator(3)]
    const collector = await start({
      address: 'agg.test:forward',
      takeoverAfter: '1h',
      dns: { servers: [dns.address], interval: '1s' },
    })
    const writing = new Writing()
    await gets(first)
    await gets(second)
    // A pod of a StatefulSet comes back with another address: what was in doubt is for it, nobody takes over.
    second.pause()
    const { ackedChunks, sentChunks } = collector.metrics
    await expect.poll(() => sentChunks.total - ackedChunks.total, { timeout: 15_000 }).toBeGreaterThan(3)
    await second[Symbol.asyncDispose]()
    const again = await aggregator(4)
    dns.hosts({ 'agg-0.agg.test': [address(2)], 'agg-1.agg.test': [address(4)] })
    await gets(again, 15_000)
    await expectWhole(writing)
    expect(collector.metrics.takeovers.total).toBe(0)
    expect(collector.metrics.resentChunks.total).toBeGreaterThan(0)
  })
})

test('an aggregator that is throttled to a tenth of the time is slow, not dead; one that stops is skipped, until it goes on', {
  timeout: 60_000,
}, async () => {
  const script = fileURLToPath(new URL('../../../test/harness/sink-process.ts', import.meta.url))
  const child = fork(script, ['L'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  open.defer(() => void child.kill('SIGKILL'))
  const [{ address: throttled }] = (await once(child, 'message')) as [{ address: string }]
  const other = await aggregator(1)
  const collector = await start({ address: [throttled, other.address], takeoverAfter: '1h' })
  const writing = new Writing()
  const suspects = async () =>
    (await collector.metrics.aggregators.get()).values.find(({ labels }) => labels['state'] === 'suspect')?.value
  const inUse = async () =>
    (await collector.metrics.aggregators.get()).values.find(({ labels }) => labels['state'] === 'in_use')?.value
  await expect.poll(inUse).toBe(2)
  // As the kernel does with a limit of 100m: it runs for 10 ms of every 100.
  for (const end = performance.now() + 8000; performance.now() < end; ) {
    child.kill('SIGSTOP')
    await sleep(90)
    child.kill('SIGCONT')
    await sleep(10)
    expect(await suspects()).toBe(0)
  }
  child.kill('SIGSTOP')
  await expect.poll(suspects, { timeout: 10_000 }).toBe(1)
  await gets(other)
  child.kill('SIGCONT')
  await expect.poll(inUse, { timeout: 10_000 }).toBe(2)
  await writing.end()
  expect(collector.metrics.takeovers.total).toBe(0)
})

async function why(collector: RunningCollector): Promise<string[]> {
  const answer = await fetch(`http://127.0.0.1:${collector.httpPort}/why`)
  const { findings } = (await answer.json()) as { findings: { code: string }[] }
  return findings.map(({ code }) => code)
}
