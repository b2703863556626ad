/** Sends rows to one block per day, since each day of a claim is inserted by itself, and notes which bytes of a chunk have rows of which day. */
import { addRange, type ByteRange, type ByteRanges } from '@tributary/protocol/ranges.ts'
import type { LogBlock } from '../store/log-block.ts'
import type { RowStream } from '../store/row-stream.ts'
import type { RowSink } from './decode-message.ts'

const daySeconds = 86_400
/** Last day of the type Date: the store keeps rows of later times there, and of times before 1970 on the first. */
const lastDay = 65_535

export interface DayRanges {
  /** Days since 1970; undefined where there are no rows. */
  readonly day: number | undefined
  readonly ranges: ByteRanges
  readonly records: number
}

/** What the rows of one message are to be compared with. */
export interface RowFilter {
  /** Added to a row's offset before it is compared. */
  readonly base: number
  /** Rows beyond this offset count as at it. */
  readonly last: number
  /** Rows of these are left out. */
  readonly days: readonly number[]
  /** Rows outside are left out; undefined where rows have no place in ranges. */
  readonly ranges: ByteRanges | undefined
}

export class DaySink implements RowSink {
  /** By day. */
  readonly blocks = new Map<number, LogBlock>()
  readonly #take: () => LogBlock
  #filter: RowFilter | undefined
  #stream: RowStream | undefined
  #day = Number.NaN
  #block: LogBlock | undefined
  /** Source, offset and day of each row since {@link begin}. */
  #sources: Buffer[] = []
  #offsets: number[] = []
  #days: number[] = []
  rows = 0

  /** @param take gives an empty block */
  constructor(take: () => LogBlock) {
    this.#take = take
  }

  get byteLength(): number {
    let sum = 0
    for (const block of this.blocks.values()) sum += block.byteLength
    return sum
  }

  get streams(): number {
    let sum = 0
    for (const block of this.blocks.values()) sum += block.streams.rows
    return sum
  }

  /** What follows are the rows of another message. */
  begin(filter?: RowFilter): void {
    this.#filter = filter
    this.#sources.length = this.#offsets.length = this.#days.length = 0
  }

  setStream(stream: RowStream): void {
    this.#stream = stream
    this.#block?.setStream(stream)
  }

  add(
    seconds: number,
    nanoseconds: number,
    offset: number,
    level: string,
    bytes: Buffer,
    start: number,
    end: number,
    flags?: number,
    attributes?: Readonly<Record<string, string>>,
  ): void {
    const day = Math.max(0, Math.min(lastDay, Math.floor(seconds / daySeconds)))
    if (this.#filter !== undefined && this.#leavesOut(this.#filter, day, offset)) return
    if (day !== this.#day) this.#enter(day)
    this.#block!.add(seconds, nanoseconds, offset, level, bytes, start, end, flags, attributes)
    this.#sources.push(this.#stream!.source)
    this.#offsets.push(offset)
    this.#days.push(day)
    this.rows++
  }

  #leavesOut({ base, last, days, ranges }: RowFilter, day: number, offset: number): boolean {
    if (days.includes(day)) return true
    const at = Math.min(last, offset + base)
    return ranges !== undefined && !ranges.some(([first, end]) => at >= first && at < end)
  }

  #enter(day: number): void {
    let block = this.blocks.get(day)
    if (block === undefined) this.blocks.set(day, (block = this.#take()))
    block.setStream(this.#stream!)
    this.#day = day
    this.#block = block
  }

  /**
   * Ranges of a source by the day of the rows in them: bytes without rows go with the row before them, those before the first row with that.
   *
   * @param source undefined: all rows since {@link begin} are of it
   */
  split(source: Buffer | undefined, ranges: ByteRanges): DayRanges[] {
    const { base, last } = this.#filter ?? { base: 0, last: Number.MAX_SAFE_INTEGER }
    const rows: { readonly at: number; readonly day: number }[] = []
    for (let i = 0; i < this.#offsets.length; i++) {
      if (source === undefined || this.#sources[i] === source || this.#sources[i]!.equals(source))
        rows.push({ at: Math.min(last, this.#offsets[i]! + base), day: this.#days[i]! })
    }
    const first = rows[0]
    if (first === undefined) return [{ day: undefined, ranges, records: 0 }]
    if (rows.every(({ day }) => day === first.day)) return [{ day: first.day, ranges, records: rows.length }]
    rows.sort((a, b) => a.at - b.at)
    const days = new Map<number, { ranges: ByteRanges; records: number }>()
    for (let i = 0; i < rows.length; i++) {
      const { at, day } = rows[i]!
      const piece: ByteRange = [i === 0 ? 0 : at, rows[i + 1]?.at ?? Number.MAX_SAFE_INTEGER]
      const known = days.get(day) ?? { ranges: [], records: 0 }
      const own = ranges.map(([from, to]): ByteRange => [Math.max(from, piece[0]), Math.min(to, piece[1])])
      days.set(day, { ranges: own.reduce(addRange, known.ranges), records: known.records + 1 })
    }
    return [...days].map(([day, found]) => ({ day, ...found }))
  }
}
