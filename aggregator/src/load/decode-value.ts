/**
 * Decodes the MessagePack of other senders' records. Unlike a general decoder it keeps str as bytes, since lines need not be
 * UTF-8, and takes any key that a log may contain, `__proto__` included.
 */
import { MsgpackError, maxDepth, skip, TooDeepError } from '@tributary/protocol/msgpack.ts'

/** An extension value, such as an EventTime (type 0). */
export class Extension {
  readonly type: number
  readonly data: Buffer
  constructor(type: number, data: Buffer) {
    this.type = type
    this.data = data
  }
}

/** str and bin are views of the bytes given. */
export type Value = null | boolean | number | bigint | Buffer | Extension | Value[] | ValueMap
export type ValueMap = Map<string, Value>

/**
 * A map or array that is the key of a map counts for so many levels: such a key is text, JSON, which as part of another key has each of its quotes
 * escaped once more, and so doubles with every level.
 */
const levelsOfKey = maxDepth / 4

/** Reads values one after another. Throws {@link MsgpackError} where the bytes are no value, {@link TooDeepError} where one nests too deep. */
export class ValueReader {
  readonly #bytes: Buffer
  readonly #view: DataView
  at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  get done(): boolean {
    return this.at >= this.#bytes.length
  }

  next(): Value {
    try {
      return this.#value(0)
    } catch (error) {
      // DataView refuses to read beyond its end: cheaper than comparing before every read.
      if (error instanceof RangeError) throw new MsgpackError('the bytes end within a value')
      throw error
    }
  }

  /** Steps over one value, however deep it nests. */
  skip(): void {
    const end = skip(this.#bytes, this.at, this.#bytes.length)
    if (end === -1) throw new MsgpackError('the bytes end within a value')
    this.at = end
  }

  #value(depth: number): Value {
    if (depth > maxDepth) throw new TooDeepError(`values nested more than ${maxDepth} deep`)
    const type = this.#view.getUint8(this.at++)
    if (type <= 0x7f) return type
    if (type >= 0xe0) return type - 0x100
    if (type <= 0x8f) return this.#map(type & 0x0f, depth)
    if (type <= 0x9f) return this.#array(type & 0x0f, depth)
    if (type <= 0xbf) return this.#take(type & 0x1f)
    switch (type) {
      case 0xc0:
        return null
      case 0xc2:
        return false
      case 0xc3:
        return true
      case 0xc4:
      case 0xd9:
        return this.#take(this.#uint(1))
      case 0xc5:
      case 0xda:
        return this.#take(this.#uint(2))
      case 0xc6:
      case 0xdb:
        return this.#take(this.#uint(4))
      case 0xc7:
        return this.#extension(this.#uint(1))
      case 0xc8:
        return this.#extension(this.#uint(2))
      case 0xc9:
        return this.#extension(this.#uint(4))
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(1 << (type - 0xd4))
      case 0xdc:
        return this.#array(this.#uint(2), depth)
      case 0xdd:
        return this.#array(this.#uint(4), depth)
      case 0xde:
        return this.#map(this.#uint(2), depth)
      case 0xdf:
        return this.#map(this.#uint(4), depth)
      default:
        return this.#number(type)
    }
  }

  #number(type: number): number | bigint {
    const at = this.at
    switch (type) {
      case 0xca:
        this.at += 4
        return this.#view.getFloat32(at)
      case 0xcb:
        this.at += 8
        return this.#view.getFloat64(at)
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#uint(1 << (type - 0xcc))
      case 0xcf:
        this.at += 8
        return small(this.#view.getBigUint64(at))
      case 0xd0:
        this.at += 1
        return this.#view.getInt8(at)
      case 0xd1:
        this.at += 2
        return this.#view.getInt16(at)
      case 0xd2:
        this.at += 4
        return this.#view.getInt32(at)
      case 0xd3:
        this.at += 8
        return small(this.#view.getBigInt64(at))
      default:
        throw new MsgpackError(`the byte 0x${type.toString(16)} starts no MessagePack value`)
    }
  }

  #uint(length: number): number {
    const at = this.at
    this.at += length
    if (length === 1) return this.#view.getUint8(at)
    return length === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at)
  }

  #take(length: number): Buffer {
    const end = this.at + length
    if (end > this.#bytes.length) throw new MsgpackError('the bytes end within a value')
    const taken = this.#bytes.subarray(this.at, end)
    this.at = end
    return taken
  }

  #extension(length: number): Extension {
    const type = this.#view.getInt8(this.at++)
    return new Extension(type, this.#take(length))
  }

  #array(length: number, depth: number): Value[] {
    const items: Value[] = []
    for (let i = 0; i < length; i++) items.push(this.#value(depth + 1))
    return items
  }

  #map(pairs: number, depth: number): ValueMap {
    const map: ValueMap = new Map()
    for (let i = 0; i < pairs; i++) {
      const key = this.#value(depth + (this.#atContainer() ? levelsOfKey : 1))
      map.set(Buffer.isBuffer(key) ? key.toString('utf8') : textOf(key), this.#value(depth + 1))
    }
    return map
  }

  /** Whether the next value is a map or an array. */
  #atContainer(): boolean {
    const type = this.#bytes[this.at]!
    return (type & 0xe0) === 0x80 || (type >= 0xdc && type <= 0xdf)
  }
}

function small(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

/** A value as text: strings as they are, everything else as JSON. */
export function textOf(value: Value): string {
  if (Buffer.isBuffer(value)) return value.toString('utf8')
  if (typeof value === 'bigint') return value.toString()
  return JSON.stringify(plain(value)) ?? ''
}

/** What JSON.stringify can take. */
function plain(value: Value): unknown {
  if (Buffer.isBuffer(value)) return value.toString('utf8')
  // JSON has no limit on digits; JSON.rawJSON keeps all of a 64-bit integer's.
  if (typeof value === 'bigint') return rawJson(value.toString())
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Extension) return `ext(${value.type}):${value.data.toString('hex')}`
  if (value instanceof Map) {
    const object = Object.create(null) as Record<string, unknown>
    for (const [key, item] of value) object[key] = plain(item)
    return object
  }
  return value
}

const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON
