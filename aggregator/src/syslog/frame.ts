/**
 * Cuts a stream of bytes into syslog messages, RFC 6587: octet counting (`<length> <message>`) and, for messages that begin otherwise, one
 * message a line. A sender may change between them from one message to the next. Pure.
 */

export interface Frame {
  readonly bytes: Buffer
  /** It was longer than is kept. */
  readonly truncated: boolean
}

/** The bytes are no syslog: nothing that follows on the connection can be told apart. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
}

/** Digits of an octet count: no sender's message has ten million bytes. */
const maxDigits = 7
const lineFeed = 0x0a
const space = 0x20
const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39

export class FrameSplitter {
  readonly #maxBytes: number
  #pending: Buffer = Buffer.alloc(0)
  /** Of a message that is too long: bytes still to come that are not kept, or `line` for all up to the next line feed. */
  #skipping: number | 'line' = 0

  /** @param maxBytes kept of one message */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Bytes held of a message that is not complete. */
  get pendingBytes(): number {
    return this.#pending.length
  }

  /** The messages that are complete with these bytes. Throws {@link FrameError}. */
  push(data: Buffer): Frame[] {
    const bytes = this.#pending.length === 0 ? data : Buffer.concat([this.#pending, data])
    const frames: Frame[] = []
    let at = 0
    for (;;) {
      at = this.#skip(bytes, at)
      const end = at < bytes.length ? this.#next(bytes, at, frames) : undefined
      if (end === undefined) break
      at = end
    }
    // Copied, so that what is pending does not keep all that was received with it.
    this.#pending = Buffer.from(bytes.subarray(at))
    return frames
  }

  /** What is left when the sender has ended: the last line may lack its end. */
  end(): Frame[] {
    const bytes = this.#pending
    this.#pending = Buffer.alloc(0)
    return bytes.length === 0 || isDigit(bytes[0]!) ? [] : [this.#frame(bytes)]
  }

  #skip(bytes: Buffer, from: number): number {
    if (this.#skipping === 0) return from
    if (this.#skipping === 'line') {
      const end = bytes.indexOf(lineFeed, from)
      if (end === -1) return bytes.length
      this.#skipping = 0
      return end + 1
    }
    const count = Math.min(this.#skipping, bytes.length - from)
    this.#skipping -= count
    return from + count
  }

  /** Where the message at `at` ends; undefined when it is not complete. */
  #next(bytes: Buffer, at: number, frames: Frame[]): number | undefined {
    return isDigit(bytes[at]!) ? this.#counted(bytes, at, frames) : this.#line(bytes, at, frames)
  }

  #counted(bytes: Buffer, at: number, frames: Frame[]): number | undefined {
    let start = at
    while (start < bytes.length && isDigit(bytes[start]!)) start++
    if (start - at > maxDigits) throw new FrameError('the length of a message has too many digits')
    if (start === bytes.length) return undefined
    if (bytes[start] !== space) throw new FrameError('a message that begins neither with its length nor with <')
    start++
    const length = Number(bytes.toString('latin1', at, start - 1))
    const kept = Math.min(length, this.#maxBytes)
    if (bytes.length - start < kept) return undefined
    frames.push({ bytes: bytes.subarray(start, start + kept), truncated: length > kept })
    this.#skipping = length - kept
    return start + kept
  }

  #line(bytes: Buffer, at: number, frames: Frame[]): number | undefined {
    const end = bytes.indexOf(lineFeed, at)
    const length = (end === -1 ? bytes.length : end) - at
    if (length > this.#maxBytes) {
      frames.push({ bytes: bytes.subarray(at, at + this.#maxBytes), truncated: true })
      this.#skipping = 'line'
      return at + this.#maxBytes
    }
    if (end === -1) return undefined
    if (length > 0) frames.push(this.#frame(bytes.subarray(at, end)))
    return end + 1
  }

  #frame(bytes: Buffer): Frame {
    return { bytes, truncated: false }
  }
}
