/**
 * Cuts the unread bytes of a source into the records of one chunk. This is the hot path: one pass over the bytes, everything
 * encoded into one buffer that is used again and again, no strings, objects or views per line. Pure: no file, no clock.
 *
 * What makes chunks safe to send twice: a chunk ends only where no partial record is pending, and nothing is carried from one chunk
 * to the next but the position. Bytes behind the last such place are simply read again with more behind them. So which records
 * come out depends on the bytes and on where the chunk starts, not on how often the file was looked at.
 */
import { isUtf8 } from 'node:buffer'
import {
  malformedFlag,
  recordOverhead,
  type StreamName,
  stdout,
  truncatedFlag,
  writeRecordHead,
} from '@tributary/protocol/records.ts'
import type { LineParser } from '../cri/line.ts'

/** The window holds this many lines of the longest kind: room for a joined record and for the other stream's lines in between. */
const windowLines = 4
/** What the pieces of a line that fills the window, and two pending records, need beside their bytes. */
const splitOverhead = (2 * windowLines + 2) * recordOverhead

export interface CutRequest {
  /** Unread bytes of the source. */
  readonly bytes: Buffer
  /** Position of `bytes[0]` in the source. */
  readonly offset: number
  readonly parser: LineParser
  /** `bytes` starts within a line whose head was sent in an earlier chunk. */
  readonly midLine: boolean
  /** Time of the last record before these bytes. A line that tells no time of its own is one nanosecond after the one before it. */
  readonly seconds: number
  readonly nanoseconds: number
  /**
   * What to do with what is not whole at the end. `wait`: leave it, it is read again with what follows. `partials`: records whose
   * last part never came are sent as they are. `all`: so is a last line without LF, as nothing can follow.
   */
  readonly rest: 'wait' | 'partials' | 'all'
}

/** Parts of one record that has not ended: positions in the parser's arena. */
class Pending {
  active = false
  offset = 0
  seconds = 0
  nanoseconds = 0
  length = 0
  readonly parts: number[] = []

  begin(offset: number, seconds: number, nanoseconds: number): void {
    this.active = true
    this.offset = offset
    this.seconds = seconds
    this.nanoseconds = nanoseconds
    this.length = 0
    this.parts.length = 0
  }

  add(start: number, end: number): void {
    this.parts.push(start, end)
    this.length += end - start
  }
}

export class ChunkCutter {
  /** Encoded records: the first {@link encodedBytes} of it are valid until the next cut. */
  readonly out: Buffer
  /** Longest line of a record, bytes. What is longer becomes several records, each flagged truncated. */
  readonly maxLineBytes: number
  /** As many bytes as one cut can look at. A request with all of them always makes progress. */
  readonly windowBytes: number

  encodedBytes = 0
  records = 0
  /** Bytes of the request that these records account for. */
  consumed = 0
  /** The chunk ends within a line. */
  midLine = false
  /** Time of the last record that is not a joined one. */
  seconds = 0
  nanoseconds = 0
  truncated = 0
  malformed = 0

  readonly #pending: readonly [Pending, Pending] = [new Pending(), new Pending()]
  #pendingCount = 0
  #pendingBytes = 0
  /** State at the last place where nothing was pending, kept only while something is. */
  readonly #clean = { encodedBytes: 0, records: 0, consumed: 0, truncated: 0, malformed: 0 }
  #scratch: Buffer = Buffer.alloc(0)
  #request!: CutRequest
  #valid = true

  constructor(options: { maxLineBytes: number }) {
    this.maxLineBytes = options.maxLineBytes
    this.windowBytes = windowLines * options.maxLineBytes
    this.out = Buffer.allocUnsafeSlow(this.windowBytes + this.windowBytes / 4 + splitOverhead)
  }

  cut(request: CutRequest): void {
    const { bytes, parser, rest } = request
    this.#request = request
    this.seconds = request.seconds
    this.nanoseconds = request.nanoseconds
    this.encodedBytes = this.records = this.consumed = this.truncated = this.malformed = 0
    this.midLine = request.midLine
    this.#pendingCount = this.#pendingBytes = 0
    this.#pending[0].active = this.#pending[1].active = false
    const whole = rest === 'all' ? bytes.length : bytes.lastIndexOf(10) + 1
    this.#valid = isUtf8(bytes.subarray(0, whole))
    parser.begin(bytes)
    const stopped = this.#cutLines(whole)
    if (this.#pendingCount > 0) {
      if (rest === 'wait' && this.#clean.consumed > 0) this.#rollBack()
      else if (rest === 'wait' && bytes.length < this.windowBytes && !stopped) this.#rollBack()
      else this.#flushPending()
    }
    // A window without one line end: cut the line where it is, or nothing would ever move.
    if (this.consumed === 0 && bytes.length >= this.windowBytes) this.#cutWithinLine()
  }

  /** The lines of the first `whole` bytes, the last of which may lack its LF; true when it stopped early because the output is full. */
  #cutLines(whole: number): boolean {
    const { bytes } = this.#request
    let at = 0
    if (this.midLine && whole > 0) {
      const end = lineEnd(bytes, 0, whole)
      this.#continueLine(end)
      this.midLine = false
      this.consumed = at = Math.min(end + 1, whole)
    }
    while (at < whole) {
      const end = lineEnd(bytes, at, whole)
      if (this.encodedBytes + this.#pendingBytes + (end - at) + splitOverhead > this.out.length) return true
      this.#line(at, end)
      this.consumed = at = Math.min(end + 1, whole)
    }
    return false
  }

  #line(start: number, end: number): void {
    const { parser, offset } = this.#request
    if (!parser.parse(start, end)) this.#malformedLine(start, end)
    else {
      const pending = this.#pending[parser.stream]
      if (pending.active || parser.partial) this.#part(pending, start)
      else if (parser.end - parser.start > this.maxLineBytes)
        this.#longLine(parser.arena, start, parser.start, parser.end)
      else {
        this.#takeTime()
        this.#emit(parser.arena, parser.start, parser.end, offset + start, parser.stream, 0)
      }
    }
  }

  /** A line that is a part of a record: the first, one in between, or the last. */
  #part(pending: Pending, start: number): void {
    const { parser, offset } = this.#request
    const length = parser.end - parser.start
    if (pending.active && pending.length + length > this.maxLineBytes)
      this.#emitPending(pending, parser.stream, truncatedFlag)
    if (!pending.active) {
      if (this.#pendingCount++ === 0) this.#markClean()
      pending.begin(offset + start, parser.seconds, parser.nanoseconds)
    }
    pending.add(parser.start, parser.end)
    this.#pendingBytes += length
    if (!parser.partial) this.#emitPending(pending, parser.stream, 0)
  }

  #emitPending(pending: Pending, stream: StreamName, flags: number): void {
    const { parser } = this.#request
    const { parts, length } = pending
    let binary = false
    if (!this.#valid) {
      // Parts are cut at any byte: only the joined line can be judged.
      if (this.#scratch.length < length) this.#scratch = Buffer.allocUnsafeSlow(Math.max(length, this.maxLineBytes))
      let to = 0
      for (let i = 0; i < parts.length; i += 2) to += parser.arena.copy(this.#scratch, to, parts[i]!, parts[i + 1]!)
      binary = !isUtf8(this.#scratch.subarray(0, to))
    }
    const { seconds, nanoseconds, offset } = pending
    let to = writeRecordHead(this.out, this.encodedBytes, seconds, nanoseconds, offset, length, stream, flags, binary)
    for (let i = 0; i < parts.length; i += 2) to += parser.arena.copy(this.out, to, parts[i]!, parts[i + 1]!)
    this.encodedBytes = to
    this.records++
    if (flags & truncatedFlag) this.truncated++
    pending.active = false
    this.#pendingCount--
    this.#pendingBytes -= length
  }

  #flushPending(): void {
    for (const stream of [0, 1] as const) {
      if (this.#pending[stream].active) this.#emitPending(this.#pending[stream], stream, truncatedFlag)
    }
  }

  /** Not what the file's format promises: kept as it is found and flagged, so that nothing is lost and the damage can be searched for. */
  #malformedLine(start: number, end: number): void {
    const { bytes, offset } = this.#request
    this.malformed++
    this.#tick()
    if (end - start > this.maxLineBytes) this.#split(bytes, offset, start, end, stdout, malformedFlag)
    else this.#emit(bytes, start, end, offset + start, stdout, malformedFlag)
  }

  #longLine(arena: Buffer, lineStart: number, start: number, end: number): void {
    const { parser, offset } = this.#request
    this.#takeTime()
    // Offsets of the pieces: within the line, each its own, whatever unescaping did to the bytes.
    this.#split(arena, offset + lineStart - start, start, end, parser.stream, 0)
  }

  /** One line as several records of at most {@link maxLineBytes}, all flagged truncated. The record at `start` has offset `base + start`. */
  #split(arena: Buffer, base: number, start: number, end: number, stream: StreamName, flags: number): void {
    for (let at = start; at < end; ) {
      const stop = end - at > this.maxLineBytes ? characterBoundary(arena, at + this.maxLineBytes) : end
      this.#emit(arena, at, stop, base + at, stream, flags | truncatedFlag)
      at = stop
    }
  }

  /** The rest of a line whose head went out in an earlier chunk, up to `end`. */
  #continueLine(end: number): void {
    const { bytes, offset } = this.#request
    this.#tick()
    this.#split(bytes, offset, 0, end, stdout, 0)
  }

  #cutWithinLine(): void {
    const { bytes, offset } = this.#request
    this.#tick()
    this.#valid = false
    const end = characterBoundary(bytes, this.windowBytes - this.maxLineBytes)
    this.#split(bytes, offset, 0, end, stdout, 0)
    this.consumed = end
    this.midLine = true
  }

  /** The time of the line just parsed is that of the record. */
  #takeTime(): void {
    const { seconds, nanoseconds } = this.#request.parser
    if (seconds === 0) this.#tick()
    else {
      this.seconds = seconds
      this.nanoseconds = nanoseconds
    }
  }

  #tick(): void {
    if (++this.nanoseconds < 1e9) return
    this.nanoseconds = 0
    this.seconds++
  }

  #emit(arena: Buffer, start: number, end: number, offset: number, stream: StreamName, flags: number): void {
    const { out, encodedBytes, seconds, nanoseconds } = this
    const binary = !this.#valid && !isUtf8(arena.subarray(start, end))
    const at = writeRecordHead(out, encodedBytes, seconds, nanoseconds, offset, end - start, stream, flags, binary)
    arena.copy(out, at, start, end)
    this.encodedBytes = at + end - start
    this.records++
    if (flags & truncatedFlag) this.truncated++
  }

  #markClean(): void {
    const { encodedBytes, records, consumed, truncated, malformed } = this
    Object.assign(this.#clean, { encodedBytes, records, consumed, truncated, malformed })
  }

  #rollBack(): void {
    Object.assign(this, this.#clean)
  }
}

function lineEnd(bytes: Buffer, at: number, whole: number): number {
  const lf = bytes.indexOf(10, at)
  return lf === -1 || lf >= whole ? whole : lf
}

/** The last position at or before `at` that does not cut a UTF-8 character in two. */
function characterBoundary(bytes: Buffer, at: number): number {
  let p = at
  while (p > at - 4 && (bytes[p]! & 0xc0) === 0x80) p--
  return (bytes[p]! & 0xc0) === 0x80 ? at : p
}
