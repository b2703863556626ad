/**
 * One turn of reading: takes the next bytes of one source, cuts them into records and hands them over as a chunk. All sources share
 * one buffer and one cutter, so memory does not grow with their number.
 */
import { crc32 } from 'node:zlib'
import type { ChunkHeader, FilterReason, LossReason, Outcome } from '@tributary/protocol/chunk.ts'
import type { ByteRange } from '@tributary/protocol/ranges.ts'
import { fingerprintBytes, fingerprintOf } from '@tributary/protocol/source.ts'
import type { CollectorConfig } from '../config.ts'
import { DockerParser } from '../cri/docker.ts'
import { CriParser, type LineFormat, type LineParser, PlainParser } from '../cri/line.ts'
import type { FilteredRecords } from '../filter/stream-filter.ts'
import type { Courier } from '../forward/courier.ts'
import type { CollectorMetrics } from '../metrics.ts'
import { ChunkCutter, type CutRequest } from './cutter.ts'
import { type Generation, noTail, settleMs, tailBytes, tailOf } from './generation.ts'
import { maySpan, type Seam } from './seam.ts'

/** Bytes one chunk aims at: where the compressor is at its best per CPU, and memory still small. */
export const chunkBytes = 256 * 1024

export type Turn =
  /** A chunk went out; there may be more. */
  | 'read'
  /** What is unread is not a whole record yet, or nothing is. */
  | 'waiting'
  /** The bytes before the position are not those that were read: the file was truncated and written anew. */
  | 'replaced'
  /** The same of the file that came after it, where its last record may go on. */
  | 'successor replaced'

/** What of the configuration reading goes by. */
type ReadConfig = Pick<CollectorConfig, 'logs' | 'multiline'>

export class Reader {
  readonly #cutter: ChunkCutter
  readonly #parsers: Record<LineFormat, LineParser> = {
    cri: new CriParser(),
    docker: new DockerParser(),
    plain: new PlainParser(),
  }
  /** The bytes before the position, then those to cut. */
  readonly #buffer: Buffer
  readonly #courier: Courier
  readonly #metrics: CollectorMetrics
  /** How long the first part of a line waits for the last, ms. */
  #partialTimeout!: number
  /** How long the lines of what may be a stack trace wait for more, ms. */
  #joinTimeout!: number

  constructor({ logs, multiline, courier, metrics }: ReadConfig & { courier: Courier; metrics: CollectorMetrics }) {
    this.#cutter = new ChunkCutter({
      maxLineBytes: logs.maxLineBytes,
      maxLines: multiline.maxLines,
      // Runtimes cut lines at 16 KiB, and docker may write a byte of it as six.
      leastWindowBytes: chunkBytes,
    })
    this.#buffer = Buffer.allocUnsafeSlow(tailBytes + this.#cutter.windowBytes)
    this.#courier = courier
    this.#metrics = metrics
    this.reconfigure({ logs, multiline })
  }

  reconfigure({ logs, multiline }: ReadConfig): void {
    this.#partialTimeout = logs.partialTimeout
    this.#joinTimeout = multiline.timeout
    this.#cutter.maxLines = multiline.maxLines
  }

  /**
   * Needs `generation.file`. Throws what the file system and zlib throw.
   *
   * @param successor the generation that came after this one, where a record that is not whole at the end may go on
   */
  async turn(generation: Generation, successor: Generation | undefined, now: number): Promise<Turn> {
    if (generation.position === generation.limit) {
      generation.skipAccepted()
      return 'read'
    }
    if (!generation.established && !(await this.#establish(generation))) return 'replaced'
    let want = Math.min(chunkBytes, this.#cutter.windowBytes)
    for (;;) {
      const got = await this.#read(generation, want)
      if (got === -1) return 'replaced'
      const isLast = this.#isLast(generation, got)
      const spans = isLast && this.#endsInLine(got) && maySpan(generation, successor)
      const ends = !spans && (isLast || generation.position + got === generation.limit)
      if (this.#cut(generation, got, ends ? 'all' : 'wait')) break
      if (spans) return this.#turnOverSeam(generation, successor, got, now)
      if (got < want || want === this.#cutter.windowBytes) {
        const patience = this.#wait(generation, successor, now)
        if (patience === 'wait' || !this.#cut(generation, got, patience)) return 'waiting'
        break
      }
      // A record that is larger than a chunk needs the whole window to be seen.
      want = this.#cutter.windowBytes
    }
    this.#send(generation)
    return 'read'
  }

  /** Reads what a record that began in `generation` needs of the next one: both are accounted for by one chunk. */
  async #turnOverSeam(
    generation: Generation,
    successor: Generation | undefined,
    got: number,
    now: number,
  ): Promise<Turn> {
    if (successor?.state !== 'reading' || successor.file === undefined) {
      if (this.#wait(generation, successor, now) !== 'pending' || successor !== undefined) return 'waiting'
      this.#cut(generation, got, 'all')
      this.#send(generation)
      return 'read'
    }
    const room = Math.min(this.#cutter.windowBytes - got, successor.limit)
    const more = await successor.file.read(this.#buffer, tailBytes + got, room, 0)
    const same = await this.#begins(successor)
    // It was copied and truncated before it was read: what it held is found in the copy.
    if (!same && !successor.file.gzip && !successor.spooled) return 'successor replaced'
    // A record goes over one rotation, not two: behind a next file that is at its end, too, nothing is waited for.
    const atEnd = more === successor.limit || (more < room && (successor.file.gzip || successor.ended))
    if (!same) this.#cut(generation, got, 'all')
    else if (!this.#cut(generation, got + more, atEnd ? 'overlapping' : 'wait', got)) {
      const patience = this.#wait(generation, successor, now)
      // The last record of a next file that was rotated, too, may go on in the one after it.
      const rest = patience === 'pending' && successor.name.rotation !== '' ? 'overlapping' : patience
      if (patience === 'wait' || !this.#cut(generation, got + more, rest, got)) return 'waiting'
    }
    this.#send(generation, { successor, bytes: got })
    return 'read'
  }

  /**
   * Before the first read, and wherever reading goes on without having read what is before: makes sure that the file still begins as
   * it did when it was identified, and learns the bytes before the position. False when it is another file's content by now.
   */
  async #establish(generation: Generation): Promise<boolean> {
    if (!(await this.#begins(generation))) return false
    const { file, position } = generation
    const length = Math.min(tailBytes, position)
    const n = await file!.read(this.#buffer, 0, length, position - length)
    if (n < length) return false
    const before = this.#buffer.subarray(0, n)
    if (generation.tail.length === 0) generation.tail = tailOf(before)
    // A line that was cut because of its length goes on behind the cut; only there a chunk ends without a line feed.
    generation.midLine = n > 0 && before[n - 1] !== 10
    generation.established = true
    return true
  }

  /** Whether a file is still what it was identified as. */
  async #begins({ file, identity }: Generation): Promise<boolean> {
    const bytes = Buffer.allocUnsafe(fingerprintBytes)
    const head = bytes.subarray(0, await file!.read(bytes, 0, fingerprintBytes, file!.start))
    return crc32(fingerprintOf(head) ?? head) === identity.head
  }

  /** Fills the buffer; how many unread bytes there are, or -1 when the file is not the one that was read before. */
  async #read(generation: Generation, want: number): Promise<number> {
    const { file, position, tail, limit } = generation
    const length = Math.min(want, limit - position)
    const n = await file!.read(this.#buffer, tailBytes - tail.length, tail.length + length, position - tail.length)
    if (file!.gzip && n < tail.length + length) {
      // The end of a compressed file is the end of its source.
      generation.size = position - tail.length + n
      generation.ended = true
    }
    const same = n >= tail.length && crc32(this.#buffer.subarray(tailBytes - tail.length, tailBytes)) === tail.crc
    return tail.length === 0 || same ? n - tail.length : -1
  }

  #isLast({ position, ended, size, limit }: Generation, got: number): boolean {
    return ended && position + got >= size && limit > size
  }

  #endsInLine(got: number): boolean {
    return got > 0 && this.#buffer[tailBytes + got - 1] === 10
  }

  #cut(generation: Generation, length: number, rest: CutRequest['rest'], seam?: number): boolean {
    const cutter = this.#cutter
    cutter.cut({
      bytes: this.#buffer.subarray(tailBytes, tailBytes + length),
      offset: generation.position,
      parser: this.#parsers[generation.format],
      detectors: generation.treatment.detectors,
      midLine: generation.midLine,
      ...timeBefore(generation),
      rest,
      ...(seam === undefined ? {} : { seam }),
    })
    return cutter.consumed > 0
  }

  /** What becomes of what was left for want of its end, after so long. */
  #wait(generation: Generation, successor: Generation | undefined, now: number): Exclude<CutRequest['rest'], 'all'> {
    const { size, stuck, name } = generation
    const { pendingTo, pendingPart } = this.#cutter
    // What is pending has come no further: neither did the rest, as far as it matters.
    const same = stuck !== undefined && (pendingTo === -1 ? stuck.size === size : stuck.to === pendingTo)
    // A renamed file's last record may go on in the next file, of which nothing may be there yet.
    const whole = !pendingPart && (name.rotation === '' || successor !== undefined)
    const patience = whole ? this.#joinTimeout : this.#partialTimeout
    // Only when a rotated file has settled is it known whether the next one has the end.
    const settles = name.rotation !== '' && !generation.ended
    const timeout = settles ? Math.max(patience, 2 * settleMs) : patience
    // Records of both streams may overlap for ever: each begins before the one of the other stream is seen to have ended.
    const until = stuck?.until ?? now + Math.max(this.#partialTimeout, timeout)
    const since = same ? stuck.since : now
    generation.stuck = { since, size, to: pendingTo, timeout, until }
    if (now - since >= timeout) return 'pending'
    // A line that has only begun has its time, too.
    return now >= (pendingPart ? until + this.#partialTimeout : until) ? 'overlapping' : 'wait'
  }

  #send(generation: Generation, seam?: Seam): void {
    const { consumed, records, encodedBytes, truncated, malformed, out } = this.#cutter
    const { position } = generation
    const range: ByteRange = [position, position + consumed]
    const spanned = seam !== undefined && consumed > seam.bytes ? seam : undefined
    const header = {
      ...headerOf(generation, range, encodedBytes),
      ...(spanned ? { seam: { source: spanned.successor.id, at: position + spanned.bytes } } : {}),
    }
    // Before the position moves: what could not be encoded is read again.
    const delivered = this.#deliver(generation, header, out.subarray(0, encodedBytes), records)
    const acked = this.#moveOn(generation, tailBytes, Math.min(consumed, spanned?.bytes ?? consumed))
    const next = spanned && this.#moveOn(spanned.successor, tailBytes + spanned.bytes, consumed - spanned.bytes)
    void delivered.then(() => {
      acked()
      next?.()
    })
    const metrics = this.#metrics
    metrics.readBytes.inc(consumed)
    metrics.readRecords.inc(records)
    if (truncated > 0) metrics.truncatedRecords.inc(truncated)
    if (malformed > 0) metrics.malformedLines.inc(malformed, generation.format)
  }

  /** Filters the records and sends what is left of them. The records may be overwritten once this returned. */
  #deliver({ treatment }: Generation, header: ChunkHeader, records: Buffer, count: number): Promise<void> {
    const { filter, partial } = treatment
    if (partial) this.#metrics.partialMetadata.inc(count)
    if (filter === undefined) return this.#courier.deliver(header, records, count)
    const filtered = filter.apply(records, count, header.range)
    if (!(filtered instanceof Promise)) return this.#deliverFiltered(header, filtered)
    const release = this.#courier.hold(records.length)
    return filtered.then((found) => {
      release()
      return this.#deliverFiltered(header, found)
    })
  }

  #deliverFiltered(header: ChunkHeader, { records, count, leftOut }: FilteredRecords): Promise<void> {
    for (const [reason, bytes] of Object.entries(leftOut ?? {}))
      this.#metrics.filteredBytes.inc(bytes, reason as FilterReason)
    const rawBytes = records.length
    return this.#courier.deliver({ ...header, rawBytes, ...(leftOut ? { leftOut } : {}) }, records, count)
  }

  /** Moves the position over `length` bytes that begin at `at` in the buffer; returns what is to be called at the acknowledgement. */
  #moveOn(generation: Generation, at: number, length: number): () => void {
    const { seconds, nanoseconds, midLine } = this.#cutter
    const end = at + length
    const known = Math.max(at - generation.tail.length, end - tailBytes)
    generation.midLine = midLine
    generation.seconds = seconds
    generation.nanoseconds = nanoseconds
    generation.established = true
    generation.readAt = Date.now()
    generation.sizeWhenRead = generation.size
    return generation.sent(generation.position + length, tailOf(this.#buffer.subarray(known, end)))
  }

  /** Told of every range that is given up on or left out. */
  onGap: (generation: Generation, range: ByteRange, outcome: Outcome) => void = () => undefined

  /** Gives all bytes from the position to `end` up, or leaves them out: they are reported instead of read. */
  skip(generation: Generation, end: number, outcome: Outcome): void {
    const { position } = generation
    const to = Math.min(end, generation.limit)
    if (to > position) {
      if (outcome.kind === 'lost') this.#metrics.lostBytes.inc(to - position, outcome.reason satisfies LossReason)
      else this.#metrics.filteredBytes.inc(to - position, outcome.reason satisfies FilterReason)
      this.onGap(generation, [position, to], outcome)
      const acked = generation.sent(to, noTail)
      generation.established = false
      generation.readAt = undefined
      void this.#courier.report({ ...headerOf(generation, [position, to], 0), outcome }).then(acked)
    }
    if (to < end && to === generation.limit) {
      generation.skipAccepted()
      this.skip(generation, end, outcome)
    }
  }
}

/** Lines without a time are as old as the last write to their file, but not older than the record before. */
function timeBefore({ format, seconds, nanoseconds, modifiedMs }: Generation): {
  seconds: number
  nanoseconds: number
} {
  const written = { seconds: Math.floor(modifiedMs / 1000), nanoseconds: Math.floor((modifiedMs % 1000) * 1e6) }
  if (seconds === 0) return written
  const older = written.seconds < seconds || (written.seconds === seconds && written.nanoseconds < nanoseconds)
  return format === 'plain' && !older ? written : { seconds, nanoseconds }
}

function headerOf(generation: Generation, range: ByteRange, rawBytes: number) {
  const { id, size, path, treatment } = generation
  return {
    source: id,
    range,
    seen: Math.max(size, range[1]),
    rawBytes,
    path,
    labels: treatment.stream.labels,
    metadata: treatment.stream.metadata,
  }
}
