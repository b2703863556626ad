/** Range aggregations of counts and bytes whose stages the store does alone: it counts rows in buckets. */
import { mergedLabels, metadataOf } from './entry-labels.ts'
import { QueryError } from './error.ts'
import type { Labels } from './labels.ts'
import { labelsFrom, labelsKey } from './labels.ts'
import { compileStages } from './pipeline/compile.ts'
import { WorkingEntry } from './pipeline/working-entry.ts'
import { pipelineSql } from './pipeline.ts'
import type { SamplePlan } from './plan.ts'
import type { LabelExpressions } from './row-labels.ts'
import type { Reader, Statement } from './rows.ts'
import type { Series } from './series.ts'
import { split } from './split.ts'
import { all, Parameters, timeConditions } from './sql.ts'
import { rowConditions, type StreamSet } from './streams.ts'
import type { TenantScope } from './tenant-scope.ts'
import { BucketSteps, bucketSql, max, min, type Windows } from './windows.ts'

/** More buckets than this, over all groups, are refused: they would exhaust the memory of this process. */
const maxBuckets = 2_000_000

export const tooManyCounts = (): QueryError =>
  new QueryError(
    `the query needs more than ${maxBuckets} counts in memory: aggregate by fewer labels, or use a longer step`,
  )

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

export function countsStatement(plan: SamplePlan, windows: Windows, streams: StreamSet): Statement {
  const parameters = new Parameters()
  const { scope } = streams
  const { conditions, labels } = pipelineSql(parameters, split(plan.log.stages), streams)
  const from = max(windows.origin, streams.first)
  const to = min(windows.last, streams.last)
  const { bucket, conditions: windowConditions } = bucketSql(parameters, windows)
  const where = [
    ...rowConditions(parameters, scope, streams, from, to),
    ...timeConditions(parameters, from, to),
    ...windowConditions,
    ...conditions,
  ]
  const { inner, outer, group } = groupColumns(plan, labels, scope)
  const [size, sizes] = ofBytes(plan) ? [['sum(length(line)) AS size'], ['groupArray(size) AS sizes']] : [[], []]
  return parameters.statement(
    `SELECT ${[...outer, 'groupArray(bucket) AS buckets', 'groupArray(rows) AS entries', ...sizes].join(', ')}`,
    `FROM (SELECT ${[...inner, `${bucket} AS bucket`, 'count() AS rows', ...size].join(', ')}`,
    `FROM logs WHERE ${all(where)}`,
    `GROUP BY ${[...group, 'bucket'].join(', ')} LIMIT ${maxBuckets + 1})`,
    group.length > 0 ? `GROUP BY ${group.join(', ')}` : 'HAVING length(buckets) > 0',
  )
}

const ofBytes = ({ op }: SamplePlan): boolean => op === 'bytes_over_time' || op === 'bytes_rate'

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

/** Entries of each series at each step. */
export async function readCounts(
  reader: Reader,
  plan: SamplePlan,
  windows: Windows,
  streams: StreamSet,
): Promise<Series[]> {
  const rows = await reader.read<GroupRow>(countsStatement(plan, windows, streams))
  let buckets = 0
  for (const row of rows) buckets += row.buckets.length
  if (buckets > maxBuckets) throw tooManyCounts()
  const collected = collect(rows, labelsOf(plan, streams), windows)
  const seconds = plan.op === 'rate' || plan.op === 'bytes_rate' ? Number(plan.range) / 1e9 : 1
  for (const { entries } of rows) for (const count of entries) reader.totals.lines += Number(count)
  return [...collected.values()].map((sums) => sums.series(ofBytes(plan), seconds))
}

function labelsOf(plan: SamplePlan, streams: StreamSet): (row: GroupRow) => Labels {
  const { keys } = plan
  if (keys) return (row) => labelsFrom(keys.map((name, i) => [name, row.keys![i]!] as const))
  const drop = compileStages(plan.log.stages.filter(({ kind }) => kind === 'drop'))
  const entry = new WorkingEntry()
  return (row) => {
    const stream = streams.streams.get(row.id!)!.labels
    entry.begin(0n, '', stream, metadataOf(stream, row.level!, Object.entries(row.meta!)))
    drop(entry)
    return mergedLabels({
      stream: entry.streamLabels(),
      metadata: entry.metadataLabels(),
      parsed: entry.parsedLabels(),
    })
  }
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
  readonly #steps: BucketSteps
  readonly #entries: Float64Array
  readonly #bytes: Float64Array

  constructor(labels: Labels, windows: Pick<Windows, 'step' | 'range' | 'points'>) {
    this.#labels = labels
    this.#points = windows.points
    this.#steps = new BucketSteps(windows)
    this.#entries = new Float64Array(windows.points + 1)
    this.#bytes = new Float64Array(windows.points + 1)
  }

  add(bucket: number, entries: number, bytes: number): void {
    const from = this.#steps.first(bucket)
    const to = this.#steps.last(bucket)
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
