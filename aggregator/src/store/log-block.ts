/** Rows of the table `logs`, put together for one insert. Runs of rows of one stream cost little more than their lines. */
import { malformedFlag, truncatedFlag } from '@tributary/protocol/records.ts'
import { Bytes16Column, encodeBlock, StringColumn, TimeColumn, UInt64Column } from './native.ts'
import { LowCardinalityColumn, MapColumn, type PreparedMap } from './native-dictionary.ts'
import { labelColumns, type RowStream } from './row-stream.ts'
import { StreamsBlock } from './streams-block.ts'

export type { RowStream } from './row-stream.ts'
export { StreamsBlock } from './streams-block.ts'

/** A stream's values, looked up in the dictionaries of this block. */
interface PreparedStream {
  readonly tenant: number
  readonly labelIndexes: readonly number[]
  readonly sidLow: number
  readonly sidHigh: number
  readonly labels: PreparedMap
  /** By flags: the stream's metadata with `truncated` and `malformed` added. Made when first needed. */
  readonly meta: (PreparedMap | undefined)[]
}

export class LogBlock {
  /** The streams of the rows, for the table `streams`: to be inserted with the same token. */
  readonly streams = new StreamsBlock()
  readonly #ts = new TimeColumn('ts')
  readonly #offset = new UInt64Column('offset')
  readonly #level = new LowCardinalityColumn('level')
  readonly #line = new StringColumn('line')
  readonly #meta = new MapColumn('meta')
  readonly #tenant = new LowCardinalityColumn('tenant')
  readonly #sid = new UInt64Column('sid')
  readonly #source = new Bytes16Column('source')
  readonly #labelColumns = labelColumns.map((name) => new LowCardinalityColumn(name))
  readonly #labels = new MapColumn('labels')
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
  ]
  readonly #prepared = new Map<RowStream, PreparedStream>()

  #stream: RowStream | undefined
  #current: PreparedStream | undefined
  /** Rows of the current stream, of its current flags, and of the current level, that their columns don't have yet. */
  #streamRun = 0
  #metaRun = 0
  #levelRun = 0
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
    let sum = 0
    for (const column of this.#columns) sum += column.byteLength
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
    if (level !== this.#levelName) this.#beginLevel(level)
    this.#ts.append(seconds, nanoseconds)
    this.#offset.append(offset)
    this.#line.append(bytes, start, end)
    this.streams.add(seconds, nanoseconds, end - start)
    this.#streamRun++
    this.#levelRun++
    if (attributes === undefined) this.#metaRun++
    else {
      this.#endMeta()
      this.#meta.repeat(this.#meta.prepare({ ...metaOf(this.#stream!, flags), ...attributes }), 1)
    }
  }

  /** The block in Native format. The buffers are views: valid until {@link add} or {@link reset}. */
  encode(): Buffer[] {
    this.#endStream()
    this.#endLevel()
    return encodeBlock(this.#columns)
  }

  /** Empties the block, keeping its buffers. */
  reset(): void {
    for (const column of this.#columns) column.reset()
    this.#prepared.clear()
    this.#stream = undefined
    this.#current = undefined
    this.#streamRun = 0
    this.#metaRun = 0
    this.#levelRun = 0
    this.#flags = 0
    this.#levelName = ''
    this.#levelIndex = 0
    this.streams.reset()
  }

  #prepare(stream: RowStream): PreparedStream {
    return {
      tenant: this.#tenant.indexOf(stream.tenant),
      labelIndexes: this.#labelColumns.map((column, i) => column.indexOf(stream[labelColumns[i]!])),
      sidLow: Number(stream.sid & 0xffffffffn),
      sidHigh: Number(stream.sid >> 32n),
      labels: this.#labels.prepare(stream.labels),
      meta: [],
    }
  }

  #beginLevel(level: string): void {
    this.#endLevel()
    this.#levelName = level
    this.#levelIndex = this.#level.indexOf(level)
  }

  #endLevel(): void {
    this.#level.fill(this.#levelIndex, this.#levelRun)
    this.#levelRun = 0
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
    const current = this.#current!
    this.#tenant.fill(current.tenant, run)
    for (let i = 0; i < labelColumns.length; i++) this.#labelColumns[i]!.fill(current.labelIndexes[i]!, run)
    this.#sid.repeat(current.sidLow, current.sidHigh, run)
    this.#labels.repeat(current.labels, run)
    this.#source.repeat(this.#stream!.source, run)
    this.#streamRun = 0
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
