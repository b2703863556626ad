/** Evaluates a log query: entries of all its streams in one order, up to a limit. */
import type { LogExpression } from './ast.ts'
import type { Labels } from './labels.ts'
import { pipelineSql } from './pipeline.ts'
import { type EntryLabels, entryLabels } from './row-labels.ts'
import type { Reader, Statement } from './rows.ts'
import { all, Parameters, timeConditions } from './sql.ts'
import { findStreams, rowConditions, type StreamSet } from './streams.ts'
import type { TenantScope } from './tenant-scope.ts'

export interface LogRequest {
  readonly log: LogExpression
  /** Nanoseconds, included. */
  readonly start: bigint
  /** Nanoseconds, not included. */
  readonly end: bigint
  readonly limit: number
  readonly direction: 'forward' | 'backward'
  /** At least so much time between two entries, nanoseconds; 0n for all of them. */
  readonly interval: bigint
  /** Whether entries are to say where they come from, as live tail needs it. */
  readonly places?: boolean
}

export interface Entry {
  /** Nanoseconds, decimal. */
  readonly time: string
  readonly line: string
  readonly labels: EntryLabels
  /** Source and offset, see {@link placeOf}; no two rows have the same. Only where {@link LogRequest.places} asks for it. */
  readonly place?: string
}

/** What tells a row from all others. @param source 16 bytes */
export const placeOf = (source: Buffer, offset: number): string => `${source.toString('hex')}:${offset}`

/** Rows of one source by their offset. */
export function comparePlaces(a = '', b = ''): number {
  const [left, right] = [a.split(':'), b.split(':')]
  if (left[0] !== right[0]) return left[0]! < right[0]! ? -1 : 1
  return Number(left[1]) - Number(right[1])
}

const placeColumn = "concat(lower(hex(source)), ':', toString(offset)) AS place"

/** A stretch of time, both ends included. */
interface Slice {
  readonly first: bigint
  readonly last: bigint
}

/** The first slice, and how much longer each is than the one before: most queries are answered by the first. */
const firstSlice = 600_000_000_000n
const sliceGrowth = 4n

/**
 * Cuts a stretch of time into growing slices in the order in which entries are wanted. The sort key of the store does not begin
 * with the exact time, so that asking for the newest entries of a long stretch would sort all of it.
 */
export function* slices(first: bigint, last: bigint, direction: LogRequest['direction']): Generator<Slice> {
  let [from, to] = [first, last]
  for (let length = firstSlice; from <= to; length *= sliceGrowth) {
    if (direction === 'forward') {
      const end = from + length - 1n < to ? from + length - 1n : to
      yield { first: from, last: end }
      from = end + 1n
    } else {
      const start = to - length + 1n > from ? to - length + 1n : from
      yield { first: start, last: to }
      to = start - 1n
    }
  }
}

interface EntryRow {
  readonly id: string
  readonly time: string
  readonly line: string
  readonly level: string
  readonly meta: Record<string, string>
  readonly place?: string
}

/** Entries of equal time are in the order of their source and place in it, and in the opposite order backward. */
export function entriesStatement(
  tenant: TenantScope,
  request: LogRequest,
  streams: StreamSet,
  slice: Slice,
  limit: number,
): Statement {
  const parameters = new Parameters()
  const { conditions } = pipelineSql(parameters, request.log.stages, streams)
  const where = [
    ...rowConditions(parameters, tenant, streams, slice.first, slice.last),
    ...timeConditions(parameters, slice.first, slice.last),
    ...conditions,
  ]
  const order = request.direction === 'forward' ? 'ASC' : 'DESC'
  return parameters.statement(
    `SELECT ${tenant.streamId} AS id, toString(toUnixTimestamp64Nano(ts)) AS time, line, level, meta${request.places ? `, ${placeColumn}` : ''}`,
    `FROM logs WHERE ${all(where)}`,
    `ORDER BY ts ${order}, source ${order}, offset ${order}`,
    `LIMIT ${parameters.bind('UInt32', limit)}`,
  )
}

export async function evaluateLog(reader: Reader, request: LogRequest): Promise<Entry[]> {
  const streams = await findStreams(reader, request.log.matchers, request.start, request.end - 1n)
  const entries: Entry[] = []
  if (streams.streams.size === 0) return entries
  const { labels } = pipelineLabels(request, streams)
  let { first, last } = streams
  while (entries.length < request.limit && first <= last) {
    const rest = await readSlices(reader, request, streams, { first, last }, entries, labels)
    if (!rest) break
    ;({ first, last } = rest)
  }
  reader.totals.lines += entries.length
  return entries
}

type LabelsOf = (row: EntryRow) => EntryLabels

function pipelineLabels(request: LogRequest, streams: StreamSet): { labels: LabelsOf } {
  const { drops } = pipelineSql(new Parameters(), request.log.stages, streams)
  const compiled = entryLabels(drops)
  const bare = new Map<string, EntryLabels>()
  const labels: LabelsOf = (row) => {
    const stream: Labels = streams.streams.get(row.id)!.labels
    // Most entries of a stream have the same metadata or none.
    if (Object.keys(row.meta).length > 0) return compiled(stream, row.level, row.meta)
    const key = `${row.id} ${row.level}`
    let found = bare.get(key)
    if (!found) bare.set(key, (found = compiled(stream, row.level, row.meta)))
    return found
  }
  return { labels }
}

/** With an interval, one entry is read at a time and the search goes on behind it: what lies between is not read. */
async function readSlices(
  reader: Reader,
  request: LogRequest,
  streams: StreamSet,
  stretch: Slice,
  entries: Entry[],
  labels: LabelsOf,
): Promise<Slice | undefined> {
  for (const slice of slices(stretch.first, stretch.last, request.direction)) {
    const wanted = request.interval === 0n ? request.limit - entries.length : 1
    const rows = await reader.read<EntryRow>(entriesStatement(reader.tenant, request, streams, slice, wanted))
    for (const row of rows) {
      const { line, place, time } = row
      entries.push({ time, line, labels: labels(row), ...(place !== undefined && { place }) })
    }
    if (entries.length >= request.limit) return undefined
    if (request.interval > 0n && rows.length > 0) return behind(request, stretch, BigInt(rows.at(-1)!.time))
  }
  return undefined
}

function behind(request: LogRequest, { first, last }: Slice, time: bigint): Slice {
  return request.direction === 'forward'
    ? { first: time + request.interval, last }
    : { first, last: time - request.interval }
}
