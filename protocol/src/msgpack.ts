/**
 * What the hot paths need of MessagePack: where a value ends, and headers written by hand. Whole values outside the hot path are
 * left to @msgpack/msgpack (see {@link encode} and {@link decode}).
 *
 * @see https://github.com/msgpack/msgpack/blob/master/spec.md
 */
import { Decoder, Encoder, ExtensionCodec } from '@msgpack/msgpack'

/** Bytes that are not MessagePack, or grow larger than allowed. The connection that sent them can't be resynchronised. */
export class MsgpackError extends Error {
  override readonly name: string = 'MsgpackError'
}

/** A value beyond the cap of its reader. */
export class TooLargeError extends MsgpackError {
  override readonly name = 'TooLargeError'
}

/** A Forward time: ext type 0, seconds and nanoseconds as two unsigned 32-bit integers. */
export class EventTime {
  readonly seconds: number
  readonly nanoseconds: number
  constructor(seconds: number, nanoseconds: number) {
    this.seconds = seconds
    this.nanoseconds = nanoseconds
  }
}

const extensionCodec = new ExtensionCodec()
extensionCodec.register({
  type: 0,
  encode: (value) => {
    if (!(value instanceof EventTime)) return null
    const bytes = Buffer.alloc(8)
    bytes.writeUInt32BE(value.seconds, 0)
    bytes.writeUInt32BE(value.nanoseconds, 4)
    return bytes
  },
  decode: (data) => {
    if (data.length !== 8) throw new MsgpackError(`an EventTime has 8 bytes, not ${data.length}`)
    const bytes = Buffer.from(data.buffer, data.byteOffset, 8)
    return new EventTime(bytes.readUInt32BE(0), bytes.readUInt32BE(4))
  },
})
const encoder = new Encoder({ extensionCodec })
const decoder = new Decoder({ extensionCodec, useBigInt64: false })
const rawDecoder = new Decoder({ extensionCodec, useBigInt64: false, rawStrings: true })

export function encode(value: unknown): Buffer {
  const bytes = encoder.encode(value)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** Decodes one whole value. `rawStrings` keeps str values as bytes, for peers that put binary data into them (Fluent Bit's salt). */
export function decode(bytes: Uint8Array, options: { rawStrings?: boolean } = {}): unknown {
  // The library makes an array as long as it is said to be, before it looks for its items.
  if (skip(bytes, 0, bytes.length) === -1) throw new MsgpackError('the bytes end within a value')
  try {
    return (options.rawStrings ? rawDecoder : decoder).decode(bytes)
  } catch (error) {
    throw error instanceof MsgpackError ? error : new MsgpackError((error as Error).message, { cause: error })
  }
}

/** A value that nests too deep to be decoded. Where it ends is known. */
export class TooDeepError extends MsgpackError {
  override readonly name = 'TooDeepError'
}

/** Values that contain others are decoded this deep: far beyond what a log record needs, well below what overflows a stack. */
export const maxDepth = 64

/** How many values are still to come until one is whole. Beyond {@link maxDepth} levels only their sum is known, so that a hostile nesting costs a counter. */
class Nesting {
  /** How many values each open container still needs, outermost first. */
  readonly #open = [1]
  /** How many are needed below the deepest level that is told apart. */
  #beyond = 0
  tooDeep = false

  get whole(): boolean {
    return this.#open.length === 0
  }

  /** Books one value with `children` values of its own. */
  count(children: number): void {
    const open = this.#open
    const last = open.length - 1
    if (this.#beyond > 0) this.#beyond += children - 1
    else {
      const left = open[last]! - 1
      open[last] = left
      // Most values are neither containers nor the last of one.
      if (children === 0 && left > 0) return
      if (children > 0 && open.length < maxDepth) open.push(children)
      else if (children > 0) {
        this.#beyond = children
        this.tooDeep = true
      }
    }
    if (this.#beyond === 0) while (open.length > 0 && open[open.length - 1] === 0) open.pop()
  }

  next(): void {
    this.#open.length = 1
    this.#open[0] = 1
    this.tooDeep = false
  }
}

/** Whether the value at `at`, as far as it is there, nests too deep to be decoded. Throws as {@link skip} does. */
export function isTooDeep(bytes: Uint8Array, at: number): boolean {
  const nesting = new Nesting()
  for (let position = at; !nesting.whole && position < bytes.length; ) {
    const header = valueHeader(bytes, position, bytes.length)
    if (header === undefined) break
    position = header.end
    nesting.count(header.children)
  }
  return nesting.tooDeep
}

/** The position behind the value at `at`, or -1 when it is not all within `end`. Throws {@link MsgpackError} on bytes that no value starts with. */
export function skip(bytes: Uint8Array, at: number, end: number): number {
  // Counting what is still open instead of recursing: a hostile nesting costs a counter, not a stack.
  let open = 1
  let position = at
  while (open > 0) {
    if (position >= end) return -1
    const header = valueHeader(bytes, position, end)
    if (header === undefined) return -1
    position = header.end
    open += header.children - 1
    if (position > end) return -1
  }
  return position
}

/** One value's own bytes (for a container only its header) and how many values it contains directly. Reused: read it before the next call. */
const found = { end: 0, children: 0 }

function valueHeader(b: Uint8Array, at: number, end: number): { end: number; children: number } | undefined {
  const type = b[at]!
  found.children = 0
  if (type <= 0x7f || type >= 0xe0) return done(at + 1)
  if (type >= 0xa0 && type <= 0xbf) return done(at + 1 + (type & 0x1f))
  if (type <= 0x8f) return container(at + 1, 2 * (type & 0x0f))
  if (type <= 0x9f) return container(at + 1, type & 0x0f)
  const lengthBytes = headerLengths[type - 0xc0]!
  if (at + 1 + lengthBytes > end) return undefined
  switch (type) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return done(at + 1)
    case 0xc1:
      throw new MsgpackError('the byte 0xc1 starts no MessagePack value')
    case 0xc4: // bin 8, 16, 32
    case 0xd9: // str 8
      return done(at + 2 + b[at + 1]!)
    case 0xc5:
    case 0xda:
      return done(at + 3 + readUint(b, at + 1, 2))
    case 0xc6:
    case 0xdb:
      return done(at + 5 + readUint(b, at + 1, 4))
    case 0xc7: // ext 8, 16, 32: length, then a type byte
      return done(at + 3 + b[at + 1]!)
    case 0xc8:
      return done(at + 4 + readUint(b, at + 1, 2))
    case 0xc9:
      return done(at + 6 + readUint(b, at + 1, 4))
    case 0xdc: // array 16, 32
      return container(at + 3, readUint(b, at + 1, 2))
    case 0xdd:
      return container(at + 5, readUint(b, at + 1, 4))
    case 0xde: // map 16, 32
      return container(at + 3, 2 * readUint(b, at + 1, 2))
    case 0xdf:
      return container(at + 5, 2 * readUint(b, at + 1, 4))
    default: // floats, integers and fixext: a fixed number of bytes
      return done(at + 1 + fixedLengths[type - 0xca]!)
  }
}

/** How many bytes of length follow the type byte, from 0xc0 on. */
const headerLengths = [0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4]
/** Bytes behind the type byte of float 32 and 64, uint 8-64, int 8-64, fixext 1-16, from 0xca on. */
const fixedLengths = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17]

function done(end: number) {
  found.end = end
  return found
}

function container(end: number, children: number) {
  found.end = end
  found.children = children
  return found
}

/** An unsigned big-endian integer of 1 to 6 bytes; exact for 8 as long as it is below 2^53. */
export function readUint(b: Uint8Array, at: number, length: number): number {
  let value = 0
  for (let i = at; i < at + length; i++) value = value * 256 + b[i]!
  return value
}

/**
 * Cuts a byte stream into whole MessagePack values, such as the messages of a Forward connection. Feed what the socket gives;
 * values come out as views that stay valid: they are never overwritten. Scanning resumes where it stopped, so a large message
 * that arrives in many pieces is looked at once. More than `maxBytes` in one value throw {@link MsgpackError} before they are buffered. A value
 * may nest as deep as it likes: what is in it is for others to judge.
 */
export class ValueSplitter {
  readonly #maxBytes: number
  #buffer: Buffer = Buffer.alloc(0)
  /** Bytes of #buffer that are filled; the value being scanned starts at 0. */
  #length = 0
  #scanned = 0
  readonly #nesting = new Nesting()

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Bytes held of a value that is not complete yet. */
  get pendingBytes(): number {
    return this.#length
  }

  /** Every value that `data` completes, in order. `data` must not be written to afterwards. */
  push(data: Buffer): Buffer[] {
    const values: Buffer[] = []
    if (this.#length === 0) {
      // The usual case: whole messages in one read, handed on without a copy.
      this.#buffer = data
      this.#length = data.length
    } else this.#append(data)
    let start = 0
    for (;;) {
      const end = this.#scan(start)
      if (end === -1) break
      values.push(this.#buffer.subarray(start, end))
      start = end
    }
    this.#keep(start)
    return values
  }

  #append(data: Buffer): void {
    const needed = this.#length + data.length
    if (needed > this.#buffer.length) {
      // #scanned may already lie ahead of what has arrived: a length that was announced. Room for it at once, as far as what
      // has arrived makes it believable.
      const announced = Math.min(this.#scanned, this.#maxBytes + data.length, 8 * needed)
      const grown = Buffer.allocUnsafeSlow(
        Math.max(needed, announced, Math.min(2 * this.#length, this.#length + (4 << 20))),
      )
      this.#buffer.copy(grown, 0, 0, this.#length)
      this.#buffer = grown
    }
    data.copy(this.#buffer, this.#length)
    this.#length = needed
  }

  /** Keeps the unfinished rest, from `start` on, in memory of its own. */
  #keep(start: number): void {
    const rest = this.#length - start
    if (start > 0 || rest === 0 || this.#buffer.length === rest) {
      const announced = Math.min(Math.max(this.#scanned - start, rest), this.#maxBytes)
      const own =
        rest === 0 ? Buffer.alloc(0) : Buffer.allocUnsafeSlow(Math.max(rest, Math.min(announced, rest + (1 << 20))))
      this.#buffer.copy(own, 0, start, this.#length)
      this.#buffer = own
      this.#scanned -= start
      this.#length = rest
    }
  }

  /** Goes on scanning the value that starts at `start`; its end, or -1 when bytes are missing. */
  #scan(start: number): number {
    let position = Math.max(this.#scanned, start)
    const nesting = this.#nesting
    // Nothing open means that only the last value's announced bytes were still to come.
    while (!nesting.whole && position < this.#length) {
      const header = valueHeader(this.#buffer, position, this.#length)
      if (header === undefined) break
      if (header.end - start > this.#maxBytes) throw new TooLargeError(`a message of more than ${this.#maxBytes} bytes`)
      position = header.end
      nesting.count(header.children)
    }
    this.#scanned = position
    if (!nesting.whole || position > this.#length) return -1
    nesting.next()
    return position
  }
}
