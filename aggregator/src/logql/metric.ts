/** Evaluates a metric query: reads its samples, then works on the small matrix that is left. */
import { aggregate } from './aggregate.ts'
import { binary } from './binary.ts'
import { type CountSource, countSource, readCounts } from './counts.ts'
import { QueryError } from './error.ts'
import { labelsKey } from './labels.ts'
import { isSorted, type MetricPlan, type ReplacePlan, type SamplePlan } from './plan.ts'
import { Regex } from './regex-match.ts'
import type { Reader } from './rows.ts'
import { readSamples } from './sample-source.ts'
import { constantSeries, inOrder, presentSeries, type Series, type Value } from './series.ts'
import { findStreams } from './streams.ts'
import { type Steps, windowsOf } from './windows.ts'

/** Series, or a number that is the same at every step. Series are in the order of their labels unless a `sort` decided it. */
export async function evaluateMetric(reader: Reader, plan: MetricPlan, steps: Steps): Promise<Value> {
  const value = await evaluate(reader, plan, steps)
  if (value.kind === 'scalar') return value
  const present = presentSeries(value.series)
  const series = steps.points === 1 && isSorted(plan) ? present : inOrder(present)
  const { maxSeries } = reader.limits
  if (series.length > maxSeries) throw new QueryError(`maximum of series (${maxSeries}) reached for a single query`)
  return { kind: 'series', series }
}

async function evaluate(reader: Reader, plan: MetricPlan, steps: Steps): Promise<Value> {
  switch (plan.kind) {
    case 'scalar':
      return plan
    case 'constant':
      return { kind: 'series', series: [constantSeries(plan.value, steps.points)] }
    case 'samples':
      return { kind: 'series', series: await evaluateSamples(reader, plan, steps) }
    case 'aggregate': {
      const inner = await evaluate(reader, plan.inner, steps)
      if (plan.op === 'approx_topk' && steps.points > 1)
        throw new QueryError('count min sketches are only supported on instant queries')
      return { kind: 'series', series: aggregate(plan, seriesOf(inner, steps), steps.points) }
    }
    case 'binary': {
      const left = await evaluate(reader, plan.left, steps)
      const right = await evaluate(reader, plan.right, steps)
      return binary(plan, left, right, steps.points)
    }
    case 'replace': {
      const inner = await evaluate(reader, plan.inner, steps)
      return { kind: 'series', series: replaceLabels(plan, seriesOf(inner, steps)) }
    }
  }
}

/** Where the samples of a plan are taken from that the store counts. */
export async function countSources(
  reader: Reader,
  plan: MetricPlan,
  steps: Steps,
): Promise<ReadonlyMap<SamplePlan, CountSource>> {
  const sources = new Map<SamplePlan, CountSource>()
  for (const samples of samplePlans(plan)) {
    if (samples.where !== 'store') continue
    const windows = windowsOf(samples.range, samples.offset, steps)
    const streams = await findStreams(reader, samples.log.matchers, windows.origin, windows.last)
    sources.set(samples, countSource(samples, windows, streams))
  }
  return sources
}

function samplePlans(plan: MetricPlan): SamplePlan[] {
  switch (plan.kind) {
    case 'samples':
      return [plan]
    case 'aggregate':
    case 'replace':
      return samplePlans(plan.inner)
    case 'binary':
      return [...samplePlans(plan.left), ...samplePlans(plan.right)]
    default:
      return []
  }
}

async function evaluateSamples(reader: Reader, plan: SamplePlan, steps: Steps): Promise<Series[]> {
  const found = await readSeries(reader, plan, steps)
  if (!plan.absent) return found
  const values = Array.from({ length: steps.points }, (_, step) =>
    found.some((series) => series.values[step] !== undefined) ? undefined : 1,
  )
  return [{ labels: plan.absent, values }]
}

async function readSeries(reader: Reader, plan: SamplePlan, steps: Steps): Promise<Series[]> {
  const windows = windowsOf(plan.range, plan.offset, steps)
  if (plan.range === 0n) return []
  const streams = await findStreams(reader, plan.log.matchers, windows.origin, windows.last)
  if (streams.streams.size === 0) return []
  return plan.where === 'store'
    ? readCounts(reader, plan, windows, streams)
    : readSamples(reader, plan, windows, streams)
}

/** Series that get the same labels are one, as far as no step has two of them. */
function replaceLabels(
  { destination, replacement, source, pattern }: ReplacePlan,
  series: readonly Series[],
): Series[] {
  const regex = new Regex(pattern, { anchored: true })
  const found = new Map<string, Series>()
  for (const { labels, values } of series) {
    const match = regex.first(labels.get(source) ?? '')
    let replaced = labels
    if (match) {
      const changed = new Map(labels)
      const value = regex.expand(replacement, match)
      if (value === '') changed.delete(destination)
      else changed.set(destination, value)
      replaced = new Map([...changed].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
    }
    const key = labelsKey(replaced)
    const same = found.get(key)
    found.set(key, { labels: replaced, values: same === undefined ? values : joined(same.values, values) })
  }
  return [...found.values()]
}

function joined(some: Series['values'], others: Series['values']): Series['values'] {
  return some.map((value, step) => {
    if (value !== undefined && others[step] !== undefined)
      throw new QueryError('vector cannot contain metrics with the same labelset')
    return value ?? others[step]
  })
}

/** A number where series are needed is one series without labels. */
export function seriesOf(value: Value, steps: Steps): Series[] {
  return value.kind === 'series' ? value.series : [constantSeries(value.value, steps.points)]
}
