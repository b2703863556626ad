/**
 * `beside-queries`: chunks as fast as they are taken, alone and beside dashboards that ask all the time. What slows loading down is measured in
 * lines of wall time, phases with and without taking turns, so that what else the machine does, and merges, meet both.
 */
import { cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { Pipeline, until } from '../harness/processes.ts'
import { type Prepared, prepareChunks, totals, writeCorpus } from './corpus.ts'
import { cpuSecondsOfAll, quantile } from './measure.ts'
import { feed } from './receiver.ts'
import type { BenchResult } from './result.ts'

/** Of all phases together. */
const lines = 4_500_000
const phases = 8
/** Dashboards that are open, and how often each asks its two queries anew, milliseconds. */
const dashboards = 5
const refresh = 5_000

interface Phase {
  readonly lines: number
  readonly seconds: number
  /** Of the aggregator's process and the engine's. */
  readonly cpu: number
  /** Milliseconds. */
  readonly answers: readonly number[]
}

export async function run(): Promise<BenchResult> {
  await using pipeline = await Pipeline.create()
  const truth = await writeCorpus(pipeline.logs, lines)
  const chunks = prepareChunks(truth)
  const bytes = totals(truth).bytes / totals(truth).lines
  pipeline.aggregator.start()
  await pipeline.ready()
  const found: Record<'alone' | 'beside', Phase[]> = { alone: [], beside: [] }
  // Everything has run once before it is measured.
  const share = Math.ceil(chunks.length / (phases + 1))
  let loaded = 0
  for (let i = 0; i <= phases; i++) {
    const own = chunks.slice(i * share, (i + 1) * share)
    const wanted = own.reduce((sum, { records }) => sum + records, loaded)
    // Alone, beside, beside, alone: what is merged grows from phase to phase, and meets both alike.
    const queries = i % 4 === 0 ? i === 0 : i % 4 !== 1
    const phase = await load(pipeline, own, wanted - loaded, wanted, queries)
    loaded = wanted
    if (i > 0) found[queries ? 'beside' : 'alone'].push(phase)
  }
  const [alone, beside] = [sum(found.alone), sum(found.beside)]
  // What else the machine does slows loading down, but not the dashboards' clocks: this tells what there would be of queries without it.
  const ofQuery = (beside.cpu - (alone.cpu / alone.lines) * beside.lines) / beside.answers.length
  return {
    bench: 'beside-queries',
    what: `${phases} phases of ${Math.round(lines / (phases + 1) / 1000)} k lines of ${Math.round(bytes)} bytes, from socket to queryable row as fast as they are taken, half of them beside ${dashboards} dashboards that each ask for a histogram by level and the newest 100 lines of the last hour every ${refresh / 1000} s`,
    figures: [
      { name: 'loaded alone', value: alone.lines / alone.seconds, unit: 'lines/s' },
      { name: 'loaded beside queries', value: beside.lines / beside.seconds, unit: 'lines/s' },
      {
        name: 'slower by',
        value: (1 - beside.lines / beside.seconds / (alone.lines / alone.seconds)) * 100,
        unit: '%',
        goal: { atMost: 20 },
        note: 'of wall time, while other work on the same cores takes from loading and not from the clocks of dashboards',
      },
      { name: 'CPU of a line alone', value: (alone.cpu / alone.lines) * 1e6, unit: 'CPU-µs' },
      { name: 'CPU of a query beside it', value: ofQuery * 1000, unit: 'CPU-ms' },
      {
        name: 'share of the cores that those dashboards take',
        value: ((ofQuery * 2 * dashboards * 1000) / refresh / cpus().length) * 100,
        unit: '%',
        goal: { atMost: 20 },
      },
      { name: 'queries answered', value: beside.answers.length / beside.seconds, unit: '/s' },
      { name: 'a query beside it, median', value: quantile(beside.answers, 0.5), unit: 'ms' },
      { name: 'a query beside it, p99', value: quantile(beside.answers, 0.99), unit: 'ms' },
    ],
  }
}

const sum = (parts: readonly Phase[]): Phase => ({
  lines: parts.reduce((all, { lines }) => all + lines, 0),
  seconds: parts.reduce((all, { seconds }) => all + seconds, 0),
  cpu: parts.reduce((all, { cpu }) => all + cpu, 0),
  answers: parts.flatMap(({ answers }) => answers),
})

/** Until all of it can be queried. */
async function load(
  pipeline: Pipeline,
  chunks: readonly Prepared[],
  count: number,
  rows: number,
  queries: boolean,
): Promise<Phase> {
  const pids = [pipeline.aggregator.pid!, pipeline.enginePid()!]
  const cpu = () => pids.reduce((all, pid) => all + cpuSecondsOfAll(pid), 0)
  const stop = new AbortController()
  const [cpuBefore, began] = [cpu(), performance.now()]
  const viewers = queries ? Array.from({ length: dashboards }, (_, i) => view(pipeline.url, i, stop.signal)) : []
  await feed(`127.0.0.1:${pipeline.forwardPort}`, chunks)
  await until(
    async () => (await pipeline.metric('aggregator_load_rows_total')) === rows,
    240_000,
    () => `not all of ${rows} rows were loaded`,
    50,
  )
  const seconds = (performance.now() - began) / 1000
  const spent = cpu() - cpuBefore
  stop.abort()
  return { lines: count, seconds, cpu: spent, answers: (await Promise.all(viewers)).flat() }
}

/** Of a range from about a quarter of an hour to two days Grafana asks whole minutes. */
const histogram = 'sum by (level, detected_level) (count_over_time({namespace=~".+"} | drop __error__ [1m]))'

/** What Grafana's Explore and a dashboard with a panel of logs ask. Returns how long each answer took, milliseconds. */
async function view(url: string, number: number, stop: AbortSignal): Promise<number[]> {
  const times: number[] = []
  // Not all at once.
  await sleep((refresh / dashboards) * number, undefined, { signal: stop }).catch(() => {})
  while (!stop.aborted) {
    const now = Math.floor(Date.now() / 60_000) * 60
    const range = { start: String(now - 3600), end: String(now + 60) }
    await Promise.all(
      [
        { query: histogram, step: '60', ...range },
        { query: '{namespace=~".+"}', limit: '100', ...range },
      ].map(async (parameters) => {
        const began = performance.now()
        const answer = await fetch(`${url}/loki/api/v1/query_range?${new URLSearchParams(parameters)}`)
        const text = await answer.text()
        if (!answer.ok) throw new Error(`${parameters.query}: ${answer.status} ${text}`)
        times.push(performance.now() - began)
      }),
    )
    await sleep(refresh, undefined, { signal: stop }).catch(() => {}) // told to stop
  }
  return times
}
