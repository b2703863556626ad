/**
 * From one message of the write-ahead log to rows. The same message always gives the same rows: after a crash they are made again
 * under the same token.
 */
import { createHash } from 'node:crypto'
import { type ChunkHeader, chunkHeader, type StreamMetadata } from '@tributary/protocol/chunk.ts'
import { decompress } from '@tributary/protocol/compression.ts'
import { type ForwardMessage, parseMessage } from '@tributary/protocol/forward.ts'
import { MsgpackError } from '@tributary/protocol/msgpack.ts'
import type { ByteRanges } from '@tributary/protocol/ranges.ts'
import { malformedFlag, RecordScanner, stderr, truncatedFlag } from '@tributary/protocol/records.ts'
import type { Position } from './cursor.ts'
import { detectLevel, levels } from './detect-level.ts'
import { type ForeignRecord, readForeign } from './foreign.ts'
import { type Labels, type Stream, streamOf, withServiceName } from './labels.ts'

/** Structured metadata of a row, keys sorted. */
export type Metadata = readonly (readonly [key: string, value: string])[]

/** Takes rows, column by column. `bytes[start, end)` is the line; it is copied before this returns. */
export interface RowSink {
  row(
    stream: Stream,
    seconds: number,
    nanoseconds: number,
    level: string,
    metadata: Metadata,
    bytes: Buffer,
    start: number,
    end: number,
    source: Buffer,
    offset: number,
  ): void
}

export interface DecodeOptions {
  readonly discoverServiceName: boolean
  readonly detectLevel: boolean
  /** Cap on what a message may decompress to. */
  readonly maxEntriesBytes: number
  /** Goes into the identity of rows whose sender gave them none; differs from aggregator to aggregator. */
  readonly id: string
}

/** What happened besides rows. */
export interface Decoded {
  /** Entries of other senders that were no `[time, record]`. */
  readonly malformed: number
  /** Rows whose time the store can't hold. */
  readonly clamped: number
}

/** Streams remembered at most; beyond that they are made anew, which costs a hash each. */
const maxStreams = 20_000

/** Days that ClickHouse's Date can name: 1970-01-01 to 2149-06-06, in seconds since 1970. Rows are kept by day. */
const firstSecond = 0
const lastSecond = 65_535 * 86_400 + 86_399

export class MessageDecoder {
  readonly #options: DecodeOptions
  /** Both streams of a pod's metadata, by the metadata's JSON. */
  readonly #streams = new Map<string, OwnStreams>()

  constructor(options: DecodeOptions) {
    this.#options = options
  }

  /**
   * Gives the rows of a message to `sink`: all of them, or none and an error.
   *
   * @param accepted the parts of a chunk's range that are new; records outside are left out
   * @param position where the message lies in the write-ahead log
   * @throws MsgpackError or CompressionError when the message can't be read
   */
  decode(message: Buffer, accepted: ByteRanges, position: Position, sink: RowSink): Decoded {
    const parsed = parseMessage(message)
    if (parsed === undefined) throw new MsgpackError('a heartbeat in the write-ahead log')
    const header = chunkHeader(parsed.options)
    if (header?.outcome !== undefined) return { malformed: 0, clamped: 0 }
    const entries = decompress(parsed.entries, this.#options.maxEntriesBytes)
    if (header !== undefined) return this.#ownRows(header, entries, accepted, sink)
    return this.#foreignRows(parsed, entries, position, sink)
  }

  #ownRows(header: ChunkHeader, entries: Buffer, accepted: ByteRanges, sink: RowSink): Decoded {
    // Looked through before the first row is made, since rows can't be taken back.
    const [from, to] = header.range
    const check = new RecordScanner(entries)
    while (check.next()) {
      if (check.offset < from || check.offset >= to) {
        throw new MsgpackError(`a record at ${check.offset}, outside its chunk's range [${from}, ${to})`)
      }
    }
    const records = new RecordScanner(entries)
    const streams = this.#streamsOf(header)
    const { detectLevel: detect } = this.#options
    const whole = accepted.length === 1 && accepted[0]![0] <= from && accepted[0]![1] >= to
    while (records.next()) {
      const { offset, lineStart, lineEnd } = records
      if (!whole && !accepted.some(([first, end]) => offset >= first && offset < end)) continue
      const level = detect ? levels[detectLevel(entries, lineStart, lineEnd)]! : ''
      sink.row(
        records.stream === stderr ? streams.stderr : streams.stdout,
        records.seconds,
        records.nanoseconds,
        level,
        records.flags === 0 ? streams.metadata : streams.flagged[records.flags]!,
        entries,
        lineStart,
        lineEnd,
        header.source,
        offset,
      )
    }
    return { malformed: 0, clamped: 0 }
  }

  #streamsOf({ labels, metadata }: StreamMetadata): OwnStreams {
    const key = JSON.stringify([labels, metadata])
    let streams = this.#streams.get(key)
    if (streams === undefined) {
      if (this.#streams.size >= maxStreams) this.#streams.clear()
      streams = ownStreams(this.#named(labels), metadata)
      this.#streams.set(key, streams)
    }
    return streams
  }

  #named(labels: Labels): Labels {
    return this.#options.discoverServiceName ? withServiceName(labels) : labels
  }

  #foreignRows(message: ForwardMessage, entries: Buffer, position: Position, sink: RowSink): Decoded {
    const records: ForeignRecord[] = []
    const malformed = readForeign(message, entries, (record) => records.push(record))
    const source = createHash('sha256')
      .update(`${this.#options.id}:${position.segment}.${position.offset}`)
      .digest()
      .subarray(0, 16)
    const streams = new Map<string, Stream>()
    let clamped = 0
    for (const [index, record] of records.entries()) {
      const key = JSON.stringify(record.labels)
      const stream = streams.get(key) ?? streamOf(this.#named(record.labels))
      streams.set(key, stream)
      const seconds = Math.min(lastSecond, Math.max(firstSecond, record.seconds))
      const outside = seconds !== record.seconds
      if (outside) clamped++
      const { line, metadata } = record
      sink.row(
        stream,
        seconds,
        outside ? 0 : Math.min(record.nanoseconds, 999_999_999),
        this.#options.detectLevel ? levels[record.level]! : '',
        sorted(outside ? { ...metadata, timestamp_clamped: 'true' } : metadata),
        line,
        0,
        line.length,
        source,
        index,
      )
    }
    return { malformed, clamped }
  }
}

interface OwnStreams {
  readonly stdout: Stream
  readonly stderr: Stream
  readonly metadata: Metadata
  /** The metadata of records with flags, by their flags. */
  readonly flagged: readonly Metadata[]
}

function ownStreams(labels: Labels, metadata: Readonly<Record<string, string>>): OwnStreams {
  return {
    stdout: streamOf({ ...labels, stream: 'stdout' }),
    stderr: streamOf({ ...labels, stream: 'stderr' }),
    metadata: sorted(metadata),
    flagged: Array.from({ length: (truncatedFlag | malformedFlag) + 1 }, (_, flags) =>
      sorted({
        ...metadata,
        ...(flags & truncatedFlag ? { truncated: 'true' } : {}),
        ...(flags & malformedFlag ? { malformed: 'true' } : {}),
      }),
    ),
  }
}

function sorted(metadata: Readonly<Record<string, string>>): Metadata {
  return Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}
