/**
 * ClickHouse's Native format, written column by column (docs/formats/store.md). This is the hot path of loading: no strings, objects
 * or BigInt per row, values land in buffers that are kept from block to block. Nothing is validated here: the callers' types say what
 * each column takes, and the engine refuses a block that does not add up.
 */

/** Little-endian, as the format is; typed arrays below rely on it. */
const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1
if (!littleEndian) throw new Error('the Native encoder needs a little-endian machine')

/** A buffer that grows by doubling. `bytes` may be replaced by {@link reserve}: read it anew after each call. */
export class GrowingBuffer {
  bytes: Buffer
  length = 0

  constructor(capacity: number) {
    this.bytes = Buffer.allocUnsafeSlow(capacity)
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.length + count))
    this.bytes.copy(larger, 0, 0, this.length)
    this.bytes = larger
  }

  append(source: Uint8Array, start: number, end: number): void {
    this.reserve(end - start)
    this.bytes.set(start === 0 && end === source.length ? source : source.subarray(start, end), this.length)
    this.length += end - start
  }

  /** Appends `source` `times` times, doubling what was copied already. */
  repeat(source: Uint8Array, times: number): void {
    const total = source.length * times
    if (total === 0) return
    this.reserve(total)
    const first = this.length
    this.bytes.set(source, first)
    for (let done = source.length; done < total; ) {
      const count = Math.min(done, total - done)
      this.bytes.copyWithin(first + done, first, first + count)
      done += count
    }
    this.length += total
  }

  view(): Buffer {
    return this.bytes.subarray(0, this.length)
  }
}

/** 32-bit words that grow by doubling. */
class GrowingWords {
  words: Uint32Array
  length = 0

  constructor(capacity: number) {
    this.words = new Uint32Array(capacity)
  }

  reserve(count: number): void {
    if (this.length + count <= this.words.length) return
    const larger = new Uint32Array(Math.max(this.words.length * 2, this.length + count))
    larger.set(this.words.subarray(0, this.length))
    this.words = larger
  }

  fill(value: number, count: number): void {
    this.reserve(count)
    this.words.fill(value, this.length, this.length + count)
    this.length += count
  }

  view(): Buffer {
    return Buffer.from(this.words.buffer, 0, this.length * 4)
  }
}

/** LEB128, the length of everything in the format. */
export function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  bytes.push(rest)
  return Buffer.from(bytes)
}

/** A string as the format has it: length and bytes. */
export function lengthPrefixed(text: string | Uint8Array): Buffer {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text
  return Buffer.concat([varint(bytes.length), bytes])
}

function uint64(...values: number[]): Buffer {
  const out = Buffer.alloc(values.length * 8)
  values.forEach((value, i) => {
    out.writeBigUInt64LE(BigInt(value), i * 8)
  })
  return out
}

/** One column of a block. What {@link parts} returns are views, valid until the next value or {@link reset}. */
export interface Column {
  readonly name: string
  readonly type: string
  /** Values so far. */
  readonly rows: number
  /** Size of the values so far, bytes; an estimate where they are encoded late. */
  readonly byteLength: number
  parts(): Buffer[]
  reset(): void
}

const initialRows = 1024

/** DateTime64(9, 'UTC'): nanoseconds since 1970 in 64 bits. */
export class TimeColumn implements Column {
  readonly name: string
  readonly type = "DateTime64(9, 'UTC')"
  readonly #data = new GrowingWords(2 * initialRows)

  constructor(name: string) {
    this.name = name
  }

  /** `nanoseconds` in 0..999,999,999; `seconds` may be negative. Beyond the years 1677 to 2262 it wraps. */
  append(seconds: number, nanoseconds: number): void {
    const data = this.#data
    data.reserve(2)
    // seconds * 1e9 + nanoseconds in pieces of 16 bits, so that no product leaves the exact integers of a double.
    const high = Math.floor(seconds / 65536)
    const low = (seconds - high * 65536) * 1e9 + nanoseconds
    const carry = Math.floor(low / 65536)
    const rest = high * 1e9 + carry
    const top = Math.floor(rest / 65536)
    data.words[data.length] = ((rest - top * 65536) << 16) | (low - carry * 65536)
    data.words[data.length + 1] = top
    data.length += 2
  }

  get rows(): number {
    return this.#data.length / 2
  }
  get byteLength(): number {
    return this.#data.length * 4
  }
  parts(): Buffer[] {
    return [this.#data.view()]
  }
  reset(): void {
    this.#data.length = 0
  }
}

/** UInt64. */
export class UInt64Column implements Column {
  readonly name: string
  readonly type = 'UInt64'
  readonly #data = new GrowingWords(2 * initialRows)

  constructor(name: string) {
    this.name = name
  }

  /** A whole number from 0 to 2^53 - 1. */
  append(value: number): void {
    const data = this.#data
    data.reserve(2)
    data.words[data.length] = value
    data.words[data.length + 1] = value / 0x100000000
    data.length += 2
  }

  /** The same value for `count` rows, as its lower and upper 32 bits. */
  repeat(low: number, high: number, count: number): void {
    const data = this.#data
    data.reserve(2 * count)
    const { words } = data
    for (let i = data.length, end = i + 2 * count; i < end; i += 2) {
      words[i] = low
      words[i + 1] = high
    }
    data.length += 2 * count
  }

  get rows(): number {
    return this.#data.length / 2
  }
  get byteLength(): number {
    return this.#data.length * 4
  }
  parts(): Buffer[] {
    return [this.#data.view()]
  }
  reset(): void {
    this.#data.length = 0
  }
}

/** Date: days since 1970-01-01 in 16 bits. */
export class DateColumn implements Column {
  readonly name: string
  readonly type = 'Date'
  readonly #data = new GrowingBuffer(2 * initialRows)

  constructor(name: string) {
    this.name = name
  }

  /** From 0 to 65535. */
  append(days: number): void {
    this.#data.reserve(2)
    this.#data.length = this.#data.bytes.writeUInt16LE(days, this.#data.length)
  }

  get rows(): number {
    return this.#data.length / 2
  }
  get byteLength(): number {
    return this.#data.length
  }
  parts(): Buffer[] {
    return [this.#data.view()]
  }
  reset(): void {
    this.#data.length = 0
  }
}

/** FixedString(16). */
export class Bytes16Column implements Column {
  readonly name: string
  readonly type = 'FixedString(16)'
  readonly #data = new GrowingBuffer(16 * initialRows)

  constructor(name: string) {
    this.name = name
  }

  /** The same 16 bytes for `count` rows. */
  repeat(value: Uint8Array, count: number): void {
    this.#data.repeat(value, count)
  }

  get rows(): number {
    return this.#data.length / 16
  }
  get byteLength(): number {
    return this.#data.length
  }
  parts(): Buffer[] {
    return [this.#data.view()]
  }
  reset(): void {
    this.#data.length = 0
  }
}

/** A copy of this many bytes or fewer is faster as a loop than as a call into the runtime. */
const shortCopy = 24

/** String: any bytes, valid UTF-8 or not. */
export class StringColumn implements Column {
  readonly name: string
  readonly type = 'String'
  readonly #data = new GrowingBuffer(64 * initialRows)
  #rows = 0

  constructor(name: string) {
    this.name = name
  }

  /** The bytes `[start, end)` of `source`, copied. */
  append(source: Buffer, start: number, end: number): void {
    const data = this.#data
    const length = end - start
    data.reserve(length + 5)
    const { bytes } = data
    let p = data.length
    let rest = length
    for (; rest >= 0x80; rest >>>= 7) bytes[p++] = (rest & 0x7f) | 0x80
    bytes[p++] = rest
    if (length > shortCopy) source.copy(bytes, p, start, end)
    else for (let i = 0; i < length; i++) bytes[p + i] = source[start + i]!
    data.length = p + length
    this.#rows++
  }

  get rows(): number {
    return this.#rows
  }
  get byteLength(): number {
    return this.#data.length
  }
  parts(): Buffer[] {
    return [this.#data.view()]
  }
  reset(): void {
    this.#data.length = 0
    this.#rows = 0
  }
}

/** Dictionary and indexes of LowCardinality(String), as a column or within a map. */
class Dictionary {
  readonly #indexOf = new Map<string, number>([['', 0]])
  readonly #keys = new GrowingBuffer(4096)
  readonly #indexes = new GrowingWords(initialRows)

  constructor() {
    this.#keys.append(lengthPrefixed(''), 0, 1)
  }

  get length(): number {
    return this.#indexes.length
  }
  get byteLength(): number {
    return this.#keys.length + this.#indexes.length
  }

  /** The index of a value in this block. */
  indexOf(value: string): number {
    const known = this.#indexOf.get(value)
    if (known !== undefined) return known
    const index = this.#indexOf.size
    const key = lengthPrefixed(value)
    this.#keys.append(key, 0, key.length)
    this.#indexOf.set(value, index)
    return index
  }

  fill(index: number, count: number): void {
    this.#indexes.fill(index, count)
  }

  /** Appends all of `indexes`, `count` times. */
  repeat(indexes: readonly number[], count: number): void {
    if (indexes.length === 1) {
      this.fill(indexes[0]!, count)
      return
    }
    const data = this.#indexes
    data.reserve(indexes.length * count)
    for (let row = 0; row < count; row++) {
      for (let i = 0; i < indexes.length; i++) data.words[data.length++] = indexes[i]!
    }
  }

  /** Everything behind the version. Without values there is nothing. */
  parts(): Buffer[] {
    if (this.length === 0) return []
    const size = this.#indexOf.size
    const width = size <= 0x100 ? 0 : size <= 0x10000 ? 1 : 2
    const head = uint64(width + additionalKeys + updateDictionary, size)
    return [head, this.#keys.view(), uint64(this.length), this.#narrow(width)]
  }

  #narrow(width: number): Buffer {
    const indexes = this.#indexes.words.subarray(0, this.length)
    if (width === 2) return this.#indexes.view()
    const narrow = width === 1 ? new Uint16Array(indexes) : new Uint8Array(indexes)
    return Buffer.from(narrow.buffer)
  }

  reset(): void {
    this.#indexOf.clear()
    this.#indexOf.set('', 0)
    this.#keys.length = 1
    this.#indexes.length = 0
  }
}

/** The keys stand in the block itself, */
const additionalKeys = 1 << 9
/** and replace those of the block before. */
const updateDictionary = 1 << 10
/** Version of the dictionary's serialization, before everything else of the column. */
const dictionaryVersion = uint64(1)

/** LowCardinality(String). */
export class LowCardinalityColumn implements Column {
  readonly name: string
  readonly type = 'LowCardinality(String)'
  readonly #dictionary = new Dictionary()

  constructor(name: string) {
    this.name = name
  }

  /** The index of a value, for {@link fill}; it holds until {@link reset}. */
  indexOf(value: string): number {
    return this.#dictionary.indexOf(value)
  }

  /** The value with this index for `count` rows. */
  fill(index: number, count: number): void {
    this.#dictionary.fill(index, count)
  }

  get rows(): number {
    return this.#dictionary.length
  }
  get byteLength(): number {
    return this.#dictionary.byteLength
  }
  parts(): Buffer[] {
    return [dictionaryVersion, ...this.#dictionary.parts()]
  }
  reset(): void {
    this.#dictionary.reset()
  }
}

/** A map whose keys have been looked up in the block's dictionary; it holds until the column's `reset`. */
export interface PreparedMap {
  readonly keys: readonly number[]
  /** All values, each with its length before it. */
  readonly values: Buffer
}

/** Map(LowCardinality(String), String). */
export class MapColumn implements Column {
  readonly name: string
  readonly type = 'Map(LowCardinality(String), String)'
  /** Where each row's pairs end, 64 bits each. */
  readonly #offsets = new GrowingWords(2 * initialRows)
  readonly #keys = new Dictionary()
  readonly #values = new GrowingBuffer(64 * initialRows)
  #end = 0

  constructor(name: string) {
    this.name = name
  }

  /** Keys are sorted, as equality of maps in SQL depends on their order. */
  prepare(map: Readonly<Record<string, string>>): PreparedMap {
    const names = Object.keys(map).sort()
    return {
      keys: names.map((name) => this.#keys.indexOf(name)),
      values: Buffer.concat(names.map((name) => lengthPrefixed(map[name]!))),
    }
  }

  /** The same map for `count` rows. */
  repeat(map: PreparedMap, count: number): void {
    const offsets = this.#offsets
    offsets.reserve(2 * count)
    for (let row = 0; row < count; row++) {
      this.#end += map.keys.length
      offsets.words[offsets.length++] = this.#end
      offsets.words[offsets.length++] = this.#end / 0x100000000
    }
    if (map.keys.length === 0) return
    this.#keys.repeat(map.keys, count)
    this.#values.repeat(map.values, count)
  }

  get rows(): number {
    return this.#offsets.length / 2
  }
  get byteLength(): number {
    return this.#offsets.length * 4 + this.#keys.byteLength + this.#values.length
  }
  parts(): Buffer[] {
    return [dictionaryVersion, this.#offsets.view(), ...this.#keys.parts(), this.#values.view()]
  }
  reset(): void {
    this.#offsets.length = 0
    this.#keys.reset()
    this.#values.length = 0
    this.#end = 0
  }
}

/**
 * One block of all columns, which have the same number of rows. The buffers are views into the columns: valid until one of them
 * gets a value or is reset.
 */
export function encodeBlock(columns: readonly Column[]): Buffer[] {
  const rows = columns[0]?.rows ?? 0
  const parts: Buffer[] = [varint(columns.length), varint(rows)]
  for (const column of columns) {
    parts.push(lengthPrefixed(column.name), lengthPrefixed(column.type), ...(rows === 0 ? [] : column.parts()))
  }
  return parts.filter((part) => part.length > 0)
}
