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
import { decodeAttributes, RecordScanner, stderr, truncatedFlag } from '@tributary/protocol/records.ts'
import { ZstdDecompressor } from '@tributary/protocol/zstd-decompressor.ts'
import type { TenantLimits } from '../access/tenant-limits.ts'
import { headerOfTenant } from '../ledger/tenant-source.ts'
import { defaultTenant } from '../logql/tenant-scope.ts'
import { isPush, readPush } from '../push/push-message.ts'
import type { PushEntry } from '../push/push-request.ts'
import type { LogBlock } from '../store/log-block.ts'
import { foreignPrefix, type LabelColumn, labelColumns, type RowStream } from '../store/row-stream.ts'
import type { WalPosition } from '../wal/position.ts'
import type { WalEntry } from '../wal/wal.ts'
import { detectLevel, levels } from './detect-level.ts'
import { findTrace } from './detect-trace.ts'
import { fitLabels, fitLine } from './fitting.ts'
import { type ForeignRecord, readForeign } from './foreign.ts'
import { type Labels, streamOf, withServiceName } from './labels.ts'
import { toldLevel } from './told-level.ts'

/** Takes rows: those of a stream after it was set. Lines are copied. */
export type RowSink = Pick<LogBlock, 'setStream' | 'add'>

export interface DecodeOptions {
  readonly discoverServiceName: boolean
  readonly detectLevel: boolean
  /** Look for trace_id and span_id in lines. */
  readonly detectTrace: boolean
  /** Cap on what a message may decompress to. */
  readonly maxEntriesBytes: number
  /** Of the tenant's own; without it there are none. */
  readonly limits?: Pick<TenantLimits, 'of'> | undefined
  /** Goes into the identity of rows whose sender gave them none; differs from aggregator to aggregator. */
  readonly id: string
}

/** What of an entry of the write-ahead log makes rows. */
export type LoadedEntry = Pick<WalEntry, 'message' | 'accepted' | 'start' | 'tenant'>

/** What happened besides rows. */
export interface Decoded {
  /** Entries of other senders that were no `[time, record]`. */
  readonly malformed: number
  /** Rows whose time the store can't hold. */
  readonly clamped: number
  /** Lines of other senders that were too long for their tenant. */
  readonly truncated: number
}

const nothing: Decoded = { malformed: 0, clamped: 0, truncated: 0 }

/** What a collector of ours takes for one line at most, bytes: whatever its tenant's limit is, what it was set to read is kept. */
const maxOwnLine = 16 << 20

/** Streams remembered at most; beyond that they are made anew, which costs two hashes each. */
const maxStreams = 20_000

/** Days that ClickHouse's Date can name: 1970-01-01 to 2149-06-06, in seconds since 1970. Rows are kept by day. */
const firstSecond = 0
const lastSecond = 65_535 * 86_400 + 86_399

export class MessageDecoder {
  readonly #options: DecodeOptions
  readonly #decompressor = new ZstdDecompressor()
  /** By the JSON of tenant, source and metadata. */
  readonly #streams = new Map<string, OwnStreams>()
  #foreignSource: Buffer = Buffer.alloc(0)
  readonly #foreignStreams = new Map<string, RowStream>()

  constructor(options: DecodeOptions) {
    this.#options = options
  }

  /**
   * Gives the rows of a message to `sink`: all of them, or none and an error.
   *
   * @param entry where the message lies in the write-ahead log, whose it is, and which parts of a chunk's range are new: records outside
   * are left out
   * @throws MsgpackError or CompressionError when the message can't be read
   */
  decode({ message, accepted, start, tenant = defaultTenant }: LoadedEntry, sink: RowSink): Decoded {
    const parsed = parseMessage(message)
    if (parsed === undefined) throw new MsgpackError('a heartbeat in the write-ahead log')
    if (isPush(parsed.options))
      return this.#pushRows(parsed.entries, foreignSource(this.#options.id, start), tenant, sink)
    const sent = chunkHeader(parsed.options)
    const header = sent && headerOfTenant(sent, tenant)
    if (header?.outcome !== undefined) return nothing
    const entries = decompress(parsed.entries, this.#options.maxEntriesBytes, this.#decompressor)
    if (header?.relayed) return this.#foreignRows(parsed, entries, relayedSource(header), tenant, sink, header)
    if (header !== undefined) return this.#ownRows(header, entries, accepted, tenant, sink)
    return this.#foreignRows(parsed, entries, foreignSource(this.#options.id, start), tenant, sink)
  }

  /** The streams that a message's rows can be of, as far as that is known before it is decoded. The objects are those of the rows. */
  streamsOf({ message, tenant = defaultTenant }: LoadedEntry): readonly RowStream[] | undefined {
    const parsed = parseMessage(message)
    if (parsed === undefined || isPush(parsed.options)) return undefined
    const sent = chunkHeader(parsed.options)
    if (sent === undefined || sent.relayed) return undefined
    if (sent.outcome !== undefined) return []
    const header = headerOfTenant(sent, tenant)
    const sources = [header.source, ...(header.seam === undefined ? [] : [header.seam.source])]
    return sources.map((source) => this.#streamsOf(tenant, source, header)).flatMap((of) => [of.stdout, of.stderr])
  }

  #ownRows(header: ChunkHeader, entries: Buffer, accepted: ByteRanges, tenant: string, sink: RowSink): Decoded {
    // Looked through before the first row is made, since rows can't be taken back.
    const [from, to] = header.range
    const check = new RecordScanner(entries)
    while (check.next()) {
      if (check.offset < from || check.offset >= to) {
        throw new MsgpackError(`a record at ${check.offset}, outside its chunk's range [${from}, ${to})`)
      }
    }
    const records = new RecordScanner(entries)
    const own = this.#streamsOf(tenant, header.source, header)
    const seam = header.seam?.at ?? Number.POSITIVE_INFINITY
    const next = header.seam && this.#streamsOf(tenant, header.seam.source, header)
    const { detectLevel: detect, detectTrace } = this.#options
    let truncated = 0
    const whole = accepted.length === 1 && accepted[0]![0] <= from && accepted[0]![1] >= to
    while (records.next()) {
      const { offset, lineStart, lineEnd } = records
      if (!whole && !accepted.some(([first, end]) => offset >= first && offset < end)) continue
      let level: string = detect ? levels[detectLevel(entries, lineStart, lineEnd)]! : ''
      let attributes: Attributes | undefined = detectTrace ? findTrace(entries, lineStart, lineEnd) : undefined
      if (records.attributeCount > 0) {
        const { detected_level: told, ...rest } = attributesOf(records, entries)
        level = told ?? level
        // Ids that the collector found belong together: no span of another trace is added.
        attributes = rest['trace_id'] === undefined ? { ...attributes, ...rest } : rest
      }
      const streams = offset < seam ? own : next!
      sink.setStream(records.stream === stderr ? streams.stderr : streams.stdout)
      const at = offset < seam ? offset : offset - seam
      const end = Math.min(lineEnd, lineStart + maxOwnLine)
      const flags = end === lineEnd ? records.flags : records.flags | truncatedFlag
      if (end !== lineEnd) truncated++
      sink.add(records.seconds, records.nanoseconds, at, level, entries, lineStart, end, flags, attributes)
    }
    return { ...nothing, truncated }
  }

  #streamsOf(tenant: string, source: Buffer, { labels, metadata }: StreamMetadata): OwnStreams {
    const key = JSON.stringify([tenant, source.toString('latin1'), labels, metadata])
    let streams = this.#streams.get(key)
    if (streams === undefined) {
      if (this.#streams.size >= maxStreams) this.#streams.clear()
      const named = this.#named(labels)
      streams = {
        stdout: rowStream(tenant, { ...named, stream: 'stdout' }, sorted(metadata), Buffer.from(source)),
        stderr: rowStream(tenant, { ...named, stream: 'stderr' }, sorted(metadata), Buffer.from(source)),
      }
      this.#streams.set(key, streams)
    }
    return streams
  }

  #named(labels: Labels): Labels {
    return this.#options.discoverServiceName ? withServiceName(labels) : labels
  }

  #foreignRows(
    message: ForwardMessage,
    entries: Buffer,
    source: Buffer,
    tenant: string,
    sink: RowSink,
    sender?: StreamMetadata,
  ): Decoded {
    const records: ForeignRecord[] = []
    const malformed = readForeign(message, entries, (record) => records.push(record), sender)
    const limits = this.#options.limits?.of(tenant)
    let clamped = 0
    let truncated = 0
    for (const [index, record] of records.entries()) {
      const seconds = Math.min(lastSecond, Math.max(firstSecond, record.seconds))
      const outside = seconds !== record.seconds
      if (outside) clamped++
      const told = outside ? { ...record.metadata, timestamp_clamped: 'true' } : record.metadata
      const { labels, metadata } = limits ? fitLabels(record.labels, told, limits) : { ...record, metadata: told }
      sink.setStream(this.#foreignStream(tenant, labels, metadata, source))
      const nanoseconds = outside ? 0 : Math.min(record.nanoseconds, 999_999_999)
      const level = this.#options.detectLevel ? levels[record.level]! : ''
      const traces = this.#options.detectTrace && metadata['trace_id'] === undefined
      const attributes = traces ? findTrace(record.line, 0, record.line.length) : undefined
      const end = limits ? fitLine(record.line, limits.maxLineBytes) : record.line.length
      const cut = end < record.line.length
      if (cut) truncated++
      sink.add(seconds, nanoseconds, index, level, record.line, 0, end, cut ? truncatedFlag : 0, attributes)
    }
    return { malformed, clamped, truncated }
  }

  #pushRows(entries: Buffer, source: Buffer, tenant: string, sink: RowSink): Decoded {
    const streams = readPush(entries)
    let index = 0
    let clamped = 0
    for (const { labels, entries } of streams) {
      const stream = rowStream(tenant, this.#named(labels), {}, source)
      sink.setStream(stream)
      const ofStream = toldLevel(labels)
      for (const entry of entries) {
        const { line } = entry
        const seconds = Math.min(lastSecond, Math.max(firstSecond, entry.seconds))
        const outside = seconds !== entry.seconds
        if (outside) clamped++
        const { level, attributes } = this.#pushedMetadata(entry, ofStream, outside)
        const nanoseconds = outside ? 0 : entry.nanoseconds
        sink.add(seconds, nanoseconds, index++, level, line, 0, line.length, 0, attributes)
      }
    }
    return { ...nothing, clamped }
  }

  /** The level a stream or an entry tells itself goes before what is found in the line. */
  #pushedMetadata(
    { line, metadata }: PushEntry,
    levelOfStream: string | undefined,
    outside: boolean,
  ): { readonly level: string; readonly attributes: Attributes | undefined } {
    const { detectLevel: detect, detectTrace } = this.#options
    const { detected_level: told, ...rest } = metadata ?? {}
    let attributes: Attributes | undefined = Object.keys(rest).length === 0 ? undefined : rest
    if (detectTrace && attributes?.['trace_id'] === undefined) {
      const found = findTrace(line, 0, line.length)
      if (found !== undefined) attributes = { ...found, ...attributes }
    }
    if (outside) attributes = { ...attributes, timestamp_clamped: 'true' }
    if (told !== undefined) return { level: told, attributes }
    const level = detect ? (levelOfStream ?? toldLevel(rest) ?? levels[detectLevel(line, 0, line.length)]!) : ''
    return { level, attributes }
  }

  /** Records of one message that share labels and metadata share the object, as the block expects. */
  #foreignStream(
    tenant: string,
    labels: Labels,
    metadata: Readonly<Record<string, string>>,
    source: Buffer,
  ): RowStream {
    if (!source.equals(this.#foreignSource)) {
      this.#foreignSource = source
      this.#foreignStreams.clear()
    }
    const key = JSON.stringify([labels, metadata])
    let stream = this.#foreignStreams.get(key)
    if (stream === undefined) {
      stream = rowStream(tenant, this.#named(labels), sorted(metadata), source)
      this.#foreignStreams.set(key, stream)
    }
    return stream
  }
}

/**
 * What stands for the source of a message that has none: six zero bytes, which no source of a file begins with, and a hash of where
 * the message lies in which write-ahead log.
 */
function foreignSource(id: string, { segment, offset }: WalPosition): Buffer {
  const source = Buffer.alloc(16)
  createHash('sha256').update(`${id}:${segment}.${offset}`).digest().copy(source, foreignPrefix.length, 0, 10)
  return source
}

/** The same for a message that a collector passed on: wherever it is written down, its rows are the same. */
function relayedSource({ source, range }: ChunkHeader): Buffer {
  const own = Buffer.alloc(16)
  createHash('sha256').update(source).update(`:${range[0]}`).digest().copy(own, foreignPrefix.length, 0, 10)
  return own
}

type Attributes = Readonly<Record<string, string>>

function attributesOf({ attributesStart, attributesEnd }: RecordScanner, bytes: Buffer): Record<string, string> {
  return decodeAttributes(bytes, attributesStart, attributesEnd)
}

interface OwnStreams {
  readonly stdout: RowStream
  readonly stderr: RowStream
}

function rowStream(tenant: string, all: Labels, meta: Readonly<Record<string, string>>, source: Buffer): RowStream {
  const { sid, labels } = streamOf(all)
  const columns = Object.fromEntries(labelColumns.map((name) => [name, labels[name] ?? '']))
  const others = Object.entries(labels).filter(([name]) => !labelColumns.some((column) => column === name))
  return { tenant, sid, ...(columns as Record<LabelColumn, string>), labels: Object.fromEntries(others), meta, source }
}

function sorted(metadata: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
}
