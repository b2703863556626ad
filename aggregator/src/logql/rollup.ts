/**
 * What of a stretch of time can be taken from the rollup of volume (store/volume.ts), which knows whole minutes only. A minute that a bucket
 * begins or ends within is counted from its rows instead, so that the sum is exact. Pure.
 */
import { minuteOf, timeInMinute, volumeMinute } from '../store/volume.ts'
import type { LabelFilter, Stage } from './ast.ts'
import { errorLabels } from './row-labels.ts'
import { levelLabel, type Parameters, timeConditions } from './sql.ts'
import { coverage, type StreamSet, streamIdConditions } from './streams.ts'
import { max, min, type Windows } from './windows.ts'

/** Buckets of a stretch: where rows of one bucket end and those of the next begin. Nanoseconds; both ends included. */
export interface Stretch {
  readonly first: bigint
  readonly last: bigint
  /** A bucket begins at `origin + k * step`, and at `phase` behind that where it is not 0. Undefined: there is one bucket. */
  readonly buckets?: { readonly origin: bigint; readonly step: bigint; readonly phase: bigint } | undefined
}

/** Rows of whole minutes come from the rollup, those of the minutes named here from `logs`. */
export interface Rollup extends Stretch {
  /** Minutes since 1970, rising. */
  readonly cut: readonly bigint[]
}

/** More minutes than these are not named in a statement. */
const maxCut = 200
/** Reading rows of more than a part of the minutes is not worth reading the rollup beside it. */
const maxCutShare = 4n

const tooManyCut = 'within too many of the minutes a bucket begins or ends'

/** Two nanoseconds of each minute are told apart by the rollup: the full minute, and all behind it. */
const isWhole = (edge: bigint): boolean => edge % volumeMinute <= 1n

/** How a stretch is read; a reason where the rollup is of no use. */
export function rollupOf(asked: Stretch, streams: StreamSet): Rollup | string {
  const stretch = occupied(asked, streams)
  const { first, last } = stretch
  if (first < 0n || first > last) return 'nothing lies in it'
  const cut = new Set<bigint>()
  for (const edge of edgesOf(stretch)) {
    if (!isWhole(edge)) cut.add(edge / volumeMinute)
    if (cut.size > maxCut) return tooManyCut
  }
  const minutes = last / volumeMinute - first / volumeMinute + 1n
  if (BigInt(cut.size) * maxCutShare > minutes) return tooManyCut
  return { ...stretch, cut: [...cut].sort((a, b) => (a < b ? -1 : 1)) }
}

/** Those that may lie within a minute. */
function* edgesOf({ first, last, buckets }: Stretch): Generator<bigint> {
  yield first
  yield last + 1n
  if (buckets === undefined) return
  const { origin, step, phase } = buckets
  for (const start of phase === 0n ? [origin] : [origin, origin + phase]) {
    // All edges of it, or none.
    if (step % volumeMinute === 0n && isWhole(start)) continue
    const skipped = first > start ? (first - start) / step : 0n
    for (let edge = start + skipped * step; edge <= last; edge += step) if (edge >= first) yield edge
  }
}

/** The stretch that windows of a range aggregation cover. */
export function stretchOf({ origin, last, step, range }: Windows): Stretch {
  return { first: origin, last, buckets: { origin, step, phase: range % step } }
}

/** What of a stretch has rows of the streams: beyond the first and the last one there is nothing to count. Cut off at full minutes. */
function occupied(stretch: Stretch, streams: StreamSet): Stretch {
  const before = (streams.first / volumeMinute) * volumeMinute
  const after = (streams.last / volumeMinute + 1n) * volumeMinute - 1n
  return { ...stretch, first: max(stretch.first, before), last: min(stretch.last, after) }
}

/**
 * Conditions for the whole minutes of a rollup, and for the rows of the others, if any. Those for rows say nothing of streams. Statements
 * that use the first end with {@link volumeSettings}.
 */
export function rollupConditions(
  parameters: Parameters,
  { first, last, cut }: Rollup,
  streams: StreamSet,
): { readonly minutes: readonly string[]; readonly rows: readonly string[] | undefined } {
  const minutes = [
    ...streamIdConditions(parameters, streams.scope, streams, first, last),
    `${minuteOf} >= ${parameters.int(first / volumeMinute)}`,
    `${minuteOf} <= ${parameters.int(last / volumeMinute)}`,
    `${timeInMinute} >= ${parameters.int(first)}`,
    `${timeInMinute} <= ${parameters.int(last)}`,
  ]
  if (cut.length === 0) return { minutes, rows: undefined }
  const named = parameters.bind('Array(Int64)', cut.map(Number))
  const buckets = [...new Set(cut.map((minute) => (minute / bucketMinutes) * bucketMinutes * secondsPerMinute))]
  const inBuckets = buckets.every((second) => second < maxDateTime)
    ? [`toStartOfFiveMinutes(ts) IN (${buckets.map((second) => `toDateTime(${second}, 'UTC')`).join(', ')})`]
    : []
  return {
    minutes: [...minutes, `${minuteOf} NOT IN ${named}`],
    rows: [...timeConditions(parameters, first, last), ...inBuckets, `${minuteOf} IN ${named}`],
  }
}

/** The bucket that leads the sort key of `logs`, written out as it stands there. It is a DateTime, 32 bits of seconds. */
const bucketMinutes = 5n
const secondsPerMinute = 60n
const maxDateTime = 2n ** 32n

/** Where the rollup has a label: in a column, as one of the stream's own, or nowhere ('' for each row). */
export type RollupLabel = 'level' | 'told' | 'stream' | 'absent'

/** Undefined where only rows have it. */
export function rollupLabel(streams: StreamSet, name: string): RollupLabel | undefined {
  if (errorLabels.has(name)) return 'absent'
  const share = coverage(streams, name)
  if (share === 'all') return 'stream'
  if (share === 'some') return undefined
  return name === levelLabel ? 'level' : name === 'level' ? 'told' : undefined
}

/** Whether stages leave rows out by nothing but what the rollup has, and change no label that is asked for. */
export function isOfRollup(stages: readonly Stage[], streams: StreamSet): boolean {
  return stages.every((stage) => {
    if (stage.kind === 'drop') return stage.choices.every(({ name }) => errorLabels.has(name))
    if (stage.kind === 'label') return isFilteredByLevel(stage.filter, streams)
    // Grafana's query builder leaves a filter that every line passes.
    return stage.kind === 'line' && stage.op === '|=' && stage.alternatives.some(({ value, ip }) => value === '' && !ip)
  })
}

function isFilteredByLevel(filter: LabelFilter, streams: StreamSet): boolean {
  if ('left' in filter) return isFilteredByLevel(filter.left, streams) && isFilteredByLevel(filter.right, streams)
  if (filter.kind !== 'string') return false
  const label = rollupLabel(streams, filter.matcher.name)
  return label === 'level' || label === 'told'
}
