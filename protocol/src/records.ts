/**
 * The records of a chunk: a sequence of MessagePack `[EventTime, {"offset": n, "log": line, …}]`. Only what differs from record to
 * record is here. `stream` is left out for stdout; `truncated` stands where it applies, and so do attributes, pairs of strings, before
 * `log`. Both directions are hot: no strings, no objects, no views per record.
 */
import { encode, MsgpackError, readUint, skip } from './msgpack.ts'

export const stdout = 0
export const stderr = 1
export type StreamName = typeof stdout | typeof stderr

/** A record's line was cut at the cap; the rest follows in records of its own. */
export const truncatedFlag = 1
/** The line did not have the format of its file and is kept as it was found. */
export const malformedFlag = 2

/** Largest size of what surrounds a line in an encoded record, in bytes. */
export const recordOverhead = 96

const offsetKey = Buffer.from('\xa6offset', 'latin1')
const logKey = Buffer.from('\xa3log', 'latin1')
const streamPair = Buffer.from('\xa6stream\xa6stderr', 'latin1')
const truncatedPair = Buffer.from('\xa9truncated\xa4true', 'latin1')
const malformedPair = Buffer.from('\xa9malformed\xa4true', 'latin1')

/**
 * Writes one record's head, up to where the line's bytes go, and returns the position behind it. The caller copies exactly
 * `length` bytes of line there. `out` has room for {@link recordOverhead} more bytes, the attributes and the line: not checked.
 *
 * @param binary the line is not valid UTF-8, which a str must be: written as bin
 * @param attributes as {@link encodeAttributes} made them, `attributeCount` pairs
 */
export function writeRecordHead(
  out: Buffer,
  at: number,
  seconds: number,
  nanoseconds: number,
  offset: number,
  length: number,
  stream: StreamName,
  flags: number,
  binary: boolean,
  attributes?: Buffer,
  attributeCount = 0,
): number {
  let p = at
  out[p++] = 0x92
  out[p++] = 0xd7
  out[p++] = 0x00
  p = writeUint32(out, p, seconds)
  p = writeUint32(out, p, nanoseconds)
  const pairs = 2 + stream + (flags & truncatedFlag) + ((flags & malformedFlag) >> 1) + attributeCount
  if (pairs < 16) out[p++] = 0x80 + pairs
  else {
    out[p++] = 0xde
    out[p++] = pairs >> 8
    out[p++] = pairs & 0xff
  }
  p = copyShort(out, p, offsetKey)
  if (offset <= 0xffffffff) {
    out[p++] = 0xce
    p = writeUint32(out, p, offset)
  } else {
    out[p++] = 0xcf
    p = writeUint32(out, p, Math.floor(offset / 0x100000000))
    p = writeUint32(out, p, offset % 0x100000000)
  }
  if (stream === stderr) p = copyShort(out, p, streamPair)
  if (flags & truncatedFlag) p = copyShort(out, p, truncatedPair)
  if (flags & malformedFlag) p = copyShort(out, p, malformedPair)
  if (attributeCount > 0) p += attributes!.copy(out, p)
  p = copyShort(out, p, logKey)
  if (length < 0x20 && !binary) out[p++] = 0xa0 | length
  else if (length < 0x100) {
    out[p++] = binary ? 0xc4 : 0xd9
    out[p++] = length
  } else if (length < 0x10000) {
    out[p++] = binary ? 0xc5 : 0xda
    out[p++] = length >> 8
    out[p++] = length & 0xff
  } else {
    out[p++] = binary ? 0xc6 : 0xdb
    p = writeUint32(out, p, length)
  }
  return p
}

/**
 * {@link writeRecordHead} for a line in UTF-8 without flags and attributes, as nearly all are, in fewer and larger writes.
 *
 * @param out over the output
 */
export function writeLineHead(
  out: DataView,
  at: number,
  seconds: number,
  nanoseconds: number,
  offset: number,
  length: number,
  stream: StreamName,
): number {
  // [EventTime …
  out.setUint32(at, 0x92d70000)
  out.setUint32(at + 3, seconds)
  out.setUint32(at + 7, nanoseconds)
  // … {offset: …
  out.setUint32(at + 11, stream === stdout ? 0x82a66f66 : 0x83a66f66)
  out.setUint32(at + 15, 0x66736574)
  let p = at + 24
  if (offset <= 0xffffffff) {
    out.setUint8(at + 19, 0xce)
    out.setUint32(at + 20, offset)
  } else {
    out.setUint8(at + 19, 0xcf)
    out.setUint32(at + 20, Math.floor(offset / 0x100000000))
    out.setUint32(at + 24, offset % 0x100000000)
    p += 4
  }
  if (stream === stderr) {
    out.setUint32(p, 0xa6737472)
    out.setUint32(p + 4, 0x65616da6)
    out.setUint32(p + 8, 0x73746465)
    out.setUint16(p + 12, 0x7272)
    p += 14
  }
  // … log: …
  out.setUint32(p, 0xa36c6f67)
  p += 4
  if (length < 0x20) out.setUint8(p++, 0xa0 | length)
  else if (length < 0x100) {
    out.setUint16(p, 0xd900 | length)
    p += 2
  } else if (length < 0x10000) {
    out.setUint8(p, 0xda)
    out.setUint16(p + 1, length)
    p += 3
  } else {
    out.setUint8(p, 0xdb)
    out.setUint32(p + 1, length)
    p += 5
  }
  return p
}

/** Attributes as they lie in a record. */
export function encodeAttributes(attributes: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(Object.entries(attributes).flatMap(([name, value]) => [encode(name), encode(value)]))
}

/** The attributes between two positions of `bytes`, as a scanner tells them. Pairs that are not of strings are left out. */
export function decodeAttributes(bytes: Buffer, start: number, end: number): Record<string, string> {
  const attributes: Record<string, string> = {}
  for (let at = start; at < end; ) {
    const value = skip(bytes, at, end)
    const next = skip(bytes, value, end)
    const name = textOf(bytes, at, value)
    const text = textOf(bytes, value, next)
    if (name !== undefined && text !== undefined) attributes[name] = text
    at = next
  }
  return attributes
}

/** The str that a value `[start, end)` is, undefined where it is none. A whole decoder would refuse some values of other types. */
function textOf(bytes: Buffer, start: number, end: number): string | undefined {
  const type = bytes[start]!
  if (type >= 0xa0 && type <= 0xbf) return bytes.toString('utf8', start + 1, end)
  return type >= 0xd9 && type <= 0xdb ? bytes.toString('utf8', start + 1 + 2 ** (type - 0xd9), end) : undefined
}

function writeUint32(out: Buffer, at: number, value: number): number {
  out[at] = value >>> 24
  out[at + 1] = (value >>> 16) & 0xff
  out[at + 2] = (value >>> 8) & 0xff
  out[at + 3] = value & 0xff
  return at + 4
}

/** For a handful of bytes a loop is faster than a call into the runtime. */
function copyShort(out: Buffer, at: number, bytes: Buffer): number {
  for (let i = 0; i < bytes.length; i++) out[at + i] = bytes[i]!
  return at + bytes.length
}

/**
 * Walks the records of a chunk without building anything: after {@link next} returned true its fields describe one record,
 * with the line as positions in the buffer. Throws {@link MsgpackError} where the bytes are not a chunk's records.
 */
export class RecordScanner {
  readonly #bytes: Buffer
  #at = 0
  seconds = 0
  nanoseconds = 0
  /** Position in the source, bytes. */
  offset = 0
  stream: StreamName = stdout
  flags = 0
  lineStart = 0
  lineEnd = 0
  /** Where the record begins and ends in the bytes. */
  start = 0
  end = 0
  /** Attributes: pairs of strings, one after another. */
  attributeCount = 0
  attributesStart = 0
  attributesEnd = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  next(): boolean {
    const b = this.#bytes
    let p = this.#at
    if (p >= b.length) return false
    if (b[p] !== 0x92 || b[p + 1] !== 0xd7 || b[p + 2] !== 0x00)
      throw new MsgpackError(`no record starts at byte ${p} of the chunk`)
    this.seconds = uint32At(b, p + 3)
    this.nanoseconds = uint32At(b, p + 7)
    let pairs = b[p + 11]! & 0x0f
    this.start = p
    if ((b[p + 11]! & 0xf0) === 0x80) p += 12
    else if (b[p + 11] === 0xde && p + 14 <= b.length) {
      pairs = readUint(b, p + 12, 2)
      p += 14
    } else throw new MsgpackError(`the record at byte ${p} of the chunk is not a map`)
    this.attributeCount = this.attributesStart = this.attributesEnd = 0
    this.stream = stdout
    this.flags = 0
    this.offset = -1
    this.lineStart = -1
    for (let i = 0; i < pairs; i++) p = this.#pair(p)
    if (this.offset < 0 || this.lineStart < 0)
      throw new MsgpackError(`the record before byte ${p} of the chunk has no offset or no log`)
    this.#at = this.end = p
    return true
  }

  #pair(p: number): number {
    const b = this.#bytes
    if (startsWith(b, p, offsetKey)) return this.#readOffset(p + offsetKey.length)
    if (startsWith(b, p, logKey)) return this.#readLine(p + logKey.length)
    if (startsWith(b, p, streamPair)) {
      this.stream = stderr
      return p + streamPair.length
    }
    if (startsWith(b, p, truncatedPair)) {
      this.flags |= truncatedFlag
      return p + truncatedPair.length
    }
    if (startsWith(b, p, malformedPair)) {
      this.flags |= malformedFlag
      return p + malformedPair.length
    }
    return this.#attribute(p)
  }

  #attribute(p: number): number {
    const b = this.#bytes
    const value = skip(b, p, b.length)
    const end = value === -1 ? -1 : skip(b, value, b.length)
    if (end === -1) throw new MsgpackError('the chunk ends within a record')
    if (this.attributeCount === 0) this.attributesStart = this.attributesEnd = p
    if (this.attributesEnd !== p) throw new MsgpackError('the attributes of a record do not stand together')
    this.attributeCount++
    this.attributesEnd = end
    return end
  }

  #readOffset(p: number): number {
    const b = this.#bytes
    const type = b[p]!
    if (type === 0xce) this.offset = uint32At(b, p + 1)
    else if (type === 0xcf) this.offset = readUint(b, p + 1, 8)
    else throw new MsgpackError(`the offset at byte ${p} of the chunk is not an unsigned 32 or 64-bit integer`)
    return p + (type === 0xce ? 5 : 9)
  }

  #readLine(p: number): number {
    const b = this.#bytes
    const type = b[p]!
    if (type >= 0xa0 && type <= 0xbf) return this.#line(p + 1, type & 0x1f)
    if (type === 0xd9 || type === 0xc4) return this.#line(p + 2, b[p + 1]!)
    if (type === 0xda || type === 0xc5) return this.#line(p + 3, readUint(b, p + 1, 2))
    if (type === 0xdb || type === 0xc6) return this.#line(p + 5, readUint(b, p + 1, 4))
    throw new MsgpackError(`the log at byte ${p} of the chunk is neither str nor bin`)
  }

  #line(start: number, length: number): number {
    if (!(start + length <= this.#bytes.length)) throw new MsgpackError('the chunk ends within a line')
    this.lineStart = start
    this.lineEnd = start + length
    return this.lineEnd
  }
}

/** The general reader's loop is what a scan of short records would spend most of its time in. */
function uint32At(b: Buffer, at: number): number {
  return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0
}

function startsWith(b: Buffer, at: number, prefix: Buffer): boolean {
  for (let i = 0; i < prefix.length; i++) if (b[at + i] !== prefix[i]) return false
  return true
}
