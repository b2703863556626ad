/** `end-to-end`: 10,000 lines a second through everything: what it costs, and how soon a written line can be queried. */
import { setTimeout as sleep } from 'node:timers/promises'
import { generate, generateDefaults } from 'tributary/generate/generate.ts'
import { totals } from 'tributary/generate/truth.ts'
import { Pipeline, until } from '../harness/processes.ts'
import { withBundledCollector } from './bundled.ts'
import { cpuSeconds, peakRss, quantile } from './measure.ts'
import type { BenchResult } from './result.ts'

const rate = 10_000
const seconds = 30

export const run = (): Promise<BenchResult> => withBundledCollector(measure)

async function measure(collectorScript: string): Promise<BenchResult> {
  await using pipeline = await Pipeline.start({ collectorScript })
  const pids = {
    collector: pipeline.collector.pid!,
    aggregator: pipeline.aggregator.pid!,
    engine: pipeline.enginePid()!,
  }
  const cpu = () => Object.values(pids).reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  const stop = new AbortController()
  const before = cpu()
  const lags = sampleLag(pipeline.url, stop.signal)
  const options = {
    ...generateDefaults,
    out: pipeline.logs,
    containers: 50,
    rate,
    durationMs: seconds * 1000,
    rotateBytes: 10 << 20,
    partialPercent: 1,
    pieceBytes: 64,
  }
  const truth = await generate(options)
  stop.abort()
  const samples = await lags
  const { lines, bytes } = totals(truth)
  await until(
    async () => (await pipeline.metric('aggregator_load_rows_total')) === lines,
    60_000,
    () => `not all of ${lines} rows were loaded`,
  )
  const spent = cpu() - before
  return {
    bench: 'end-to-end',
    what: `${rate} lines/s of 50 containers for ${seconds} s: collector, aggregator and engine together; every 100 ms the newest line is asked for, and its age is the sample`,
    figures: [
      { name: 'file to queryable row', value: lines / spent, unit: 'lines/CPU-s' },
      { name: 'the same, per CPU', value: bytes / 1e6 / spent, unit: 'MB/CPU-s' },
      { name: 'written to queryable, median', value: quantile(samples, 0.5), unit: 's' },
      { name: 'written to queryable, p99', value: quantile(samples, 0.99), unit: 's', goal: { atMost: 2 } },
      {
        name: 'peak memory of the collector',
        value: peakRss(pids.collector) / 2 ** 20,
        unit: 'MiB RSS',
        goal: { atMost: 100 },
      },
    ],
  }
}

/** Ages, in seconds, of the newest line that can be queried. At 10,000 lines a second a newer one is written all the time. */
async function sampleLag(url: string, stop: AbortSignal): Promise<number[]> {
  const samples: number[] = []
  while (!stop.aborted) {
    const query = new URLSearchParams({
      query: '{namespace="demo"}',
      limit: '1',
      start: String(Math.floor(Date.now() / 1000) - 60),
    })
    const answer = await fetch(`${url}/loki/api/v1/query_range?${query}`).catch(() => undefined)
    const body = (await answer?.json()) as { data: { result: { values: [string, string][] }[] } } | undefined
    const newest = body?.data.result[0]?.values[0]?.[0]
    if (newest !== undefined && !stop.aborted) samples.push(Date.now() / 1000 - Number(newest) / 1e9)
    await sleep(100)
  }
  // The first seconds have nothing to find yet.
  return samples.slice(20)
}
