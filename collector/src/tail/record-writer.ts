/** Encodes the records of one chunk into one buffer that is used again and again. */
import { isUtf8 } from 'node:buffer'
import { type StreamName, truncatedFlag, writeRecordHead } from '@tributary/protocol/records.ts'
import { lineFeed, type Pending } from './pending.ts'

/** A state of the writer that it can go back to. */
export interface WriterMark {
  encodedBytes: number
  records: number
  truncated: number
  malformed: number
}

export class RecordWriter {
  readonly out: Buffer
  /** Over {@link out}. */
  readonly view: DataView
  encodedBytes = 0
  records = 0
  truncated = 0
  malformed = 0
  /** All of what is being cut is UTF-8, so that no line needs a look. */
  valid = true
  #scratch: Buffer = Buffer.alloc(0)

  constructor(bytes: number) {
    this.out = Buffer.allocUnsafeSlow(bytes)
    this.view = new DataView(this.out.buffer)
  }

  begin(valid: boolean): void {
    this.encodedBytes = this.records = this.truncated = this.malformed = 0
    this.valid = valid
  }

  mark(to: WriterMark): void {
    to.encodedBytes = this.encodedBytes
    to.records = this.records
    to.truncated = this.truncated
    to.malformed = this.malformed
  }

  goBack({ encodedBytes, records, truncated, malformed }: WriterMark): void {
    this.encodedBytes = encodedBytes
    this.records = records
    this.truncated = truncated
    this.malformed = malformed
  }

  /** A record whose line is `arena[start, end)`. There must be room for it. */
  emit(
    arena: Buffer,
    start: number,
    end: number,
    offset: number,
    stream: StreamName,
    flags: number,
    seconds: number,
    nanoseconds: number,
  ): void {
    const { out, encodedBytes } = this
    const binary = !this.valid && !isUtf8(arena.subarray(start, end))
    const at = writeRecordHead(out, encodedBytes, seconds, nanoseconds, offset, end - start, stream, flags, binary)
    arena.copy(out, at, start, end)
    this.encodedBytes = at + end - start
    this.records++
    if (flags & truncatedFlag) this.truncated++
  }

  /** A record of several parts. */
  emitPending(arena: Buffer, pending: Pending, stream: StreamName, flags: number): void {
    const { seconds, nanoseconds, offset, length } = pending
    let binary = false
    if (!this.valid) {
      // Parts are cut at any byte: only the joined line can be judged.
      if (this.#scratch.length < length) this.#scratch = Buffer.allocUnsafeSlow(length)
      copyParts(arena, pending.parts, this.#scratch, 0)
      binary = !isUtf8(this.#scratch.subarray(0, length))
    }
    const { out, encodedBytes } = this
    const at = writeRecordHead(out, encodedBytes, seconds, nanoseconds, offset, length, stream, flags, binary)
    this.encodedBytes = copyParts(arena, pending.parts, out, at)
    this.records++
    if (flags & truncatedFlag) this.truncated++
  }
}

function copyParts(arena: Buffer, parts: readonly number[], out: Buffer, at: number): number {
  let to = at
  for (let i = 0; i < parts.length; i += 2) {
    const start = parts[i]!
    if (start === lineFeed) out[to++] = 10
    else to += arena.copy(out, to, start, parts[i + 1]!)
  }
  return to
}
