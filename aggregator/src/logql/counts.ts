/**
 * Range aggregations of counts and bytes whose stages the store does alone: it counts rows in buckets, or has counted them already (rollup.ts).
 */
import { timeInMinute, volumeSettings } from '../store/volume.ts'
import { mergedLabels, metadataOf } from './entry-labels.ts'
import { QueryError } from './error.ts'
import type { Labels } from './labels.ts'
import { labelsFrom, labelsKey } from './labels.ts'
import { usesIndex } from './needles.ts'
import { compileStages } from './pipeline/compile.ts'
import { WorkingEntry } from './pipeline/working-entry.ts'
import { pipelineSql } from './pipeline.ts'
import type { SamplePlan } from './plan.ts'
import {
  isOfRollup,
  type Rollup,
  type RollupLabel,
  rollupConditions,
  rollupLabel,
  rollupOf,
  stretchOf,
} from './rollup.ts'
import type { LabelExpressions } from './row-labels.ts'
import type { Reader, Statement } from './rows.ts'
import type { Series } from './series.ts'
import { split } from './split.ts'
import { all, Parameters, timeConditions } from './sql.ts'
import { isAllOfMany, isEverything, rowConditions, type StreamSet } from './streams.ts'
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

/** Where counts are taken from, and why not from the rollup. */
export type CountSource =
  | { readonly from: 'rollup'; readonly rollup: Rollup; readonly labels: readonly RollupLabel[] }
  | { readonly from: 'rows'; readonly because: string }

export function countSource({ keys, log }: SamplePlan, windows: Windows, streams: StreamSet): CountSource {
  const rows = (because: string): CountSource => ({ from: 'rows', because })
  if (keys === undefined) return rows('there are series for all labels of the rows')
  if (!isOfRollup(log.stages, streams)) return rows('a stage asks for more than the level')
  const labels: RollupLabel[] = []
  for (const name of keys) {
    const label = rollupLabel(streams, name)
    if (label === undefined) return rows(`the label ${name} is not one of every stream`)
    labels.push(label)
  }
  const rollup = rollupOf(stretchOf(windows), streams)
  return typeof rollup === 'string' ? rows(rollup) : { from: 'rollup', rollup, labels }
}

/**
 * @param everything the streams are all that there are: rows are asked for nothing but their tenant
 * @param embedded the engine takes any setting
 */
export function countsStatement(
  plan: SamplePlan,
  windows: Windows,
  streams: StreamSet,
  everything = false,
  embedded = false,
): Statement {
  const parameters = new Parameters()
  const { scope } = streams
  const { conditions, labels } = pipelineSql(parameters, split(plan.log.stages), streams)
  const from = max(windows.origin, streams.first)
  const to = min(windows.last, streams.last)
  const { bucket, conditions: windowConditions } = bucketSql(parameters, windows)
  const where = [
    ...(everything ? [scope.condition(parameters)] : rowConditions(parameters, scope, streams, from, to)),
    ...timeConditions(parameters, from, to),
    ...windowConditions,
    ...conditions,
  ]
  const columns = groupColumns(plan, labels, scope)
  return parameters.statement(
    ...groupsOf(plan, columns, [bucketsOf(plan, columns, bucket, where)]),
    embedded ? scanSettings(conditions) : '',
  )
}

/** Bytes of rows that are gone through at a time: lines are searched while they are in the core's own cache, not behind it as with 1 MB, the default. */
const scannedAtOnce = 200_000

const scanSettings = (conditions: readonly string[]): string =>
  `SETTINGS preferred_block_size_bytes = ${scannedAtOnce}${usesIndex(conditions) ? '' : ', use_skip_indexes = 0'}`

/** The same from the rollup, and from the rows of minutes in which a bucket ends. A bucket may come from both. */
export function rollupStatement(
  plan: SamplePlan,
  windows: Windows,
  streams: StreamSet,
  { rollup, labels: places }: Extract<CountSource, { from: 'rollup' }>,
  embedded = false,
): Statement {
  const parameters = new Parameters()
  const stages = plan.log.stages.filter(({ kind }) => kind !== 'line')
  const { conditions, labels } = pipelineSql(parameters, split(stages), streams)
  const { minutes, rows } = rollupConditions(parameters, rollup, streams)
  const columns = rollupColumns(plan, places, labels, streams.scope)
  const of = (where: readonly string[], time?: string): string => {
    const { bucket, conditions: windowConditions } = bucketSql(parameters, windows, time)
    return bucketsOf(plan, columns, bucket, [...where, ...windowConditions, ...conditions])
  }
  const selects = [of(minutes, timeInMinute)]
  // Older servers don't know the setting.
  if (embedded && rows === undefined && areBusy(streams)) selects[0] += ' SETTINGS use_primary_key = 0'
  if (rows !== undefined) {
    const streamsRows = rowConditions(parameters, streams.scope, streams, rollup.first, rollup.last)
    selects.push(of([...streamsRows, ...rows]))
  }
  return parameters.statement(...groupsOf(plan, columns, selects), volumeSettings)
}

/** Rows of a stream in a minute, on average. */
const busy = 12

/**
 * Before it reads the rollup, the engine looks through the sort key of all rows of its days, some 3 ns for each row, and leaves nothing out that
 * the rollup would have. Where there are many rows for each of the rollup's, reading more than is needed of that costs less.
 */
const areBusy = ({ density, streams }: StreamSet): boolean => (density * 60e9) / streams.size > busy

/** What tells groups apart, as columns of the two levels of a statement. */
interface GroupColumns {
  readonly inner: readonly string[]
  readonly outer: readonly string[]
  readonly group: readonly string[]
}

/** Counts of each bucket of each group. */
function bucketsOf(plan: SamplePlan, { inner, group }: GroupColumns, bucket: string, where: readonly string[]): string {
  const size = ofBytes(plan) ? ['sum(length(line)) AS size'] : []
  return [
    `SELECT ${[...inner, `${bucket} AS bucket`, 'count() AS rows', ...size].join(', ')}`,
    `FROM logs WHERE ${all(where)}`,
    `GROUP BY ${[...group, 'bucket'].join(', ')} LIMIT ${maxBuckets + 1}`,
  ].join('\n')
}

function groupsOf(plan: SamplePlan, { outer, group }: GroupColumns, selects: readonly string[]): string[] {
  const sizes = ofBytes(plan) ? ['groupArray(size) AS sizes'] : []
  return [
    `SELECT ${[...outer, 'groupArray(bucket) AS buckets', 'groupArray(rows) AS entries', ...sizes].join(', ')}`,
    `FROM (${selects.join('\nUNION ALL\n')})`,
    group.length > 0 ? `GROUP BY ${group.join(', ')}` : 'HAVING length(buckets) > 0',
  ]
}

const ofBytes = ({ op }: SamplePlan): boolean => op === 'bytes_over_time' || op === 'bytes_rate'

function groupColumns(plan: SamplePlan, labels: LabelExpressions, tenant: TenantScope): GroupColumns {
  if (!plan.keys) {
    const group = [...tenant.streamColumns, 'level', 'meta']
    return { inner: group, outer: [`${tenant.streamId} AS id`, 'level', 'meta'], group }
  }
  return keyColumns(plan.keys, labels)
}

function keyColumns(keys: readonly string[], labels: LabelExpressions): GroupColumns {
  // One column for each key: grouping by an array of them takes half as long again.
  const group = keys.map((_, i) => `k${i}`)
  const inner = keys.map((name, i) => `${labels.of(name)} AS k${i}`)
  const list = group.map((column) => `CAST(${column}, 'String')`).join(', ')
  return { inner, outer: [`CAST([${list}], 'Array(String)') AS keys`], group }
}

/** The rollup knows streams by their ids: labels of theirs are looked up here. */
function rollupColumns(
  { keys = [] }: SamplePlan,
  places: readonly RollupLabel[],
  labels: LabelExpressions,
  scope: TenantScope,
): GroupColumns {
  const { inner, outer, group } = keyColumns(
    keys.filter((_, i) => places[i] !== 'stream'),
    labels,
  )
  if (!places.includes('stream')) return { inner, outer, group }
  const ids = scope.streamColumns
  return { inner: [...inner, ...ids], outer: [...outer, `${scope.streamId} AS id`], group: [...group, ...ids] }
}

/** Entries of each series at each step. */
export async function readCounts(
  reader: Reader,
  plan: SamplePlan,
  windows: Windows,
  streams: StreamSet,
): Promise<Series[]> {
  const source = countSource(plan, windows, streams)
  const fromRollup =
    source.from === 'rollup'
      ? await readGroups(reader, rollupStatement(plan, windows, streams, source, reader.ownStore))
      : undefined
  // By streams there may be more groups than by their labels.
  const rows = fromRollup ?? (await countRows(reader, plan, windows, streams))
  if (rows === undefined) throw tooManyCounts()
  const labels =
    fromRollup !== undefined && source.from === 'rollup'
      ? rollupLabels(plan, streams, source.labels)
      : labelsOf(plan, streams)
  const collected = collect(rows, labels, windows)
  const seconds = plan.op === 'rate' || plan.op === 'bytes_rate' ? Number(plan.range) / 1e9 : 1
  for (const { entries } of rows) for (const count of entries) reader.totals.lines += Number(count)
  return [...collected.values()].map((sums) => sums.series(ofBytes(plan), seconds))
}

/** Undefined where there are too many. */
async function countRows(
  reader: Reader,
  plan: SamplePlan,
  windows: Windows,
  streams: StreamSet,
): Promise<GroupRow[] | undefined> {
  const { origin, last } = windows
  if (await isAllOfMany(reader, streams, origin, last)) {
    const rows = await readGroups(reader, countsStatement(plan, windows, streams, true, true))
    // Else rows of a new stream may have been counted.
    if (await isEverything(reader, streams, origin, last)) return rows
  }
  return readGroups(reader, countsStatement(plan, windows, streams, false, reader.ownStore))
}

/** Undefined where there are too many. */
async function readGroups(reader: Reader, statement: Statement): Promise<GroupRow[] | undefined> {
  const rows = await reader.read<GroupRow>(statement)
  let buckets = 0
  for (const row of rows) buckets += row.buckets.length
  return buckets > maxBuckets ? undefined : rows
}

function rollupLabels(
  { keys = [] }: SamplePlan,
  streams: StreamSet,
  places: readonly RollupLabel[],
): (row: GroupRow) => Labels {
  return (row) => {
    let next = 0
    const value = (name: string, i: number): string =>
      places[i] === 'stream' ? (streams.streams.get(row.id!)?.labels.get(name) ?? '') : row.keys![next++]!
    return labelsFrom(keys.map((name, i) => [name, value(name, i)] as const))
  }
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
