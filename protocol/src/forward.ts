/**
 * The messages of the Fluentd Forward protocol v1: written as a few buffers that go out under one cork, and read without decoding
 * the entries, which is all that a receiver needs to keep a message and to acknowledge it.
 *
 * @see https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1
 */
import { decode, encode, isTooDeep, MsgpackError, readUint, skip } from './msgpack.ts'

/**
 * One PackedForward message (CompressedPackedForward when `options.compressed` says so), as buffers to write one after another.
 *
 * @param entries the encoded `[time, record]` sequence, compressed or not; not copied
 */
export function forwardMessage(tag: string, entries: Uint8Array, options: Record<string, unknown>): Buffer[] {
  return packedMessage(encode(tag), entries, encode(options))
}

/** {@link forwardMessage} of a tag and an option map that are encoded already. */
export function packedMessage(name: Buffer, entries: Uint8Array, options: Buffer): Buffer[] {
  const head = Buffer.allocUnsafe(1 + name.length + 5)
  head[0] = 0x93
  name.copy(head, 1)
  const at = 1 + name.length
  head[at] = 0xc6
  head.writeUInt32BE(entries.length, at + 1)
  const body = Buffer.from(entries.buffer, entries.byteOffset, entries.length)
  return [head, body, options]
}

/** How a message carries its entries. */
export type ForwardMode =
  /** One record: `[tag, time, record, options?]`. */
  | 'message'
  /** An array of entries: `[tag, [[time, record], …], options?]`. */
  | 'forward'
  /** Encoded entries in one bin or str, compressed or not: `[tag, bytes, options?]`. */
  | 'packed'

export interface ForwardMessage {
  readonly mode: ForwardMode
  readonly tag: string
  /**
   * A view of the message: for `packed` the bytes in the bin or str, for `forward` the entries behind the array's header, for
   * `message` time and record, one after the other.
   */
  readonly entries: Buffer
  /** Entries in `forward`, 1 in `message`; for `packed` what `size` says, if anything. */
  readonly count: number | undefined
  readonly options: Readonly<Record<string, unknown>>
}

const noOptions: Readonly<Record<string, unknown>> = {}

/**
 * Splits a whole message into its parts. The entries are not looked into.
 *
 * @returns undefined for a heartbeat (nil)
 * @throws {@link MsgpackError} where the bytes are not a Forward message
 */
export function parseMessage(bytes: Buffer): ForwardMessage | undefined {
  if (bytes.length === 1 && bytes[0] === 0xc0) return undefined
  const array = arrayHeader(bytes, 0)
  if (array === undefined || array.count < 2 || array.count > 4) {
    throw new MsgpackError('not a Forward message: no array of two to four values')
  }
  const tagStart = array.end
  const tagEnd = valueEnd(bytes, tagStart)
  const tag = textOf(bytes, tagStart)
  if (tag === undefined) throw new MsgpackError('the tag of a Forward message is not a string')
  const second = valueEnd(bytes, tagEnd)
  const packed = bytesOf(bytes, tagEnd)
  if (packed !== undefined) {
    const options = optionsAt(bytes, second, array.count - 2)
    return { mode: 'packed', tag, entries: packed, count: sizeOf(options), options }
  }
  const list = arrayHeader(bytes, tagEnd)
  if (list !== undefined) {
    const options = optionsAt(bytes, second, array.count - 2)
    return { mode: 'forward', tag, entries: bytes.subarray(list.end, second), count: list.count, options }
  }
  if (array.count < 3) throw new MsgpackError('a Forward message with neither entries nor a record')
  const third = valueEnd(bytes, second)
  if (!isMap(bytes[second]!)) throw new MsgpackError('the record of a Forward message is not a map')
  const options = optionsAt(bytes, third, array.count - 3)
  return { mode: 'message', tag, entries: bytes.subarray(tagEnd, third), count: 1, options }
}

/** The chunk id that is to be acknowledged; undefined when the sender wants no answer. */
export function chunkOf(message: ForwardMessage): string | undefined {
  const { chunk } = message.options
  return typeof chunk === 'string' ? chunk : undefined
}

/** The option map at `at`, `left` values before the message ends. */
function optionsAt(bytes: Buffer, at: number, left: number): Readonly<Record<string, unknown>> {
  if (left === 0) return noOptions
  if (left > 1) throw new MsgpackError('a Forward message with values behind its option map')
  // Fluent loggers send nil for "no options".
  if (bytes[at] === 0xc0) return noOptions
  if (!isMap(bytes[at]!)) throw new MsgpackError('the options of a Forward message are not a map')
  if (isTooDeep(bytes, at)) throw new MsgpackError('the options of a Forward message nest too deep')
  return decode(bytes.subarray(at)) as Record<string, unknown>
}

function sizeOf({ size }: Readonly<Record<string, unknown>>): number | undefined {
  return typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 ? size : undefined
}

function valueEnd(bytes: Buffer, at: number): number {
  const end = skip(bytes, at, bytes.length)
  if (end === -1) throw new MsgpackError('a Forward message ends within a value')
  return end
}

function isMap(type: number): boolean {
  return (type & 0xf0) === 0x80 || type === 0xde || type === 0xdf
}

/** Number of values and end of the array header at `at`; undefined when there is no array. */
export function arrayHeader(bytes: Buffer, at: number): { readonly count: number; readonly end: number } | undefined {
  const type = bytes[at]
  if (type === undefined) return undefined
  if ((type & 0xf0) === 0x90) return { count: type & 0x0f, end: at + 1 }
  if (type === 0xdc) return { count: readUint(bytes, at + 1, 2), end: at + 3 }
  if (type === 0xdd) return { count: readUint(bytes, at + 1, 4), end: at + 5 }
  return undefined
}

/** The content of the str or bin at `at`, as a view; undefined for other types. The value is whole: not checked. */
export function bytesOf(bytes: Buffer, at: number): Buffer | undefined {
  const type = bytes[at]!
  if (type >= 0xa0 && type <= 0xbf) return bytes.subarray(at + 1, at + 1 + (type & 0x1f))
  const lengthBytes = type === 0xc4 || type === 0xd9 ? 1 : type === 0xc5 || type === 0xda ? 2 : 4
  if (lengthBytes === 4 && type !== 0xc6 && type !== 0xdb) return undefined
  const start = at + 1 + lengthBytes
  return bytes.subarray(start, start + readUint(bytes, at + 1, lengthBytes))
}

function textOf(bytes: Buffer, at: number): string | undefined {
  return bytesOf(bytes, at)?.toString('utf8')
}
