/**
 * One turn of reading: takes the next bytes of one source, cuts them into records and hands them over as a chunk. All sources share
 * one buffer and one cutter, so memory does not grow with their number.
 */
import { crc32 } from 'node:zlib'
import type { FilterReason, LossReason, Outcome } from '@tributary/protocol/chunk.ts'
import type { ByteRange } from '@tributary/protocol/ranges.ts'
import { fingerprintBytes, fingerprintOf } from '@tributary/protocol/source.ts'
import { DockerParser } from '../cri/docker.ts'
import { CriParser, type LineFormat, type LineParser, PlainParser } from '../cri/line.ts'
import type { Courier } from '../forward/courier.ts'
import type { CollectorMetrics } from '../metrics.ts'
import { ChunkCutter, type CutRequest } from './cutter.ts'
import { type Generation, noTail, tailBytes, tailOf } from './generation.ts'

/** Bytes one chunk aims at: where the compressor is at its best per CPU, and memory still small. */
export const chunkBytes = 256 * 1024

export type Turn =
  /** A chunk went out; there may be more. */
  | 'read'
  /** What is unread is not a whole record yet, or nothing is. */
  | 'waiting'
  /** The bytes before the position are not those that were read: the file was truncated and written anew. */
  | 'replaced'

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
  readonly #partialTimeout: number

  constructor(options: { maxLineBytes: number; partialTimeout: number; courier: Courier; metrics: CollectorMetrics }) {
    this.#cutter = new ChunkCutter(options)
    this.#buffer = Buffer.allocUnsafeSlow(tailBytes + this.#cutter.windowBytes)
    this.#courier = options.courier
    this.#metrics = options.metrics
    this.#partialTimeout = options.partialTimeout
  }

  /** Needs `generation.file`. Throws what the file system and zlib throw. */
  async turn(generation: Generation, now: number): Promise<Turn> {
    if (generation.position === generation.limit) {
      generation.skipAccepted()
      return 'read'
    }
    if (!generation.established && !(await this.#establish(generation))) return 'replaced'
    let want = Math.min(chunkBytes, this.#cutter.windowBytes)
    for (;;) {
      const got = await this.#read(generation, want)
      if (got === -1) return 'replaced'
      if (this.#cut(generation, got, now)) break
      // A record that is larger than a chunk needs the whole window to be seen.
      if (got < want || want === this.#cutter.windowBytes) return this.#wait(generation, now)
      want = this.#cutter.windowBytes
    }
    this.#send(generation)
    return 'read'
  }

  /**
   * Before the first read, and wherever reading goes on without having read what is before: makes sure that the file still begins as
   * it did when it was identified, and learns the bytes before the position. False when it is another file's content by now.
   */
  async #establish(generation: Generation): Promise<boolean> {
    const { file, position, identity } = generation
    const head = this.#buffer.subarray(0, await file!.read(this.#buffer, 0, fingerprintBytes, 0))
    if (crc32(fingerprintOf(head) ?? head) !== identity.head) return false
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

  #cut(generation: Generation, got: number, now: number): boolean {
    const { position, limit, size, ended, stuck, format } = generation
    const end = position + got
    const final = end === limit || (ended && end >= size)
    const late = stuck !== undefined && now - stuck.since >= this.#partialTimeout
    const request: CutRequest = {
      bytes: this.#buffer.subarray(tailBytes, tailBytes + got),
      offset: position,
      parser: this.#parsers[format],
      midLine: generation.midLine,
      ...timeBefore(generation),
      rest: final ? 'all' : late ? 'partials' : 'wait',
    }
    this.#cutter.cut(request)
    generation.seconds = this.#cutter.seconds
    generation.nanoseconds = this.#cutter.nanoseconds
    return this.#cutter.consumed > 0
  }

  #wait(generation: Generation, now: number): Turn {
    const { size, stuck } = generation
    const again = stuck === undefined || stuck.size !== size || now - stuck.since >= this.#partialTimeout
    if (again) generation.stuck = { since: stuck?.size === size || stuck === undefined ? now : stuck.since, size }
    return 'waiting'
  }

  #send(generation: Generation): void {
    const { consumed, records, encodedBytes, truncated, malformed, midLine, out } = this.#cutter
    const range: ByteRange = [generation.position, generation.position + consumed]
    const end = tailBytes + consumed
    const tail = tailOf(this.#buffer.subarray(Math.max(tailBytes - generation.tail.length, end - tailBytes), end))
    // Before the position moves: what could not be encoded is read again.
    const delivered = this.#courier.deliver(
      headerOf(generation, range, encodedBytes),
      out.subarray(0, encodedBytes),
      records,
    )
    void delivered.then(generation.sent(range[1], tail))
    generation.midLine = midLine
    const metrics = this.#metrics
    metrics.readBytes.inc(consumed)
    metrics.readRecords.inc(records)
    if (truncated > 0) metrics.truncatedRecords.inc(truncated)
    if (malformed > 0) metrics.malformedLines.inc(malformed, generation.format)
  }

  /** Gives all bytes from the position to `end` up, or leaves them out: they are reported instead of read. */
  skip(generation: Generation, end: number, outcome: Outcome): void {
    const { position } = generation
    const to = Math.min(end, generation.limit)
    if (to > position) {
      if (outcome.kind === 'lost') this.#metrics.lostBytes.inc(to - position, outcome.reason satisfies LossReason)
      else this.#metrics.filteredBytes.inc(to - position, outcome.reason satisfies FilterReason)
      const acked = generation.sent(to, noTail)
      generation.established = false
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
  const { id, size, path, stream } = generation
  return {
    source: id,
    range,
    seen: Math.max(size, range[1]),
    rawBytes,
    path,
    labels: stream.labels,
    metadata: stream.metadata,
  }
}
