import { isUtf8 } from 'node:buffer'
import { type RecordScanner, recordOverhead, writeRecordHead } from '@tributary/protocol/records.ts'
import type { RecordView } from './record-view.ts'

/** Puts what is left of a chunk together: runs of untouched records are copied as they are, the others are encoded anew. */
export class FilteredWriter {
  #out: Buffer = Buffer.alloc(0)
  #length = 0
  #attributes: Buffer = Buffer.alloc(0)
  #chunk: Buffer = Buffer.alloc(0)
  /** Untouched records not copied yet. */
  #runStart = 0
  #runEnd = 0
  #untouched = true
  count = 0

  begin(chunk: Buffer): void {
    this.#chunk = chunk
    this.#length = this.#runStart = this.#runEnd = this.count = 0
    this.#untouched = true
  }

  /** The scanner's record, as it is. */
  keep({ start, end }: RecordScanner): void {
    if (start !== this.#runEnd) {
      this.#flush()
      this.#runStart = start
    }
    this.#runEnd = end
    this.count++
  }

  /** A record that is not what it was. */
  write(record: RecordView): void {
    this.#flush()
    const { seconds, nanoseconds, offset, stream, flags, bytes, lineStart, lineEnd } = record
    const attributes = record.attributes
    const attributesLength = attributes.size === 0 ? 0 : this.#encode(attributes)
    const length = lineEnd - lineStart
    this.#reserve(recordOverhead + attributesLength + length)
    const binary = !isUtf8(bytes.subarray(lineStart, lineEnd))
    const encoded = this.#attributes.subarray(0, attributesLength)
    const at = writeRecordHead(
      this.#out,
      this.#length,
      seconds,
      nanoseconds,
      offset,
      length,
      stream,
      flags,
      binary,
      encoded,
      attributes.size,
    )
    bytes.copy(this.#out, at, lineStart, lineEnd)
    this.#length = at + length
    this.count++
  }

  /** The records; the chunk itself when it was not touched. Valid until the next chunk begins. */
  finish(): Buffer {
    if (this.#untouched && this.#runStart === 0 && this.#runEnd === this.#chunk.length) return this.#chunk
    this.#flush()
    return this.#out.subarray(0, this.#length)
  }

  #flush(): void {
    const length = this.#runEnd - this.#runStart
    this.#untouched = false
    if (length > 0) {
      this.#reserve(length)
      this.#length += this.#chunk.copy(this.#out, this.#length, this.#runStart, this.#runEnd)
    }
    this.#runStart = this.#runEnd = 0
  }

  #encode(attributes: ReadonlyMap<string, string>): number {
    let bytes = 0
    for (const [name, value] of attributes) bytes += 10 + 3 * (name.length + value.length)
    if (this.#attributes.length < bytes) this.#attributes = Buffer.allocUnsafeSlow(bytes * 2)
    let at = 0
    for (const [name, value] of attributes)
      at = writeText(this.#attributes, writeText(this.#attributes, at, name), value)
    return at
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#out.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(64 * 1024, this.#length + bytes, this.#out.length * 2))
    this.#out.copy(larger, 0, 0, this.#length)
    this.#out = larger
  }
}

/** For fewer characters a loop is faster than a call into the runtime. */
const short = 64

/** A MessagePack str; there is room for three bytes per character and five. Returns the position behind it. */
function writeText(out: Buffer, at: number, text: string): number {
  const { length } = text
  if (length < short && writeAscii(out, at + (length < 32 ? 1 : 2), text)) {
    if (length < 32) out[at] = 0xa0 | length
    else {
      out[at] = 0xd9
      out[at + 1] = length
    }
    return at + length + (length < 32 ? 1 : 2)
  }
  const bytes = out.write(text, at + 5)
  out[at] = 0xdb
  out.writeUInt32BE(bytes, at + 1)
  return at + 5 + bytes
}

/** False when not all of it is ASCII: what was written is of no use then. */
function writeAscii(out: Buffer, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c >= 0x80) return false
    out[at + i] = c
  }
  return true
}
