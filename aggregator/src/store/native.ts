/**
 * ClickHouse's Native format, written column by column (docs/formats/store.md). This is the hot path of loading: no strings, objects
 * or BigInt per row, values land in buffers that are kept from block to block. Nothing is validated here: the callers' types say what
 * each column takes, and the engine refuses a block that does not add up.
 */
import { GrowingBuffer, GrowingWords } from './growing.ts'

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

/** Some numbers, 8 bytes each. */
export function uint64(...values: number[]): Buffer {
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

/** Rows a new column has room for. */
export const initialRows = 1024

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

/** UInt16. */
export class UInt16Column implements Column {
  readonly name: string
  readonly type = 'UInt16'
  readonly #data = new GrowingBuffer(2 * initialRows)

  constructor(name: string) {
    this.name = name
  }

  /** A whole number from 0 to 65,535. */
  append(value: number): void {
    const data = this.#data
    data.reserve(2)
    data.bytes[data.length] = value
    data.bytes[data.length + 1] = value >> 8
    data.length += 2
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
  readonly #data = new GrowingWords(4 * initialRows)

  constructor(name: string) {
    this.name = name
  }

  /** The same 16 bytes for `count` rows. */
  repeat(value: Buffer, count: number): void {
    const data = this.#data
    data.reserve(4 * count)
    const { words } = data
    const [a, b, c, d] = [0, 4, 8, 12].map((at) => value.readUInt32LE(at)) as [number, number, number, number]
    for (let i = data.length, end = i + 4 * count; i < end; i += 4) {
      words[i] = a
      words[i + 1] = b
      words[i + 2] = c
      words[i + 3] = d
    }
    data.length += 4 * count
  }

  get rows(): number {
    return this.#data.length / 4
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
