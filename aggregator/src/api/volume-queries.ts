/** How many bytes of lines streams have, in stretches of time. */
import type { Matcher } from '../logql/ast.ts'
import type { Labels } from '../logql/labels.ts'
import type { Reader } from '../logql/rows.ts'
import { all, Parameters, timeConditions } from '../logql/sql.ts'
import { findStreams, rowConditions, type StreamSet, streamConditions } from '../logql/streams.ts'
import type { TimeRange } from './params.ts'

export interface StreamVolume {
  readonly labels: Labels
  /** By number of the stretch. */
  readonly bytes: ReadonlyMap<number, number>
}

const day = 86_400_000_000_000n

/**
 * The bytes of each stream's lines in [start, end). Whole days are taken from the `streams` table, which has them by day; only what is left
 * of the first and the last is counted row by row.
 */
export async function readVolume(
  reader: Reader,
  matchers: readonly Matcher[],
  { start, end }: TimeRange,
): Promise<StreamVolume[]> {
  const streams = await findStreams(reader, matchers, start, end - 1n)
  const total = new Map<string, number>()
  const add = (rows: readonly VolumeRow[]) => {
    for (const { id, size } of rows) total.set(id, (total.get(id) ?? 0) + Number(size))
  }
  const firstDay = ((start > 0n ? start : 0n) + day - 1n) / day
  const endDay = end / day
  if (firstDay < endDay) {
    add(await readDays(reader, matchers, firstDay, endDay))
    add(await readRows(reader, streams, { start, end: firstDay * day }))
    add(await readRows(reader, streams, { start: endDay * day, end }))
  } else add(await readRows(reader, streams, { start, end }))
  return [...total].map(([id, bytes]) => ({ labels: labelsOf(streams, id), bytes: new Map([[0, bytes]]) }))
}

/** The bytes of each stream's lines in stretches of `step` that begin at `origin`. */
export async function readVolumeSteps(
  reader: Reader,
  matchers: readonly Matcher[],
  range: TimeRange,
  { origin, step }: { readonly origin: bigint; readonly step: bigint },
): Promise<StreamVolume[]> {
  const streams = await findStreams(reader, matchers, range.start, range.end - 1n)
  const found = new Map<string, Map<number, number>>()
  for (const { bucket, id, size } of await readRows(reader, streams, range, { origin, step })) {
    let buckets = found.get(id)
    if (buckets === undefined) found.set(id, (buckets = new Map()))
    buckets.set(Number(bucket), Number(size))
  }
  return [...found].map(([id, bytes]) => ({ labels: labelsOf(streams, id), bytes }))
}

interface VolumeRow {
  readonly id: string
  readonly bucket: string
  readonly size: string
}

const labelsOf = (streams: StreamSet, id: string): Labels => streams.streams.get(id)?.labels ?? new Map()

async function readRows(
  reader: Reader,
  streams: StreamSet,
  { start, end }: TimeRange,
  steps?: { readonly origin: bigint; readonly step: bigint },
): Promise<VolumeRow[]> {
  const first = start > streams.first ? start : streams.first
  const last = end - 1n < streams.last ? end - 1n : streams.last
  if (first > last || streams.streams.size === 0) return []
  const parameters = new Parameters()
  const place =
    steps === undefined
      ? '0'
      : `intDiv(toUnixTimestamp64Nano(ts) - ${parameters.int(steps.origin)}, ${parameters.int(steps.step)})`
  const where = [
    ...rowConditions(parameters, reader.tenant, streams, first, last),
    ...timeConditions(parameters, first, last),
  ]
  const statement = parameters.statement(
    `SELECT ${reader.tenant.streamId} AS id, toString(${place}) AS bucket, toString(sum(length(line))) AS size`,
    `FROM logs WHERE ${all(where)} GROUP BY id, bucket`,
  )
  return reader.read<VolumeRow>(statement)
}

/** Of whole days, from `first` up to before `end`, in days since 1970. */
async function readDays(
  reader: Reader,
  matchers: readonly Matcher[],
  first: bigint,
  end: bigint,
): Promise<VolumeRow[]> {
  const parameters = new Parameters()
  const conditions = streamConditions(parameters, reader.tenant, matchers, first * day, end * day - 1n)
  const statement = parameters.statement(
    `SELECT ${reader.tenant.streamId} AS id, '0' AS bucket, toString(sum(bytes)) AS size`,
    `FROM streams WHERE ${all(conditions)} GROUP BY id`,
  )
  return reader.read<VolumeRow>(statement)
}
