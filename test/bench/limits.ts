/**
 * `limits`: the collector within the limits people give a log DaemonSet, 100m CPU and 200 MiB, at 40,000 lines a second, with every line
 * counted; and how long it takes to start there. `--seconds=N` sets how long each run lasts.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundleCollector } from '../../collector/bundle.ts'
import { Cgroup } from '../harness/cgroup.ts'
import { compileCache, until } from '../harness/processes.ts'
import { BenchCluster } from './cluster.ts'
import { LimitedCollector, type LimitedOptions, sources } from './limited-collector.ts'
import { Load, loadPods } from './load.ts'
import { cpuSeconds, peakRss } from './measure.ts'
import type { BenchResult, Figure } from './result.ts'

const rate = 40_000
const containers = 50
const limits = { cpuMillis: 100, memoryBytes: 200 << 20 }
/** A stack trace of 15 lines for every 50 records: a quarter of the lines. */
const traceEvery = 50
/** After the load, how long the collector may take for what it is behind. */
const drainMs = 60_000

export async function run(): Promise<BenchResult> {
  const seconds = Number(process.argv.find((word) => word.startsWith('--seconds='))?.split('=')[1] ?? 120)
  const what = `${rate / 1000} k lines/s of 189 bytes from ${containers} containers for ${seconds} s, rotated at 10 MiB, with pod metadata from a Kubernetes API, within a cgroup of 100m CPU and 200 MiB; every line is counted at the other end`
  const probe = Cgroup.create(`tributary-probe-${process.pid}`, limits)
  if ('unavailable' in probe) {
    console.error(`limits: skipped: ${probe.unavailable}`)
    return { bench: 'limits', what, figures: [] }
  }
  await probe[Symbol.asyncDispose]()
  const directory = mkdtempSync(join(tmpdir(), 'tributary-limits-'))
  try {
    const bundle = await bundleCollector(join(directory, 'dist'))
    const cache = join(directory, 'cache')
    await start('with a cache that may be empty', { script: sources, compileCache })
    return {
      bench: 'limits',
      what,
      figures: [
        await start('bundled, nothing compiled before', { script: bundle, compileCache: cache }),
        await start('bundled', { script: bundle, compileCache: cache }, 2),
        await start('from the sources', { script: sources, compileCache }),
        ...(await sustain('without stack traces', 0, seconds, { script: bundle, compileCache: cache })),
        ...(await sustain('with stack traces', traceEvery, seconds, { script: bundle, compileCache: cache })),
      ],
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

type Program = Pick<LimitedOptions, 'script' | 'compileCache'>

/** From the start of the process to the first byte read of a log that was there. */
async function start(how: string, program: Program, atMost?: number): Promise<Figure> {
  await using cluster = await BenchCluster.start(loadPods(1))
  const config = { kubernetes: cluster.kubernetes }
  await using collector = await LimitedCollector.create({ limits, config, ...program })
  const load = new Load({ out: collector.logs, containers: 1, traceEvery: 0, rotateBytes: 1 << 30, keep: 1 })
  load.write(0, 1)
  load.close()
  const value = (await collector.startUntilRead()) / 1000
  // What was compiled is kept when the process ends well.
  await collector.stop()
  const name = `start to the first byte read, ${how}`
  const note = 'wall time, which other work on the same cores takes from'
  return { name, value, unit: 's', ...(atMost === undefined ? {} : { goal: { atMost }, note }) }
}

async function sustain(which: string, every: number, seconds: number, program: Program): Promise<Figure[]> {
  await using cluster = await BenchCluster.start(loadPods(containers))
  const config = { kubernetes: cluster.kubernetes }
  await using collector = await LimitedCollector.create({ limits, config, ...program })
  const load = new Load({ out: collector.logs, containers, traceEvery: every, rotateBytes: 10 << 20, keep: 5 })
  await collector.startUntilRead(() => load.write(0, 1))
  const before = cpuSeconds(collector.pid)
  await load.run(rate, seconds)
  const loadedAt = performance.now()
  await until(
    async () => (await collector.count()).lines >= load.lines,
    drainMs,
    () => `not all of ${load.lines} lines came; the collector's last words:\n${collector.output}`,
    100,
  ).catch((error: Error) => console.error(`limits: ${error.message}`))
  const drained = (performance.now() - loadedAt) / 1000
  const verdict = await collector.verdict(load.written)
  const peak = peakRss(collector.pid) / 2 ** 20
  const { periods, throttled } = collector.throttling()
  load.close()
  const name = (text: string) => `${which}: ${text}`
  return [
    { name: name('lines'), value: load.lines, unit: 'lines' },
    { name: name('lost'), value: verdict.lost + verdict.foreign, unit: 'lines', goal: { atMost: 0 } },
    { name: name('doubled'), value: verdict.doubled, unit: 'lines', goal: { atMost: 0 } },
    {
      name: name('records torn or joined wrongly'),
      value: Math.abs(verdict.records - load.records),
      unit: 'records',
      goal: { atMost: 0 },
    },
    { name: name('peak memory'), value: peak, unit: 'MiB RSS', goal: { atMost: 100 } },
    { name: name('CPU'), value: ((cpuSeconds(collector.pid) - before) / (seconds + drained)) * 1000, unit: 'm' },
    { name: name('periods throttled'), value: (100 * throttled) / periods, unit: '%' },
    { name: name('last line acknowledged after the load'), value: drained, unit: 's' },
  ]
}
