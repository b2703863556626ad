/** Rows of the table `streams`: which streams there were on a day, from when to when, and how much of each. */

import { DateColumn, encodeBlock, TimeColumn, UInt16Column, UInt64Column } from './native.ts'
import { LowCardinalityColumn, MapColumn } from './native-dictionary.ts'
import { allLabels, type RowStream } from './row-stream.ts'

const daySeconds = 86_400
/** Last day of the type Date. Later and earlier times are counted on the outermost days, as `toDate` does. */
const lastDay = 65_535

/** One stream on one day. */
interface StreamDay {
  readonly stream: RowStream
  readonly day: number
  firstSeconds: number
  firstNanoseconds: number
  lastSeconds: number
  lastNanoseconds: number
  entries: number
  bytes: number
  /** As `longestWord` has it, of all its lines. */
  longestWord: number
}

/** What a stream's rows go to while their time is within `[from, to)`, seconds. */
interface CurrentDay {
  readonly day: StreamDay
  readonly from: number
  readonly to: number
}

export class StreamsBlock {
  readonly #days = new Map<string, StreamDay>()
  /** Where the last row of each stream went: the next one goes there nearly always. */
  readonly #last = new Map<RowStream, CurrentDay>()
  readonly #tenant = new LowCardinalityColumn('tenant')
  readonly #day = new DateColumn('day')
  readonly #sid = new UInt64Column('sid')
  readonly #labels = new MapColumn('labels')
  readonly #firstTs = new TimeColumn('first_ts')
  readonly #lastTs = new TimeColumn('last_ts')
  readonly #entries = new UInt64Column('entries')
  readonly #bytes = new UInt64Column('bytes')
  readonly #longestWord = new UInt16Column('longest_word')
  readonly #columns = [
    this.#tenant,
    this.#day,
    this.#sid,
    this.#labels,
    this.#firstTs,
    this.#lastTs,
    this.#entries,
    this.#bytes,
    this.#longestWord,
  ]
  #stream: RowStream | undefined
  #current: CurrentDay | undefined

  /** Names of the columns, in the order of {@link encode}. */
  get columns(): string[] {
    return this.#columns.map((column) => column.name)
  }

  get rows(): number {
    return this.#days.size
  }

  /** The rows from here on belong to this stream. */
  begin(stream: RowStream): void {
    this.#stream = stream
    this.#current = this.#last.get(stream)
  }

  /**
   * Counts a row of the current stream.
   *
   * @param bytes of its line
   * @param longestWord of its line, bytes; 0 for a short one
   */
  add(seconds: number, nanoseconds: number, bytes: number, longestWord: number): void {
    let current = this.#current
    if (current === undefined || seconds < current.from || seconds >= current.to)
      current = this.#enter(seconds, nanoseconds)
    const { day } = current
    day.entries++
    day.bytes += bytes
    if (longestWord > day.longestWord) day.longestWord = longestWord
    if (seconds > day.lastSeconds || (seconds === day.lastSeconds && nanoseconds > day.lastNanoseconds)) {
      day.lastSeconds = seconds
      day.lastNanoseconds = nanoseconds
    } else if (seconds < day.firstSeconds || (seconds === day.firstSeconds && nanoseconds < day.firstNanoseconds)) {
      day.firstSeconds = seconds
      day.firstNanoseconds = nanoseconds
    }
  }

  #enter(seconds: number, nanoseconds: number): CurrentDay {
    const stream = this.#stream!
    const at = Math.floor(seconds / daySeconds)
    const day = Math.max(0, Math.min(lastDay, at))
    const key = `${day} ${stream.sid} ${stream.tenant}`
    let known = this.#days.get(key)
    if (known === undefined) {
      const time = {
        firstSeconds: seconds,
        firstNanoseconds: nanoseconds,
        lastSeconds: seconds,
        lastNanoseconds: nanoseconds,
      }
      known = { stream, day, ...time, entries: 0, bytes: 0, longestWord: 0 }
      this.#days.set(key, known)
    }
    const from = at * daySeconds
    const current = { day: known, from, to: from + daySeconds }
    this.#current = current
    this.#last.set(stream, current)
    return current
  }

  /** The block in Native format. The buffers are views: valid until the next call. */
  encode(): Buffer[] {
    for (const column of this.#columns) column.reset()
    for (const day of this.#days.values()) this.#append(day)
    return encodeBlock(this.#columns)
  }

  #append({ stream, day, ...time }: StreamDay): void {
    this.#tenant.fill(this.#tenant.indexOf(stream.tenant), 1)
    this.#day.append(day)
    this.#sid.repeat(Number(stream.sid & 0xffffffffn), Number(stream.sid >> 32n), 1)
    this.#labels.repeat(this.#labels.prepare(allLabels(stream)), 1)
    this.#firstTs.append(time.firstSeconds, time.firstNanoseconds)
    this.#lastTs.append(time.lastSeconds, time.lastNanoseconds)
    this.#entries.append(time.entries)
    this.#bytes.append(time.bytes)
    this.#longestWord.append(time.longestWord)
  }

  reset(): void {
    this.#days.clear()
    this.#last.clear()
    this.#stream = undefined
    this.#current = undefined
  }
}
