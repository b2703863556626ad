/**
 * What a chunk says about itself, in the option map of its Forward message, under the key `tributary` (docs/formats/wire.md).
 * A plain Fluentd ignores that key and reads the records; our aggregator takes range and metadata from it.
 */
import { hash, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { encode, MsgpackError } from './msgpack.ts'
import type { ByteRange, ByteRanges } from './ranges.ts'
import type { SourceId } from './source.ts'

/** Raised when an older reader could misread what a newer writer sends. */
export const chunkVersion = 1
/** Of a chunk with a seam: a reader that ignores the seam would book its bytes to the wrong source. */
export const seamVersion = 2

/** Why bytes of a source are not in the store, in a closed list: these are label values of metrics and rows of the audit. */
export const lossReasons = ['deleted', 'truncated', 'unreadable', 'corrupt', 'shed'] as const
export type LossReason = (typeof lossReasons)[number]
export const filterReasons = ['start_at', 'excluded', 'sampled', 'rate', 'dropped'] as const
export type FilterReason = (typeof filterReasons)[number]

/** Bytes that were given up on (lost) or left out on purpose (filtered). */
export type Outcome =
  | { readonly kind: 'lost'; readonly reason: LossReason }
  | { readonly kind: 'filtered'; readonly reason: FilterReason }

/** What all records of a chunk share. */
export interface StreamMetadata {
  /** Stream labels but for `stream`, which each record may tell (see records.ts): cluster, namespace, pod, container, node, app, service_name, … */
  readonly labels: Readonly<Record<string, string>>
  /** Structured metadata: pod_uid, image, … */
  readonly metadata: Readonly<Record<string, string>>
}

/** Bytes left out on purpose, by reason. */
export type LeftOut = Readonly<Partial<Record<FilterReason, number>>>

/** A record that began in one source goes on in the next: the chunk accounts for bytes of both. */
export interface ChunkSeam {
  /** The source that comes after the chunk's. */
  readonly source: SourceId
  /** Bytes and record offsets from here on are of that source, at (offset − at). Within the range. */
  readonly at: number
}

export interface ChunkHeader extends StreamMetadata {
  readonly source: SourceId
  /** The bytes of the source this chunk accounts for, in uncompressed bytes. Chunks of a source tile it. */
  readonly range: ByteRange
  /** How many bytes of the source the collector has seen to exist: the range's end or more. */
  readonly seen: number
  /** Size of the records before compression, in bytes; a hint for buffers, capped by whoever reads it. */
  readonly rawBytes: number
  /** Where the source was read, for people. */
  readonly path: string
  /** Set on a message without records: all of the range had this outcome. */
  readonly outcome?: Outcome
  /** Bytes of the range whose records were left out on purpose, by reason. */
  readonly leftOut?: LeftOut
  readonly seam?: ChunkSeam
  /** The collector process that sends it; see {@link ledgerQueryOptions}. */
  readonly session?: string
  /** Set on a message of an application that the collector passed on: its entries are any sender's, not records of ours. */
  readonly relayed?: true
}

/** Sixteen bytes derived from (source, first offset, end offset), in base64: a retry of the same range has the same id. */
export function chunkId(source: SourceId, [first, end]: ByteRange): string {
  return hash('sha256', Buffer.concat([source, Buffer.from(`:${first}-${end}`)]), 'buffer').toString('base64', 0, 16)
}

export type Compression = 'zstd' | 'gzip' | 'none'

/** The option map of a chunk's Forward message. `records` is the number of entries (the protocol's `size`). */
export function chunkOptions(header: ChunkHeader, records: number, compression: Compression): Record<string, unknown> {
  const { source, range, seen, rawBytes, path, labels, metadata, outcome, leftOut, seam, session } = header
  return {
    chunk: chunkId(source, range),
    size: records,
    ...(compression === 'none' ? {} : { compressed: compression }),
    tributary: {
      v: seam === undefined ? chunkVersion : seamVersion,
      source,
      first: range[0],
      end: range[1],
      seen,
      raw: rawBytes,
      path,
      labels,
      metadata,
      ...(outcome === undefined ? {} : { outcome: `${outcome.kind}:${outcome.reason}` }),
      ...(leftOut === undefined ? {} : { left_out: leftOut }),
      ...(seam === undefined ? {} : { next: seam.source, seam: seam.at }),
      ...(session === undefined ? {} : { session }),
    },
  }
}

/** The header in a decoded option map; undefined when the message is not one of our collector's chunks. Throws {@link MsgpackError} when it is but broken. */
export function chunkHeader(options: unknown): ChunkHeader | undefined {
  const own = (options as Record<string, unknown> | null | undefined)?.['tributary']
  if (own === undefined || own === null) return undefined
  const { v, source, first, end, seen, raw, path, labels, metadata, outcome, relay } = own as Record<string, unknown>
  if (v !== chunkVersion && v !== seamVersion)
    throw new MsgpackError(`chunk version ${text(v)}, this aggregator reads ${chunkVersion} and ${seamVersion}`)
  if (relay !== undefined) return relayHeader(relay, labels, metadata)
  if (source === undefined) return undefined
  if (!(source instanceof Uint8Array) || source.length !== 16)
    throw new MsgpackError('tributary.source is not 16 bytes')
  if (!isOffset(first) || !isOffset(end) || !isOffset(seen) || end < first || seen < end) {
    throw new MsgpackError('tributary.first, end and seen are not offsets in ascending order')
  }
  const parsed = outcome === undefined ? undefined : parseOutcome(outcome)
  return {
    source: Buffer.from(source.buffer, source.byteOffset, 16),
    range: [first, end],
    seen,
    rawBytes: isOffset(raw) ? raw : 0,
    path: typeof path === 'string' ? path : '',
    labels: stringMap('labels', labels),
    metadata: stringMap('metadata', metadata),
    ...(parsed === undefined ? {} : { outcome: parsed }),
    ...additions(own as Record<string, unknown>, [first, end]),
  }
}

/** What not every chunk has. */
function additions(own: Record<string, unknown>, range: ByteRange): Pick<ChunkHeader, 'leftOut' | 'seam' | 'session'> {
  const { v, left_out: leftOut, session } = own
  if (session !== undefined && typeof session !== 'string') throw new MsgpackError('tributary.session is not a string')
  return {
    ...(leftOut === undefined ? {} : { leftOut: parseLeftOut(leftOut, range) }),
    ...(v === seamVersion ? { seam: parseSeam(own, range) } : {}),
    ...(session === undefined ? {} : { session }),
  }
}

/**
 * What the collector puts under the key `tributary` when it passes an application's message on.
 *
 * @param stream labels and metadata of the pod that sent it, as far as they are known
 * @param source stands for all that one collector passes on from one pod to one aggregator: {@link relaySource}
 * @param range which of its bytes this message is; the messages of a source tile it, in the order of sending
 */
export function relayPart({ labels, metadata }: StreamMetadata, source: SourceId, [first, end]: ByteRange): unknown {
  return { v: chunkVersion, relay: { source, first, end }, labels, metadata }
}

/** A new source for relayed messages: six zero bytes, with which no source of a file begins, then ten random ones. */
export function relaySource(): SourceId {
  return Buffer.concat([Buffer.alloc(6), randomBytes(10)])
}

function relayHeader(relay: unknown, labels: unknown, metadata: unknown): ChunkHeader {
  const { source, first, end } = (relay ?? {}) as Record<string, unknown>
  if (!(source instanceof Uint8Array) || source.length !== 16 || source.subarray(0, 6).some((byte) => byte !== 0))
    throw new MsgpackError('tributary.relay.source is not six zero bytes and ten others')
  if (!isOffset(first) || !isOffset(end) || end <= first)
    throw new MsgpackError('tributary.relay.first and end are not offsets in ascending order')
  return {
    source: Buffer.from(source.buffer, source.byteOffset, 16),
    range: [first, end],
    seen: end,
    rawBytes: 0,
    path: 'forward input',
    labels: stringMap('labels', labels),
    metadata: stringMap('metadata', metadata),
    relayed: true,
  }
}

/** Of anything a decoder can give, for a message to people. */
function text(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 40 })
}

function isOffset(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function stringMap(name: string, value: unknown): Record<string, string> {
  if (value === undefined) return {}
  if (value === null || typeof value !== 'object' || Object.values(value).some((item) => typeof item !== 'string')) {
    throw new MsgpackError(`tributary.${name} is not a map of strings`)
  }
  return value as Record<string, string>
}

function parseOutcome(value: unknown): Outcome {
  const [kind, reason] = typeof value === 'string' ? value.split(':') : []
  if (kind === 'lost' && lossReasons.includes(reason as LossReason)) return { kind, reason: reason as LossReason }
  if (kind === 'filtered' && filterReasons.includes(reason as FilterReason))
    return { kind, reason: reason as FilterReason }
  throw new MsgpackError(`tributary.outcome ${text(value)} is not one this aggregator knows`)
}

function parseLeftOut(value: unknown, [first, end]: ByteRange): LeftOut {
  const entries = Object.entries((value ?? {}) as Record<string, unknown>)
  let sum = 0
  for (const [reason, bytes] of entries) {
    if (!filterReasons.includes(reason as FilterReason) || !isOffset(bytes))
      throw new MsgpackError(`tributary.left_out ${text(value)} is not a map of reasons to bytes`)
    sum += bytes
  }
  if (sum > end - first) throw new MsgpackError(`tributary.left_out is ${sum} bytes of a range of ${end - first}`)
  return Object.fromEntries(entries) as LeftOut
}

function parseSeam({ next, seam }: Record<string, unknown>, [first, end]: ByteRange): ChunkSeam {
  if (!(next instanceof Uint8Array) || next.length !== 16) throw new MsgpackError('tributary.next is not 16 bytes')
  if (!isOffset(seam) || seam <= first || seam >= end)
    throw new MsgpackError('tributary.seam does not lie within the range')
  return { source: Buffer.from(next.buffer, next.byteOffset, 16), at: seam }
}

/** A source a collector asks the ledger for. */
export interface AskedSource {
  readonly source: SourceId
  /** How far the collector has acknowledgements for, without a gap: the offset of its checkpoint. */
  readonly keep: number
}

/**
 * A ledger query: before a collector reads a source it has not read since it started, it asks which ranges are accepted, and
 * resumes exactly there. It travels as a Forward message without entries, so a plain Fluentd just acknowledges it. A query without
 * sources asks only which ledger the aggregator keeps.
 *
 * @param session names the process that asks. From then on chunks of these sources with another session, still on their way from
 * a process that is gone, are not accepted: this one reads their bytes again, and may join the lines differently. What an
 * aggregator has acknowledged up to `keep` is never among what is refused: nobody would send it again.
 */
export function ledgerQueryOptions(
  id: string,
  sources: readonly AskedSource[],
  session?: string,
): Record<string, unknown> {
  const own = {
    v: chunkVersion,
    query: Buffer.concat(sources.map(({ source }) => source)),
    keep: sources.map(({ keep }) => keep),
    ...(session === undefined ? {} : { session }),
  }
  return { chunk: id, size: 0, tributary: own }
}

/** The session that a ledger query was sent by. */
export function querySession(options: unknown): string | undefined {
  const own = (options as Record<string, unknown> | null | undefined)?.['tributary']
  const session = (own as Record<string, unknown> | null | undefined)?.['session']
  return typeof session === 'string' ? session : undefined
}

/** The sources a ledger query asks for; undefined when the option map is not a query. `keep` is 0 where an older collector does not tell it. */
export function ledgerQuery(options: unknown): AskedSource[] | undefined {
  const own = (options as Record<string, unknown> | null | undefined)?.['tributary'] as
    | Record<string, unknown>
    | undefined
  const query = own?.['query']
  if (query === undefined) return undefined
  if (!(query instanceof Uint8Array) || query.length % 16 !== 0)
    throw new MsgpackError('tributary.query is not a sequence of 16-byte sources')
  const keep = own!['keep']
  if (keep !== undefined && !(Array.isArray(keep) && keep.length === query.length / 16 && keep.every(isOffset)))
    throw new MsgpackError('tributary.keep is not one offset for each source')
  return Array.from({ length: query.length / 16 }, (_, i) => ({
    source: Buffer.from(query.subarray(16 * i, 16 * i + 16)),
    keep: keep === undefined ? 0 : (keep[i] as number),
  }))
}

/** Which ledger an aggregator keeps its accounts in. */
export interface LedgerIdentity {
  /** The same at all aggregators that share a ledger, and at one aggregator for as long as it has its volume. */
  readonly ledger: string
  /** Other aggregators may use it too: what one accepted all others know, so a chunk may be sent to any of them. */
  readonly shared: boolean
  /** Names of ledgers that this one was, before it was restored from a backup: it has an earlier state of theirs. */
  readonly before?: readonly string[]
}

/** What an aggregator answers: `ack` for every chunk, to a ledger query also `ranges` (one set per source asked, in order) and whose they are. */
export interface Ack extends Partial<LedgerIdentity> {
  readonly ack: string
  readonly ranges?: readonly ByteRanges[]
}

export function encodeAck(ack: Ack): Buffer {
  return encode(ack)
}

/** An aggregator's answer; throws {@link MsgpackError} when it is none. */
export function parseAck(value: unknown): Ack {
  const { ack, ranges, ledger, shared, before } = (value ?? {}) as Record<string, unknown>
  if (typeof ack !== 'string') throw new MsgpackError('an answer without ack')
  if (ranges === undefined) return { ack }
  const isRange = (range: unknown) => Array.isArray(range) && range.length === 2 && range.every(isOffset)
  if (!Array.isArray(ranges) || !ranges.every((set) => Array.isArray(set) && set.every(isRange))) {
    throw new MsgpackError('an answer whose ranges are not pairs of offsets')
  }
  if (ledger !== undefined && typeof ledger !== 'string') throw new MsgpackError('an answer whose ledger has no name')
  if (before !== undefined && !(Array.isArray(before) && before.every((name) => typeof name === 'string')))
    throw new MsgpackError('an answer whose ledger was ledgers without a name')
  return {
    ack,
    ranges: ranges as ByteRanges[],
    ...(ledger === undefined ? {} : { ledger, shared: shared === true }),
    ...(before === undefined ? {} : { before: before as string[] }),
  }
}
