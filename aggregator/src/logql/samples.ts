/**
 * Range aggregations of counts and bytes. The window of the step at time t is (t - range, t].
 *
 * The store counts rows in buckets, and windows are put together from buckets here. With n = ts - (first step - range) - 1, the window of
 * step k holds n from k*step up to, not including, k*step + range. So its edges lie where n mod step is 0 or (range mod step), and two
 * buckets for each step are enough to be exact, whatever the two durations are.
 */

import { QueryError } from './error.ts'
import type { Labels } from './labels.ts'
import { labelsFrom, labelsKey } from './labels.ts'
import { dropsOf, pipelineSql } from './pipeline.ts'
import type { SamplePlan } from './plan.ts'
import { entryLabels, type LabelExpressions, mergedLabels } from './row-labels.ts'
import type { Reader, Statement } from './rows.ts'
import type { Series } from './series.ts'
import { all, Parameters, timeConditions } from './sql.ts'
import { findStreams, rowConditions, type StreamSet } from './streams.ts'
import type { TenantScope } from './tenant-scope.ts'

/** The steps at which a metric query is evaluated, nanoseconds: start, start + step, … */
export interface Steps {
  readonly start: bigint
  /** Positive; irrelevant when there is one point. */
  readonly step: bigint
  readonly points: number
}

/** More buckets than this, over all groups, are refused: they would exhaust the memory of this process. */
const maxBuckets = 2_000_000

/** How rows fall into windows. */
interface Windows {
  /** The time of n = 0. */
  readonly origin: bigint
  /** Of the last row that any window holds. */
  readonly last: bigint
  readonly step: bigint
  readonly range: bigint
  readonly points: number
}

function windowsOf(plan: SamplePlan, steps: Steps): Windows {
  const first = steps.start - plan.offset
  // A single point is at the end of its window however long its step is, and with one as long there is one bucket.
  const step = steps.points === 1 && plan.range > steps.step ? plan.range : steps.step
  return {
    origin: first - plan.range + 1n,
    last: first + BigInt(steps.points - 1) * steps.step,
    step,
    range: plan.range,
    points: steps.points,
  }
}

/** One group of the store with its buckets: arrays of equal length, 64-bit numbers as the store writes them. */
interface GroupRow {
  readonly buckets: (string | number)[]
  readonly entries: (string | number)[]
  readonly sizes?: (string | number)[]
  readonly id?: string
  readonly level?: string
  readonly meta?: Record<string, string>
  readonly keys?: string[]
}

export function samplesStatement(
  tenant: TenantScope,
  plan: SamplePlan,
  windows: Windows,
  streams: StreamSet,
): Statement {
  const parameters = new Parameters()
  const { conditions, labels } = pipelineSql(parameters, plan.log.stages, streams)
  const { origin, last, step, range } = windows
  const n = `(toUnixTimestamp64Nano(ts) - ${parameters.int(origin)})`
  const phase = range % step
  const place = `${n} % ${parameters.int(step)}`
  const half = phase === 0n ? '0' : `(${place} >= ${parameters.int(phase)})`
  const from = max(origin, streams.first)
  const to = min(last, streams.last)
  const where = [
    ...rowConditions(parameters, tenant, streams, from, to),
    ...timeConditions(parameters, from, to),
    ...(range < step ? [`${place} < ${parameters.int(range)}`] : []),
    ...conditions,
  ]
  const { inner, outer, group } = groupColumns(plan, labels, tenant)
  const bytes = plan.op === 'bytes_over_time' || plan.op === 'bytes_rate'
  const [size, sizes] = bytes ? [['sum(length(line)) AS size'], ['groupArray(size) AS sizes']] : [[], []]
  const bucket = `2 * intDiv(${n}, ${parameters.int(step)}) + ${half} AS bucket`
  return parameters.statement(
    `SELECT ${[...outer, 'groupArray(bucket) AS buckets', 'groupArray(rows) AS entries', ...sizes].join(', ')}`,
    `FROM (SELECT ${[...inner, bucket, 'count() AS rows', ...size].join(', ')}`,
    `FROM logs WHERE ${all(where)}`,
    `GROUP BY ${[...group, 'bucket'].join(', ')} LIMIT ${maxBuckets + 1})`,
    group.length > 0 ? `GROUP BY ${group.join(', ')}` : 'HAVING length(buckets) > 0',
  )
}

/** What tells groups apart, as columns of the two levels of the statement. */
function groupColumns(
  plan: SamplePlan,
  labels: LabelExpressions,
  tenant: TenantScope,
): { inner: readonly string[]; outer: readonly string[]; group: readonly string[] } {
  if (!plan.keys) {
    const group = [...tenant.streamColumns, 'level', 'meta']
    return { inner: group, outer: [`${tenant.streamId} AS id`, 'level', 'meta'], group }
  }
  // One column for each key: grouping by an array of them takes half as long again.
  const group = plan.keys.map((_, i) => `k${i}`)
  const inner = plan.keys.map((name, i) => `${labels.of(name)} AS k${i}`)
  const list = group.map((column) => `CAST(${column}, 'String')`).join(', ')
  return { inner, outer: [`CAST([${list}], 'Array(String)') AS keys`], group }
}

/** The series of a range aggregation. */
export async function readSamples(reader: Reader, plan: SamplePlan, steps: Steps): Promise<Series[]> {
  const windows = windowsOf(plan, steps)
  if (plan.range === 0n) return []
  const streams = await findStreams(reader, plan.log.matchers, windows.origin, windows.last)
  if (streams.streams.size === 0) return []
  const rows = await reader.read<GroupRow>(samplesStatement(reader.tenant, plan, windows, streams))
  refuseTooMany(rows)
  const collected = collect(rows, labelsOf(plan, streams), windows)
  const seconds = plan.op === 'rate' || plan.op === 'bytes_rate' ? Number(plan.range) / 1e9 : 1
  for (const { entries } of rows) for (const count of entries) reader.totals.lines += Number(count)
  return [...collected.values()].map((sums) => sums.series(plan.op.startsWith('bytes'), seconds))
}

function refuseTooMany(rows: readonly GroupRow[]): void {
  let buckets = 0
  for (const row of rows) buckets += row.buckets.length
  if (buckets > maxBuckets) {
    throw new QueryError(
      `the query needs more than ${maxBuckets} counts in memory: aggregate by fewer labels, or use a longer step`,
    )
  }
}

function labelsOf(plan: SamplePlan, streams: StreamSet): (row: GroupRow) => Labels {
  const { keys } = plan
  if (keys) return (row) => labelsFrom(keys.map((name, i) => [name, row.keys![i]!] as const))
  const labels = entryLabels(dropsOf(plan.log.stages))
  return (row) => mergedLabels(labels(streams.streams.get(row.id!)!.labels, row.level!, row.meta!))
}

function collect(
  rows: readonly GroupRow[],
  labelsOfRow: (row: GroupRow) => Labels,
  windows: Windows,
): Map<string, WindowSums> {
  const collected = new Map<string, WindowSums>()
  for (const row of rows) {
    const labels = labelsOfRow(row)
    const key = labelsKey(labels)
    let sums = collected.get(key)
    if (!sums) collected.set(key, (sums = new WindowSums(labels, windows)))
    for (const [i, bucket] of row.buckets.entries())
      sums.add(Number(bucket), Number(row.entries[i]), Number(row.sizes?.[i] ?? 0))
  }
  return collected
}

/** Adds buckets up to windows: a bucket belongs to a run of steps, so its ends are noted and the sums follow in one pass. */
export class WindowSums {
  readonly #labels: Labels
  readonly #points: number
  /** How many steps before its own a bucket reaches back to: of the bucket up to the phase, and of the one after it. */
  readonly #reach: readonly [number, number]
  readonly #entries: Float64Array
  readonly #bytes: Float64Array

  constructor(labels: Labels, { step, range, points }: Pick<Windows, 'step' | 'range' | 'points'>) {
    this.#labels = labels
    this.#points = points
    // No bucket is further than its window: the quotient is bounded by the points, not by the durations.
    const whole = Number(min(range / step, BigInt(Number.MAX_SAFE_INTEGER)))
    this.#reach = range % step === 0n ? [whole - 1, whole - 1] : [whole, whole - 1]
    this.#entries = new Float64Array(points + 1)
    this.#bytes = new Float64Array(points + 1)
  }

  add(bucket: number, entries: number, bytes: number): void {
    const step = Math.floor(bucket / 2)
    const from = Math.max(0, step - this.#reach[bucket % 2]!)
    const to = Math.min(this.#points - 1, step)
    if (from > to) return
    this.#entries[from]! += entries
    this.#entries[to + 1]! -= entries
    this.#bytes[from]! += bytes
    this.#bytes[to + 1]! -= bytes
  }

  /** A window without entries has no point. */
  series(ofBytes: boolean, divisor: number): Series {
    let entries = 0
    let bytes = 0
    const values = Array.from({ length: this.#points }, (_, step) => {
      entries += this.#entries[step]!
      bytes += this.#bytes[step]!
      return entries === 0 ? undefined : (ofBytes ? bytes : entries) / divisor
    })
    return { labels: this.#labels, values }
  }
}

const min = (a: bigint, b: bigint): bigint => (a < b ? a : b)
const max = (a: bigint, b: bigint): bigint => (a > b ? a : b)
