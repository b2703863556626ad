/** How many bytes of lines streams have, in stretches of time: from the rollup, and from rows where a stretch ends within a minute. */
import type { Matcher } from '../logql/ast.ts'
import type { Labels } from '../logql/labels.ts'
import { rollupConditions, rollupOf } from '../logql/rollup.ts'
import type { Reader } from '../logql/rows.ts'
import { all, Parameters, timeConditions } from '../logql/sql.ts'
import { findStreams, rowConditions, type StreamSet } from '../logql/streams.ts'
import { max, min } from '../logql/windows.ts'
import { timeInMinute, volumeSettings } from '../store/volume.ts'
import type { TimeRange } from './params.ts'

export interface StreamVolume {
  readonly labels: Labels
  /** By number of the stretch. */
  readonly bytes: ReadonlyMap<number, number>
}

/** Where stretches begin: at `origin`, and each `step` behind it. */
interface Stretches {
  readonly origin: bigint
  readonly step: bigint
}

/** The bytes of each stream's lines in [start, end). */
export function readVolume(reader: Reader, matchers: readonly Matcher[], range: TimeRange): Promise<StreamVolume[]> {
  return readStretches(reader, matchers, range)
}

/** The bytes of each stream's lines in stretches of `step` that begin at `origin`. */
export function readVolumeSteps(
  reader: Reader,
  matchers: readonly Matcher[],
  range: TimeRange,
  stretches: Stretches,
): Promise<StreamVolume[]> {
  return readStretches(reader, matchers, range, stretches)
}

async function readStretches(
  reader: Reader,
  matchers: readonly Matcher[],
  range: TimeRange,
  stretches?: Stretches,
): Promise<StreamVolume[]> {
  const streams = await findStreams(reader, matchers, range.start, range.end - 1n)
  const found = new Map<string, Map<number, number>>()
  for (const { bucket, id, size } of await countVolume(reader, streams, range, stretches)) {
    let buckets = found.get(id)
    if (buckets === undefined) found.set(id, (buckets = new Map()))
    buckets.set(Number(bucket), (buckets.get(Number(bucket)) ?? 0) + Number(size))
  }
  return [...found].map(([id, bytes]) => ({ labels: labelsOf(streams, id), bytes }))
}

/** Of a stream in a stretch there may be two: what the rollup has, and what was counted row by row. */
export interface VolumeRow {
  readonly id: string
  readonly bucket: string
  readonly size: string
  readonly entries: string
}

const labelsOf = (streams: StreamSet, id: string): Labels => streams.streams.get(id)?.labels ?? new Map()

/** Rows and bytes of streams in [start, end), by stretch. */
export async function countVolume(
  reader: Reader,
  streams: StreamSet,
  { start, end }: TimeRange,
  stretches?: Stretches,
): Promise<VolumeRow[]> {
  if (start >= end || streams.streams.size === 0) return []
  const parameters = new Parameters()
  const select = (where: readonly string[], time: string): string => {
    const place =
      stretches === undefined
        ? '0'
        : `intDiv(${time} - ${parameters.int(stretches.origin)}, ${parameters.int(stretches.step)})`
    return [
      `SELECT ${reader.tenant.streamColumns.join(', ')}, ${place} AS bucket, sum(length(line)) AS size, count() AS entries`,
      `FROM logs WHERE ${all(where)} GROUP BY ${reader.tenant.streamColumns.join(', ')}, bucket`,
    ].join('\n')
  }
  const [first, last] = [max(start, streams.first), min(end - 1n, streams.last)]
  if (first > last) return []
  const ofRows = (conditions: readonly string[]): string =>
    select([...rowConditions(parameters, reader.tenant, streams, first, last), ...conditions], rowTime)
  const selects: string[] = []
  const buckets = stretches && { ...stretches, phase: 0n }
  const rollup = rollupOf({ first: start, last: end - 1n, buckets }, streams)
  if (typeof rollup === 'string') selects.push(ofRows(timeConditions(parameters, first, last)))
  else {
    const { minutes, rows } = rollupConditions(parameters, rollup, streams)
    selects.push(select(minutes, timeInMinute))
    if (rows !== undefined) selects.push(ofRows(rows))
  }
  const statement = parameters.statement(
    `SELECT ${reader.tenant.streamId} AS id, toString(bucket) AS bucket, toString(size) AS size, toString(entries) AS entries`,
    `FROM (${selects.join('\nUNION ALL\n')})`,
    volumeSettings,
  )
  return reader.read<VolumeRow>(statement)
}

const rowTime = 'toUnixTimestamp64Nano(ts)'
