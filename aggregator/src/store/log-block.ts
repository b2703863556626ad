/**
 * Rows of the table `logs`, put together for one insert. What rows of one stream share is noted once for a run of them and written out
 * when the block is encoded, column by column, so that a row costs little more than its line, also where streams alternate.
 */
import { malformedFlag, truncatedFlag } from '@tributary/protocol/records.ts'
import { GrowingWords } from './growing.ts'
import { longestWord } from './longest-word.ts'
import { Bytes16Column, encodeBlock, StringColumn, TimeColumn, UInt16Column, UInt64Column } from './native.ts'
import { LowCardinalityColumn, MapColumn, type PreparedMap } from './native-dictionary.ts'
import { labelColumns, type RowStream } from './row-stream.ts'
import { StreamsBlock } from './streams-block.ts'

export type { RowStream } from './row-stream.ts'
export { StreamsBlock } from './streams-block.ts'

/** An index into a dictionary, before it is narrowed; `sid` and `source`; where a row's labels end. Bytes. */
const wordBytes = 4
const sidAndSourceBytes = 24
const mapOffsetBytes = 8

/** A stream's values, looked up in the dictionaries of this block. */
interface PreparedStream {
  readonly number: number
  readonly source: Buffer
  /** Of the tenant and the labels with a column of their own. */
  readonly indexes: readonly number[]
  readonly sidLow: number
  readonly sidHigh: number
  readonly labels: PreparedMap
  /** By flags: the stream's metadata with `truncated` and `malformed` added. Made when first needed. */
  readonly meta: (PreparedMap | undefined)[]
  /** What a row takes in the columns that runs are written to, bytes. */
  readonly rowBytes: number
}

export class LogBlock {
  /** The streams of the rows, for the table `streams`: to be inserted with the same token. */
  readonly streams = new StreamsBlock()
  readonly #ts = new TimeColumn('ts')
  readonly #offset = new UInt64Column('offset')
  readonly #level = new LowCardinalityColumn('level')
  readonly #line = new StringColumn('line')
  readonly #longestWord = new UInt16Column('longest_word')
  readonly #meta = new MapColumn('meta')
  readonly #tenant = new LowCardinalityColumn('tenant')
  readonly #sid = new UInt64Column('sid')
  readonly #source = new Bytes16Column('source')
  readonly #labelColumns = labelColumns.map((name) => new LowCardinalityColumn(name))
  readonly #labels = new MapColumn('labels')
  /** Columns that have the same value all along a run. */
  readonly #ofStreams = [this.#tenant, ...this.#labelColumns]
  /** Columns that get a value with each row, or soon after it. */
  readonly #ofRows = [this.#ts, this.#offset, this.#level, this.#line, this.#meta]
  readonly #columns = [
    this.#tenant,
    this.#ts,
    this.#sid,
    ...this.#labelColumns,
    this.#labels,
    this.#level,
    this.#meta,
    this.#line,
    this.#source,
    this.#offset,
    this.#longestWord,
  ]
  readonly #prepared = new Map<RowStream, PreparedStream>()
  readonly #streams: PreparedStream[] = []
  /** Number of a stream and how many rows of it follow each other, in turn. */
  readonly #runs = new GrowingWords(1024)
  /** So many words of the runs are in their columns. */
  #written = 0
  #runBytes = 0

  #stream: RowStream | undefined
  #current: PreparedStream | undefined
  /** Rows of the current stream that no run counts, and of its current flags that `meta` doesn't have yet. */
  #streamRun = 0
  #metaRun = 0
  #flags = 0
  #levelName = ''
  #levelIndex = 0

  /** Names of the columns, in the order of {@link encode}. */
  get columns(): string[] {
    return this.#columns.map((column) => column.name)
  }

  get rows(): number {
    return this.#ts.rows
  }

  /** About the size of the encoded block, bytes. The rows of the current run are counted without what they share. */
  get byteLength(): number {
    let sum = this.#runBytes
    for (const column of this.#ofRows) sum += column.byteLength
    return sum
  }

  /** What the rows from here on have in common. To be called before the first row. */
  setStream(stream: RowStream): void {
    if (stream === this.#stream) return
    this.#endStream()
    this.#stream = stream
    let prepared = this.#prepared.get(stream)
    if (prepared === undefined) this.#prepared.set(stream, (prepared = this.#prepare(stream)))
    this.#current = prepared
    this.streams.begin(stream)
  }

  /**
   * Adds a row.
   *
   * @param seconds and nanoseconds: time since 1970
   * @param offset of the record in its source, bytes
   * @param level detected level, '' for none
   * @param bytes the line is `[start, end)` of it, copied
   * @param flags `truncatedFlag` and `malformedFlag` of records.ts
   * @param attributes structured metadata of this row alone
   */
  add(
    seconds: number,
    nanoseconds: number,
    offset: number,
    level: string,
    bytes: Buffer,
    start: number,
    end: number,
    flags = 0,
    attributes?: Readonly<Record<string, string>>,
  ): void {
    if (flags !== this.#flags) {
      this.#endMeta()
      this.#flags = flags
    }
    if (level !== this.#levelName) {
      this.#levelName = level
      this.#levelIndex = this.#level.indexOf(level)
    }
    this.#level.append(this.#levelIndex)
    this.#ts.append(seconds, nanoseconds)
    this.#offset.append(offset)
    this.#line.append(bytes, start, end)
    const longest = longestWord(bytes, start, end)
    this.#longestWord.append(longest)
    this.streams.add(seconds, nanoseconds, end - start, longest)
    this.#streamRun++
    if (attributes === undefined) this.#metaRun++
    else {
      this.#endMeta()
      this.#meta.repeat(this.#meta.prepare({ ...metaOf(this.#stream!, flags), ...attributes }), 1)
    }
  }

  /** The block in Native format. The buffers are views: valid until {@link add} or {@link reset}. */
  encode(): Buffer[] {
    this.#endStream()
    this.#writeRuns()
    return encodeBlock(this.#columns)
  }

  /** Empties the block, keeping its buffers. */
  reset(): void {
    for (const column of this.#columns) column.reset()
    this.#prepared.clear()
    this.#streams.length = 0
    this.#runs.length = 0
    this.#written = 0
    this.#runBytes = 0
    this.#stream = undefined
    this.#current = undefined
    this.#streamRun = 0
    this.#metaRun = 0
    this.#flags = 0
    this.#levelName = ''
    this.#levelIndex = 0
    this.streams.reset()
  }

  #prepare(stream: RowStream): PreparedStream {
    const values = [stream.tenant, ...labelColumns.map((name) => stream[name])]
    const labels = this.#labels.prepare(stream.labels)
    const prepared = {
      number: this.#streams.length,
      source: stream.source,
      indexes: values.map((value, i) => this.#ofStreams[i]!.indexOf(value)),
      sidLow: Number(stream.sid & 0xffffffffn),
      sidHigh: Number(stream.sid >> 32n),
      labels,
      meta: [],
      rowBytes: wordBytes * values.length + sidAndSourceBytes + mapOffsetBytes + labels.values.length,
    }
    this.#streams.push(prepared)
    return prepared
  }

  #endMeta(): void {
    if (this.#metaRun === 0) return
    const known = this.#current!.meta
    const map = (known[this.#flags] ??= this.#meta.prepare(metaOf(this.#stream!, this.#flags)))
    this.#meta.repeat(map, this.#metaRun)
    this.#metaRun = 0
  }

  #endStream(): void {
    const run = this.#streamRun
    if (run === 0) return
    this.#endMeta()
    this.#runs.append(this.#current!.number)
    this.#runs.append(run)
    this.#runBytes += run * this.#current!.rowBytes
    this.#streamRun = 0
  }

  #writeRuns(): void {
    for (const [i, column] of this.#ofStreams.entries()) this.#writeIndexes(column, i)
    const { words, length } = this.#runs
    for (let at = this.#written; at < length; at += 2) {
      const { labels, sidHigh, sidLow, source } = this.#streams[words[at]!]!
      const rows = words[at + 1]!
      this.#sid.repeat(sidLow, sidHigh, rows)
      this.#labels.repeat(labels, rows)
      this.#source.repeat(source, rows)
    }
    this.#written = length
  }

  /** Most streams of a block share most of their labels: runs that do are written as one. */
  #writeIndexes(column: LowCardinalityColumn, place: number): void {
    const { words, length } = this.#runs
    let index = 0
    let rows = 0
    for (let at = this.#written; at < length; at += 2) {
      const next = this.#streams[words[at]!]!.indexes[place]!
      if (next !== index) {
        column.fill(index, rows)
        index = next
        rows = 0
      }
      rows += words[at + 1]!
    }
    column.fill(index, rows)
  }
}

/** The structured metadata of a row without attributes of its own. */
export function metaOf({ meta }: RowStream, flags: number): Readonly<Record<string, string>> {
  if (flags === 0) return meta
  return {
    ...meta,
    ...(flags & truncatedFlag ? { truncated: 'true' } : {}),
    ...(flags & malformedFlag ? { malformed: 'true' } : {}),
  }
}
