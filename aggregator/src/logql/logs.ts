/**
 * Evaluates a log query: entries of all its streams in one order, up to a limit. The store sorts a batch at a time, so that neither it nor
 * this process holds more than one, however many entries the stages that are done here filter out.
 */
import type { LogExpression, Stage } from './ast.ts'
import type { EntryLabels } from './entry-labels.ts'
import { namesFewLines } from './needles.ts'
import { shownText } from './pipeline/lines.ts'
import { pipelineSql } from './pipeline.ts'
import { RowDecoder } from './row-decoder.ts'
import { RowPipeline } from './row-pipeline.ts'
import type { Reader, Statement } from './rows.ts'
import { RowsAhead } from './rows-ahead.ts'
import { type Split, split } from './split.ts'
import { all, Parameters, timeConditions } from './sql.ts'
import { findStreams, isAllOfMany, rowConditions, type StreamSet } from './streams.ts'
import { max, min } from './windows.ts'

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

/** A stretch of time, both ends included. */
interface Slice {
  readonly first: bigint
  readonly last: bigint
}

/** How much longer each slice is than the one before. */
const sliceGrowth = 4n
/** For what is in few lines: there is little to sort, however long a slice is, and each costs a statement. */
const rareSliceGrowth = 64n
/** The first slice where stages filter out nobody knows how much. */
const filteredSlice = 600_000_000_000n
/** What it would be for entries that come evenly, so many times over: most queries are to be answered by it. */
const sliceReserve = 3
const longestFirstSlice = 86_400_000_000_000n
/** The sort key of the store begins with five minutes: a longer slice costs no less for a part of them. A shorter one reads fewer parts. */
const sliceUnit = 300_000_000_000n

/** How long the first slice is to be, nanoseconds. @param density entries in each nanosecond, about */
export function firstSlice(limit: number, density: number, filters: boolean): bigint {
  if (filters || density === 0) return filteredSlice
  const length = (limit * sliceReserve) / density
  return length < Number(longestFirstSlice) ? BigInt(Math.ceil(length)) : longestFirstSlice
}

/**
 * Cuts a stretch of time into growing slices in the order in which entries are wanted, at whole {@link sliceUnit}s but for what is shorter. The
 * sort key of the store does not begin with the exact time, so that asking for the newest entries of a long stretch would sort all of it.
 *
 * @param length of the first one at least, nanoseconds
 */
export function* slices(
  first: bigint,
  last: bigint,
  direction: LogRequest['direction'],
  length = filteredSlice,
  growth = sliceGrowth,
): Generator<Slice> {
  let [from, to] = [first, last]
  for (; from <= to; length = (length > sliceUnit ? length : sliceUnit) * growth) {
    if (direction === 'forward') {
      const end = min((length < sliceUnit ? from + length : upTo(from + length)) - 1n, to)
      yield { first: from, last: end }
      from = end + 1n
    } else {
      const edge = to - length + 1n
      const start = max(length < sliceUnit ? edge : downTo(edge), from)
      yield { first: start, last: to }
      to = start - 1n
    }
  }
}

/** The whole unit at or before a time. */
const downTo = (time: bigint): bigint => time - (((time % sliceUnit) + sliceUnit) % sliceUnit)
const upTo = (time: bigint): bigint => downTo(time + sliceUnit - 1n)

/**
 * Entries of equal time are in the order of their source and place in it, and in the opposite order backward.
 *
 * @param everything the streams are all that there are, or were: rows are asked for nothing but their tenant, and may be of streams that came since
 */
export function entriesStatement(
  request: LogRequest,
  parts: Split,
  streams: StreamSet,
  slice: Slice,
  limit: number,
  everything = false,
): Statement {
  const parameters = new Parameters()
  const { scope } = streams
  const where = [
    ...(everything
      ? [scope.condition(parameters)]
      : rowConditions(parameters, scope, streams, slice.first, slice.last)),
    ...timeConditions(parameters, slice.first, slice.last),
    ...pipelineSql(parameters, parts, streams).conditions,
  ]
  const order = request.direction === 'forward' ? 'ASC' : 'DESC'
  return parameters.statement(
    `SELECT ${streams.scope.streamId}, toUnixTimestamp64Nano(ts), ${request.places ? 'source, offset, ' : ''}line, level, meta`,
    `FROM logs WHERE ${all(where)}`,
    `ORDER BY ts ${order}, source ${order}, offset ${order}`,
    `LIMIT ${parameters.bind('UInt32', limit)}`,
  )
}

export async function evaluateLog(reader: Reader, request: LogRequest): Promise<Entry[]> {
  const streams = await findStreams(reader, request.log.matchers, request.start, request.end - 1n)
  if (streams.streams.size === 0) return []
  const isOfFew = request.log.stages.some(isRare)
  // The indexes of all parts are asked for what is in few lines: for that alone, if possible.
  const everything = isOfFew && (await isAllOfMany(reader, streams, request.start, request.end - 1n))
  const search = new Search(reader, request, streams, everything)
  const growth = isOfFew ? rareSliceGrowth : sliceGrowth
  const filters = request.interval > 0n || request.log.stages.some(canFilter)
  const length = firstSlice(request.limit, streams.density, filters)
  const cut = [...slices(streams.first, streams.last, request.direction, length, growth)]
  try {
    for (const [i, slice] of cut.entries()) {
      const reading = search.read(slice)
      // What is in few lines is hardly ever all in the first slice, which is there for what only seems to be: both are asked at once.
      if (isOfFew && i === 0 && cut.length > 1) search.askAhead(cut[1]!)
      if (!(await reading)) break
    }
  } finally {
    search.cancelAhead()
  }
  reader.totals.lines += search.entries.length
  return search.entries
}

/** Rows of one batch at most: where stages here filter, batches grow to it. */
const maxBatch = 50_000
const batchGrowth = 4

const isRare = (stage: Stage): boolean =>
  stage.kind === 'line' && stage.op === '|=' && stage.alternatives.every(({ value, ip }) => !ip && namesFewLines(value))

const canFilter = ({ kind }: Stage): boolean => kind === 'label' || kind === 'line'

class Search {
  readonly entries: Entry[] = []
  readonly #reader: Reader
  readonly #request: LogRequest
  readonly #streams: StreamSet
  readonly #parts: Split
  readonly #pipeline: RowPipeline
  readonly #filters: boolean
  readonly #everything: boolean
  #batch: number
  #ahead: { readonly slice: Slice; readonly rows: RowsAhead } | undefined
  /** Time of the last entry that was taken. */
  #last: bigint | undefined

  constructor(reader: Reader, request: LogRequest, streams: StreamSet, everything: boolean) {
    this.#reader = reader
    this.#request = request
    this.#streams = streams
    this.#parts = split(request.log.stages)
    this.#pipeline = new RowPipeline(streams, this.#parts.rest)
    this.#filters = request.interval > 0n || this.#parts.rest.some(canFilter)
    this.#everything = everything
    this.#batch = Math.max(request.limit, 1000)
  }

  /** Has the store look for the first batch of a slice while another is read; not where nobody knows how many rows make the limit. */
  askAhead(slice: Slice): void {
    if (this.#filters) return
    const statement = this.#statement(slice, this.#request.limit)
    this.#ahead = { slice, rows: new RowsAhead((signal) => this.#reader.stream(statement, signal)) }
  }

  cancelAhead(): void {
    this.#ahead?.rows.cancel()
    this.#ahead = undefined
  }

  #statement(slice: Slice, limit: number): Statement {
    return entriesStatement(this.#request, this.#parts, this.#streams, slice, limit, this.#everything)
  }

  /** Of the statement that was asked ahead for the slice, if it was: then there may be more rows than the limit. */
  #rowsOf(slice: Slice, limit: number): AsyncIterable<Buffer> {
    const ahead = this.#ahead
    if (ahead?.slice !== slice) return this.#reader.stream(this.#statement(slice, limit))
    this.#ahead = undefined
    return ahead.rows.take()
  }

  /** Reads a slice to its end or to the limit; returns whether entries are missing still. */
  async read(slice: Slice): Promise<boolean> {
    let rest: Slice | undefined = this.#behindLast(slice)
    // Rows at the edge of what is left that were read before.
    let seen = 0
    while (rest !== undefined) {
      const wanted = this.#filters ? this.#batch : this.#request.limit - this.entries.length
      const batch = await this.#readBatch(rest, wanted + seen, seen)
      if (this.entries.length >= this.#request.limit) return false
      if (batch.rows < wanted + seen) return true
      // What waits to be taken must not keep the store from answering this.
      this.cancelAhead()
      this.#batch = Math.min(maxBatch, this.#batch * batchGrowth)
      const next = this.#behindLast(this.#from(rest, batch.lastTime))
      const jumped = next !== undefined && this.#edge(next) !== batch.lastTime
      seen = jumped ? 0 : batch.lastTime === this.#edge(rest) ? batch.rows : batch.equal
      rest = next
    }
    return true
  }

  async #readBatch(slice: Slice, limit: number, skip: number) {
    const { places = false } = this.#request
    const decoder = new RowDecoder({ bucket: false, place: places, metadata: true })
    let rows = 0
    let lastTime = 0n
    let equal = 0
    for await (const piece of this.#rowsOf(slice, limit)) {
      this.#reader.totals.bytes += piece.length
      const more = decoder.decode(piece, (row) => {
        const { time } = row
        equal = rows > 0 && time === lastTime ? equal + 1 : 1
        lastTime = time
        if (rows++ < skip) return true
        if (this.#everything && !this.#streams.streams.has(row.id)) return true
        const entry = this.#isTooNear(time) ? undefined : this.#pipeline.run(row)
        if (entry !== undefined) {
          this.entries.push({
            time: String(time),
            line: shownText(entry.line),
            labels: this.#pipeline.labels(),
            ...(places && { place: placeOf(row.source, row.offset) }),
          })
          this.#last = time
        }
        return this.entries.length < this.#request.limit
      })
      if (!more) break
      await this.#reader.pause()
    }
    this.#reader.totals.rows += rows
    return { rows, lastTime, equal }
  }

  /** Skipped entries do not count against the limit, nor do they begin an interval. */
  #isTooNear(time: bigint): boolean {
    if (this.#last === undefined) return false
    const distance = time > this.#last ? time - this.#last : this.#last - time
    return distance < this.#request.interval
  }

  /** Without what is too near to the last entry that was taken. */
  #behindLast(slice: Slice): Slice | undefined {
    const { first, last } = slice
    const { direction, interval } = this.#request
    if (this.#last === undefined || interval === 0n) return slice
    const near = direction === 'forward' ? this.#last + interval : this.#last - interval
    const rest = direction === 'forward' ? { first: max(near, first), last } : { first, last: min(near, last) }
    return rest.first <= rest.last ? rest : undefined
  }

  #from({ first, last }: Slice, time: bigint): Slice {
    return this.#request.direction === 'forward' ? { first: time, last } : { first, last: time }
  }

  #edge({ first, last }: Slice): bigint {
    return this.#request.direction === 'forward' ? first : last
  }
}
