/** Buffers that grow by doubling and are kept from block to block. */

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

/** So many words or fewer are written faster by a loop than by a call into the runtime. */
const shortFill = 32

/** 32-bit words that grow by doubling. */
export class GrowingWords {
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

  append(value: number): void {
    if (this.length === this.words.length) this.reserve(1)
    this.words[this.length++] = value
  }

  fill(value: number, count: number): void {
    this.reserve(count)
    const end = this.length + count
    if (count > shortFill) this.words.fill(value, this.length, end)
    else for (let i = this.length; i < end; i++) this.words[i] = value
    this.length = end
  }

  view(): Buffer {
    return Buffer.from(this.words.buffer, 0, this.length * 4)
  }
}
