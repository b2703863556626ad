/**
 * What can be told about a message of any Forward sender without decompressing or decoding its entries, so that one which can never be
 * loaded is refused before it is acknowledged. Collector and aggregator judge alike: what the one relays the other takes. Pure.
 */
import { CompressionError, compressionOf, declaredSize } from '../compression.ts'
import { arrayHeader, type ForwardMessage, parseMessage } from '../forward.ts'
import { MsgpackError, skip } from '../msgpack.ts'
import { ReceiveError } from './receive-error.ts'

/**
 * The message in `bytes`; undefined for a heartbeat.
 *
 * @throws {@link ReceiveError}
 */
export function parseReceived(bytes: Buffer): ForwardMessage | undefined {
  try {
    return parseMessage(bytes)
  } catch (error) {
    if (!(error instanceof MsgpackError)) throw error
    // A value that isn't an array never comes from a Forward sender: someone speaks another protocol.
    throw new ReceiveError('not_forward', error.message, arrayHeader(bytes, 0) === undefined, { cause: error })
  }
}

/** Metrics or traces, which Fluent Bit sends the same way; undefined for logs. */
export function unsupportedSignal({ options }: ForwardMessage): string | undefined {
  const signal = options['fluent_signal']
  if (signal === undefined || signal === 0) return undefined
  return signal === 1 ? 'metrics' : signal === 2 ? 'traces' : String(signal)
}

/** @throws {@link ReceiveError} where the entries are not what the message says, or say they decompress to more than `maxEntriesBytes` */
export function checkEntries(message: ForwardMessage, maxEntriesBytes: number): void {
  const { entries, mode, options } = message
  if (mode === 'packed') checkPacked(entries, options['compressed'], maxEntriesBytes)
  else if (mode === 'message') {
    if (!isTime(entries, 0)) throw new ReceiveError('bad_entries', wrongTime, false)
  } else checkForward(entries)
}

/** One entry that is none is left out when the message is loaded: refused with all the others it would come again for ever. */
function checkForward(entries: Buffer): void {
  let wrong: string | undefined
  let good = false
  for (let at = 0; at < entries.length; ) {
    const record = recordAt(entries, at)
    if (typeof record === 'number') good = true
    else wrong ??= record
    at = end(entries, typeof record === 'number' ? record : at)
  }
  if (wrong !== undefined && !good) throw new ReceiveError('bad_entries', wrong, false)
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

/** One `[time, record]`. */
function checkEntry(entries: Buffer, at: number): void {
  const record = recordAt(entries, at)
  if (typeof record === 'string') throw new ReceiveError('bad_entries', record, false)
  end(entries, record)
}

/** Where the record of a `[time, record]` begins; else what is wrong with it. */
function recordAt(entries: Buffer, at: number): number | string {
  const pair = arrayHeader(entries, at)
  if (pair?.count !== 2) return 'an entry that is not a pair of time and record'
  if (!isTime(entries, pair.end)) return wrongTime
  const record = end(entries, pair.end)
  const type = entries[record]!
  return (type & 0xf0) === 0x80 || type === 0xde || type === 0xdf ? record : 'an entry whose record is not a map'
}

const wrongTime = 'an entry whose time is no time'

/** An integer, a float, an EventTime, or Fluent Bit's `[time, metadata]`. */
function isTime(entries: Buffer, at: number): boolean {
  const pair = arrayHeader(entries, at)
  if (pair !== undefined && pair.count !== 2) return false
  const type = entries[pair?.end ?? at]!
  return (
    type <= 0x7f ||
    (type >= 0xca && type <= 0xd3) ||
    // EventTime: fixext 8, or ext 8 with 8 bytes, of type 0.
    (type === 0xd7 && entries[(pair?.end ?? at) + 1] === 0) ||
    (type === 0xc7 && entries[(pair?.end ?? at) + 1] === 8)
  )
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
