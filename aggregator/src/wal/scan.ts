/** Reads the records of one segment, one after another, and goes on behind damage. Memory is one window, or one record if that is larger. */
import type { DiskFile } from '@tributary/protocol/disk.ts'
import { crc32c } from './crc32c.ts'
import { decodeHead, headLength, markerBytes, type RecordHead, smallestHead, type WalRecord } from './record.ts'
import { segmentHeadBytes } from './segment.ts'

export type Scanned =
  | {
      readonly kind: 'record'
      readonly start: number
      readonly end: number
      readonly record: WalRecord
      /** All of the segment before this offset was confirmed. */
      readonly groupStart: number
    }
  /** Bytes that are no record, or a record whose head is sound and whose message is not. */
  | { readonly kind: 'damaged'; readonly start: number; readonly end: number; readonly head?: RecordHead }

/** Bytes read at once. */
const windowBytes = 1 << 20
/** What can't be read is skipped in pieces of this size, bytes: a sector of today's disks. */
const sectorBytes = 4096

export class SegmentScanner {
  readonly #file: DiskFile
  readonly #marker: Buffer
  #position: number
  /** Never written to again once it was read into: records are views of it. */
  #window: Buffer = Buffer.alloc(0)
  #windowStart = 0

  /** @param marker the segment's, with which its records begin */
  constructor(file: DiskFile, marker: Buffer, position: number) {
    this.#file = file
    this.#marker = marker
    this.#position = Math.max(position, segmentHeadBytes)
  }

  /** End of what was given out last. */
  get position(): number {
    return this.#position
  }

  /** The next thing before `limit`, up to which the file does not change any more; undefined when there is nothing more. */
  async next(limit: number): Promise<Scanned | undefined> {
    let start = this.#position
    let head = await this.#headAt(start, limit)
    for (; head?.isHole; head = await this.#headAt(start, limit)) start += head.headLength + head.messageLength
    this.#position = Math.min(start, limit)
    if (start >= limit) return undefined
    if (head === undefined) {
      this.#position = await this.#resynchronise(start + 1, limit)
      return { kind: 'damaged', start, end: this.#position }
    }
    const { headLength, messageLength } = head
    const end = start + headLength + messageLength
    this.#position = Math.min(end, limit)
    const message = await this.#bytes(start + headLength, messageLength, limit)
    if (message.length < messageLength || crc32c(message) !== head.messageCrc) {
      return { kind: 'damaged', start, end: this.#position, head }
    }
    const { accepted, receivedAt, source, records, seam, tenant, groupStart } = head
    const record = { accepted, message, receivedAt, source, records, seam, tenant }
    return { kind: 'record', start, end, groupStart, record }
  }

  async #headAt(at: number, limit: number): Promise<RecordHead | undefined> {
    const first = await this.#bytes(at, smallestHead, limit)
    const length = first.length < smallestHead ? undefined : headLength(first, this.#marker)
    if (length === undefined) return undefined
    const head = await this.#bytes(at, length, limit)
    return head.length < length ? undefined : decodeHead(head, at)
  }

  /** The next place from `from` on where a record with a sound head begins; `limit` when there is none. */
  async #resynchronise(from: number, limit: number): Promise<number> {
    for (let at = from; at + smallestHead <= limit; ) {
      const bytes = await this.#bytes(at, Math.min(windowBytes, limit - at), limit)
      if (bytes.length < smallestHead) break
      for (let i = bytes.indexOf(this.#marker); i !== -1; i = bytes.indexOf(this.#marker, i + 1)) {
        if ((await this.#headAt(at + i, limit)) !== undefined) return at + i
      }
      // A marker can lie across the end of what was looked at.
      at += bytes.length - markerBytes + 1
    }
    return limit
  }

  /** `length` bytes at `at`; fewer where the limit or the file ends. */
  async #bytes(at: number, length: number, limit: number): Promise<Buffer> {
    const end = Math.min(at + length, limit)
    const windowEnd = this.#windowStart + this.#window.length
    if (at < this.#windowStart || end > windowEnd) {
      const window = Buffer.allocUnsafeSlow(Math.max(0, Math.min(limit - at, Math.max(length, windowBytes))))
      this.#window = window.subarray(0, await readSound(this.#file, window, at))
      this.#windowStart = at
    }
    return this.#window.subarray(at - this.#windowStart, Math.max(at, end) - this.#windowStart)
  }
}

/** Reads; what the disk can't read (EIO) reads as zeros, which are damage like any other and no reason to stop. */
async function readSound(file: DiskFile, into: Buffer, at: number): Promise<number> {
  try {
    return await file.read(into, at)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EIO') throw error
    if (into.length <= sectorBytes) return into.fill(0).length
  }
  let done = 0
  while (done < into.length) {
    const piece = into.subarray(done, done + sectorBytes - ((at + done) % sectorBytes))
    const read = await readSound(file, piece, at + done)
    done += read
    if (read < piece.length) break
  }
  return done
}
