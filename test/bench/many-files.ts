/** `many-files`: 10,000 logs of which 500 are written to: what that costs, and whether every line comes once. */
import { setTimeout as sleep } from 'node:timers/promises'
import { compileCache, until } from '../harness/processes.ts'
import { LimitedCollector } from './limited-collector.ts'
import { Load } from './load.ts'
import { cpuSeconds, peakRss } from './measure.ts'
import type { BenchResult } from './result.ts'

const files = 10_000
const busy = 500
const rate = 10_000
const seconds = 30
const linesBefore = 20

export async function run(): Promise<BenchResult> {
  await using collector = await LimitedCollector.create({ compileCache })
  const load = new Load({ out: collector.logs, containers: files, traceEvery: 50, rotateBytes: 1 << 20, keep: 5 })
  for (let container = 0; container < files; container++) load.write(container, linesBefore)
  const begun = performance.now()
  await collector.startUntilRead()
  const all = () => collector.count().then(({ lines }) => lines >= load.lines)
  await until(all, 120_000, () => `not all of ${files} files were read:\n${collector.output}`, 100)
  const found = (performance.now() - begun) / 1000
  // Logs written within the last seconds are looked at often.
  await sleep(10_000)
  const idleFrom = cpuSeconds(collector.pid)
  await sleep(10_000)
  const idle = (cpuSeconds(collector.pid) - idleFrom) / 10
  const before = cpuSeconds(collector.pid)
  await load.run(rate, seconds, busy)
  await until(all, 60_000, () => `not all of ${load.lines} lines came:\n${collector.output}`, 100)
  const { lost, foreign, doubled } = await collector.verdict(load.written)
  load.close()
  return {
    bench: 'many-files',
    what: `${files} logs found at the start, then ${rate} lines/s to ${busy} of them for ${seconds} s, rotated at 1 MiB`,
    figures: [
      { name: 'all found, read and acknowledged', value: found, unit: 's' },
      { name: `idle with ${files} files`, value: idle * 100, unit: '% of a core' },
      {
        name: `${rate} lines/s to ${busy} of them`,
        value: ((cpuSeconds(collector.pid) - before) / seconds) * 100,
        unit: '% of a core',
      },
      {
        name: 'peak memory',
        value: peakRss(collector.pid) / 2 ** 20,
        unit: 'MiB RSS',
        goal: { atMost: 200 },
        note: 'what is known of each log stays in memory; the goal is what a DaemonSet is given',
      },
      { name: 'lost', value: lost + foreign, unit: 'lines', goal: { atMost: 0 } },
      { name: 'doubled', value: doubled, unit: 'lines', goal: { atMost: 0 } },
    ],
  }
}
