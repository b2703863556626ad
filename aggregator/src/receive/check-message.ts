/**
 * What can be told about a message without decompressing or decoding it, so that one which can never be loaded is refused before
 * it is acknowledged. Pure.
 */
import { type ChunkHeader, chunkHeader, ledgerQuery } from '@tributary/protocol/chunk.ts'
import { CompressionError, compressionOf, declaredSize } from '@tributary/protocol/compression.ts'
import { arrayHeader, chunkOf, type ForwardMessage, parseMessage } from '@tributary/protocol/forward.ts'
import { MsgpackError, skip } from '@tributary/protocol/msgpack.ts'
import type { SourceId } from '@tributary/protocol/source.ts'
import { ReceiveError } from './receive-error.ts'

export type CheckedMessage =
  | { readonly kind: 'heartbeat' }
  /** A collector asks what is accepted of these sources; `chunk` is what the answer names. */
  | { readonly kind: 'query'; readonly chunk: string; readonly sources: readonly SourceId[] }
  /** A chunk of our collector. `records` is what it says it holds. */
  | {
      readonly kind: 'chunk'
      readonly chunk: string | undefined
      readonly header: ChunkHeader
      readonly records: number
      readonly message: ForwardMessage
    }
  /** Anyone else's records. */
  | { readonly kind: 'foreign'; readonly chunk: string | undefined; readonly message: ForwardMessage }
  /** Metrics or traces. */
  | { readonly kind: 'unsupported'; readonly chunk: string | undefined; readonly signal: string }

/** @throws {@link ReceiveError} */
export function checkMessage(bytes: Buffer, maxEntriesBytes: number): CheckedMessage {
  const message = parse(bytes)
  if (message === undefined) return { kind: 'heartbeat' }
  const chunk = chunkOf(message)
  const { options } = message
  const signal = options['fluent_signal']
  if (signal !== undefined && signal !== 0) {
    return { kind: 'unsupported', chunk, signal: signal === 1 ? 'metrics' : signal === 2 ? 'traces' : String(signal) }
  }
  const own = ownPart(options)
  if (own?.sources !== undefined) {
    if (chunk === undefined) throw new ReceiveError('bad_chunk', 'a ledger query without chunk', false)
    return { kind: 'query', chunk, sources: own.sources }
  }
  if (own?.header?.outcome !== undefined) return { kind: 'chunk', chunk, header: own.header, records: 0, message }
  checkEntries(message, maxEntriesBytes)
  if (own?.header === undefined) return { kind: 'foreign', chunk, message }
  if (message.mode !== 'packed' || message.count === undefined) {
    throw new ReceiveError('bad_chunk', 'a chunk whose records are not packed, or without their number', false)
  }
  return { kind: 'chunk', chunk, header: own.header, records: message.count, message }
}

function parse(bytes: Buffer): ForwardMessage | undefined {
  try {
    return parseMessage(bytes)
  } catch (error) {
    if (!(error instanceof MsgpackError)) throw error
    // A value that isn't an array never comes from a Forward sender: someone speaks another protocol.
    throw new ReceiveError('not_forward', error.message, arrayHeader(bytes, 0) === undefined, { cause: error })
  }
}

function ownPart(
  options: ForwardMessage['options'],
): { readonly sources?: SourceId[]; readonly header?: ChunkHeader } | undefined {
  if (options['tributary'] === undefined) return undefined
  try {
    const sources = ledgerQuery(options)
    if (sources !== undefined) return { sources }
    const header = chunkHeader(options)
    if (header === undefined) throw new MsgpackError('neither a source nor a query')
    return { header }
  } catch (error) {
    if (!(error instanceof MsgpackError || error instanceof TypeError)) throw error
    throw new ReceiveError('bad_chunk', error.message, false, { cause: error })
  }
}

function checkEntries(message: ForwardMessage, maxEntriesBytes: number): void {
  const { entries, mode, options } = message
  if (mode === 'packed') checkPacked(entries, options['compressed'], maxEntriesBytes)
  else if (mode === 'message') checkTime(entries, 0)
  else for (let at = 0; at < entries.length; ) at = checkEntry(entries, at)
}

function checkPacked(entries: Buffer, compressed: unknown, maxEntriesBytes: number): void {
  const compression = compressionOf(entries)
  if (compression === 'none') {
    // Fluentd says "text" for uncompressed.
    if (compressed !== undefined && compressed !== 'text' && entries.length > 0) {
      throw new ReceiveError('bad_entries', `entries said to be ${String(compressed)} are neither gzip nor zstd`, false)
    }
    if (entries.length > 0) checkEntry(entries, 0)
    return
  }
  if ((declared(entries) ?? 0) > maxEntriesBytes) {
    throw new ReceiveError('zip_bomb', `the entries decompress to more than ${maxEntriesBytes} bytes`, false)
  }
}

function declared(entries: Buffer): number | undefined {
  try {
    return declaredSize(entries)
  } catch (error) {
    if (!(error instanceof CompressionError)) throw error
    throw new ReceiveError('bad_entries', error.message, false, { cause: error })
  }
}

/** The position behind one `[time, record]`. */
function checkEntry(entries: Buffer, at: number): number {
  const pair = arrayHeader(entries, at)
  if (pair?.count !== 2) throw new ReceiveError('bad_entries', 'an entry that is not a pair of time and record', false)
  checkTime(entries, pair.end)
  const record = end(entries, pair.end)
  const type = entries[record]!
  if ((type & 0xf0) !== 0x80 && type !== 0xde && type !== 0xdf) {
    throw new ReceiveError('bad_entries', 'an entry whose record is not a map', false)
  }
  return end(entries, record)
}

/** An integer, a float, an EventTime, or Fluent Bit's `[time, metadata]`. */
function checkTime(entries: Buffer, at: number): void {
  const pair = arrayHeader(entries, at)
  if (pair !== undefined && pair.count !== 2) throw wrongTime()
  const type = entries[pair?.end ?? at]!
  const good =
    type <= 0x7f ||
    (type >= 0xca && type <= 0xd3) ||
    // EventTime: fixext 8, or ext 8 with 8 bytes, of type 0.
    (type === 0xd7 && entries[(pair?.end ?? at) + 1] === 0) ||
    (type === 0xc7 && entries[(pair?.end ?? at) + 1] === 8)
  if (!good) throw wrongTime()
}

function wrongTime(): ReceiveError {
  return new ReceiveError('bad_entries', 'an entry whose time is no time', false)
}

function end(entries: Buffer, at: number): number {
  let position = -1
  try {
    position = at < entries.length ? skip(entries, at, entries.length) : -1
  } catch (error) {
    if (!(error instanceof MsgpackError)) throw error
  }
  if (position === -1) throw new ReceiveError('bad_entries', 'the entries end within a value', false)
  return position
}
