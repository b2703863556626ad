/**
 * Cuts the unread bytes of a source into the records of one chunk. This is the hot path: one pass over the bytes, everything
 * encoded into one buffer that is used again and again, no strings, objects or views per line. Pure: no file, no clock.
 *
 * What makes chunks safe to send twice: a chunk ends only where no record is pending, and nothing is carried from one chunk to the
 * next but the position. Bytes behind the last such place are simply read again with more behind them. So which records come out
 * depends on the bytes and on where the chunk starts, not on how often the file was looked at.
 *
 * A record is pending while parts of its line are missing, or while lines may follow that belong to the same stack trace. To see
 * that, each whole line is held until the next line was looked at: by its first byte, in nearly all cases. Most lines go through
 * {@link LineRun}; what it leaves is taken apart here.
 */
import { isUtf8 } from 'node:buffer'
import {
  malformedFlag,
  recordOverhead,
  type StreamName,
  stderr,
  stdout,
  truncatedFlag,
} from '@tributary/protocol/records.ts'
import type { LineParser } from '../cri/line.ts'
import type { RecordDetector } from '../multiline/detector.ts'
import { LineHead, tells } from './line-head.ts'
import { LineRun } from './line-run.ts'
import { type HeldLine, Pending } from './pending.ts'
import { RecordWriter } from './record-writer.ts'

/** The window holds this many lines of the longest kind: room for a joined record and for the other stream's lines in between. */
const windowLines = 4
const emptyLine = 256

/** How the lines of stdout and of stderr are joined; undefined where each is a record of its own. */
export type Detectors = readonly [stdout: RecordDetector | undefined, stderr: RecordDetector | undefined]

const noBytes = Buffer.alloc(0)

export const noDetectors: Detectors = [undefined, undefined]

export interface CutRequest {
  /** Unread bytes of the source. */
  readonly bytes: Buffer
  /** Position of `bytes[0]` in the source. */
  readonly offset: number
  readonly parser: LineParser
  readonly detectors: Detectors
  /** `bytes` starts within a line whose head was sent in an earlier chunk. */
  readonly midLine: boolean
  /** Time of the last record before these bytes. A line that tells no time of its own is one nanosecond after the one before it. */
  readonly seconds: number
  readonly nanoseconds: number
  /**
   * What to do with what is not whole at the end. `wait`: leave it, it is read again with what follows. `overlapping`: records of both streams
   * each begin before the one before is seen to have ended, and there must be an end: all are sent but the last, if the chunk can end before it.
   * `pending`: records whose end never came are sent as they are. `all`: so is a last line without LF, as nothing can follow.
   */
  readonly rest: 'wait' | 'overlapping' | 'pending' | 'all'
  /** From this line of `bytes` on only what a pending record needs is taken: the bytes are the next source's. Default: none. */
  readonly seam?: number
}

export class ChunkCutter {
  /** Longest line of a record, bytes. What is longer becomes several records, each flagged truncated. */
  readonly maxLineBytes: number
  /** Lines of one record at most. What is longer becomes several records likewise. */
  maxLines: number
  /** As many bytes as one cut can look at. A request with all of them always makes progress. */
  readonly windowBytes: number

  /** Bytes of the request that the records account for. */
  consumed = 0
  /** The chunk ends within a line. */
  midLine = false
  /** Time of the last record that is not a joined one. */
  seconds = 0
  nanoseconds = 0
  /** While something was left for want of its end: how far that is known, as a position in the source; else -1. */
  pendingTo = -1
  /** What was left has a line of which a part is missing. */
  pendingPart = false

  readonly #writer: RecordWriter
  /** What the pieces of a line that fills the window, four pending records and a held line need beside their bytes. */
  readonly #splitOverhead: number
  /** Lines that came in parts, by stream. */
  readonly #parts: readonly [Pending, Pending] = [new Pending(), new Pending()]
  /** Records of several lines, by stream. */
  readonly #groups: readonly [Pending, Pending] = [new Pending(), new Pending()]
  readonly #run: LineRun
  #pendingCount = 0
  #pendingBytes = 0
  /** Where the last line of each stream begins within the bytes being cut, of those since a record was pending. */
  readonly #lastLine: [number, number] = [-1, -1]
  /** State at the last place where nothing was pending, kept only while something is. */
  readonly #clean = {
    encodedBytes: 0,
    records: 0,
    truncated: 0,
    malformed: 0,
    consumed: 0,
    seconds: 0,
    nanoseconds: 0,
  }
  #request!: CutRequest
  #seam = Number.POSITIVE_INFINITY
  /** Of bytes that are not UTF-8 as a whole: how far they were looked at piece by piece, and whether the last piece is. */
  readonly #pieceBytes: number
  readonly #head = new LineHead()
  #piecesTo = 0
  #pieceIsUtf8 = false

  /** @param options.leastWindowBytes a longer line of the file than the window is not seen as a whole, however short its records are to be */
  constructor(options: { maxLineBytes: number; maxLines: number; leastWindowBytes?: number }) {
    const { maxLineBytes, maxLines, leastWindowBytes = 0 } = options
    this.maxLineBytes = maxLineBytes
    this.maxLines = maxLines
    this.windowBytes = Math.max(windowLines * maxLineBytes, leastWindowBytes)
    this.#pieceBytes = Math.ceil(this.windowBytes / 64)
    this.#splitOverhead = (2 * Math.ceil(this.windowBytes / maxLineBytes) + 5) * recordOverhead
    this.#writer = new RecordWriter(this.windowBytes + Math.ceil(this.windowBytes / 4) + this.#splitOverhead)
    this.#run = new LineRun(this.#writer, this, { maxLineBytes, spare: this.#splitOverhead })
  }

  /** Encoded records: the first {@link encodedBytes} of it are valid until the next cut. */
  get out(): Buffer {
    return this.#writer.out
  }

  get encodedBytes(): number {
    return this.#writer.encodedBytes
  }

  get records(): number {
    return this.#writer.records
  }

  get truncated(): number {
    return this.#writer.truncated
  }

  get malformed(): number {
    return this.#writer.malformed
  }

  cut(request: CutRequest): void {
    const { bytes, parser, rest } = request
    const whole = rest === 'all' ? bytes.length : bytes.lastIndexOf(10) + 1
    this.#begin(request, isUtf8(bytes.subarray(0, whole)))
    parser.begin(bytes)
    const full = this.#cutLines(whole)
    if (this.#run.held) this.#settleLast(this.#run.held)
    if (this.#pendingCount > 0) {
      const room = bytes.length < this.windowBytes && !full
      if (rest === 'wait' && (this.#clean.consumed > 0 || room)) this.#rollBack()
      else if (rest === 'wait' || rest === 'overlapping') this.#flushOverlapping()
      else this.#flushPending()
    }
    // A window without one line end: cut the line where it is, or nothing would ever move.
    if (this.consumed === 0 && bytes.length >= this.windowBytes) this.#cutWithinLine()
  }

  #begin(request: CutRequest, valid: boolean): void {
    this.#request = request
    this.#seam = request.seam ?? Number.POSITIVE_INFINITY
    this.#writer.begin(valid)
    this.seconds = request.seconds
    this.nanoseconds = request.nanoseconds
    this.consumed = 0
    this.midLine = request.midLine
    this.pendingTo = -1
    this.pendingPart = false
    this.#pendingCount = this.#pendingBytes = this.#piecesTo = 0
    for (const stream of [0, 1] as const) {
      this.#parts[stream].active = this.#groups[stream].active = false
      this.#lastLine[stream] = -1
    }
    this.#run.begin()
  }

  /** The lines of the first `whole` bytes, the last of which may lack its LF; true when it stopped early because the output is full. */
  #cutLines(whole: number): boolean {
    const { bytes, parser } = this.#request
    const { out } = this.#writer
    const { head } = parser
    const runs = Math.min(whole, this.#seam)
    let at = 0
    if (this.midLine && whole > 0) {
      const end = lineEnd(bytes, 0, whole)
      this.#continueLine(end)
      this.midLine = false
      this.consumed = at = Math.min(end + 1, whole)
    }
    while (at < whole) {
      const utf8 = head !== undefined && this.#pendingCount === 0 && at < runs ? this.#utf8To(at, runs) : at
      if (at < utf8) {
        this.consumed = at = this.#run.take(this.#request, head!, at, utf8)
        if (this.#run.opened !== 0) this.#beginGroup(this.#run.held!, this.#run.opened)
        if (at === whole) break
      }
      const end = lineEnd(bytes, at, whole)
      // What is pending lies before `at`, and is not longer than it was there.
      if (this.#writer.encodedBytes + this.#pendingBytes + (end - at) + this.#splitOverhead > out.length) return true
      if (!this.#line(at, end)) return false
      this.consumed = at = Math.min(end + 1, whole)
    }
    return false
  }

  /** Up to where the lines from `at` on are UTF-8, at most to `end`. One line that is not must not cost the others of its chunk their run. */
  #utf8To(at: number, end: number): number {
    if (this.#writer.valid) return end
    const { bytes } = this.#request
    if (at >= this.#piecesTo) {
      const feed = bytes.lastIndexOf(10, Math.min(at + this.#pieceBytes, end) - 1)
      this.#piecesTo = feed < at ? Math.min(lineEnd(bytes, at, end) + 1, end) : feed + 1
      this.#pieceIsUtf8 = isUtf8(bytes.subarray(at, this.#piecesTo))
    }
    return this.#pieceIsUtf8 ? this.#piecesTo : at
  }

  /** False when the chunk is to end before this line. */
  #line(start: number, end: number): boolean {
    const { parser, offset } = this.#request
    const parsed = parser.parse(start, end)
    if (!parsed) {
      if (this.#run.held) this.#settle(this.#run.held, -1, 0, 0)
      if (this.#endsBefore(start)) return false
      this.#lastLine.fill(start)
      this.#malformedLine(start, end)
      return true
    }
    const { stream } = parser
    this.#lastLine[stream] = start
    if (parser.partial || this.#parts[stream].active) return this.#part(stream, start, end)
    if (this.#run.held) this.#settle(this.#run.held, stream, parser.start, parser.end)
    const group = this.#groups[stream]
    if (group.active && this.#joins(group, stream, start, end)) return true
    if (this.#endsBefore(start)) return false
    if (parser.end - parser.start > this.maxLineBytes) {
      this.#longLine(parser.arena, start, parser.start, parser.end)
    } else if (this.#request.detectors[stream] === undefined) {
      this.#takeTime()
      this.#emit(parser.arena, parser.start, parser.end, offset + start, stream, 0)
    } else this.#hold(stream, start, end)
    return true
  }

  #endsBefore(start: number): boolean {
    return start >= this.#seam && this.#pendingCount === 0
  }

  #hold(stream: StreamName, lineStart: number, lineEnd: number): void {
    const { parser, offset } = this.#request
    const held = this.#run.lines[stream]
    this.#run.held = held
    held.lineStart = lineStart
    held.lineEnd = lineEnd
    held.start = parser.start
    held.end = parser.end
    held.secondsBefore = this.seconds
    held.nanosecondsBefore = this.nanoseconds
    this.#takeTime()
    held.seconds = this.seconds
    held.nanoseconds = this.nanoseconds
    held.encodedAt = this.#writer.encodedBytes
    held.recordsBefore = this.#writer.records
    this.#emit(parser.arena, parser.start, parser.end, offset + lineStart, stream, 0)
  }

  /** Decides about the held line, now that the line after it is known: a message of `stream` at `[start, end)`. */
  #settle(held: HeldLine, stream: StreamName | -1, start: number, end: number): void {
    const { parser, detectors } = this.#request
    const { arena } = parser
    const detector = detectors[held.stream]!
    let state = 0
    if (held.stream !== stream) state = detector.begin(arena, held.start, held.end)
    else if (detector.mayContinue[start < end ? arena[start]! : emptyLine] === 1) {
      state = detector.begin(arena, held.start, held.end)
      if (state !== 0 && detector.next(state, arena, start, end) === 0) state = 0
    }
    if (state === 0) this.#run.held = undefined
    else this.#beginGroup(held, state)
  }

  /** Decides about the held line when no line is known behind it. */
  #settleLast(held: HeldLine): void {
    const { parser, detectors, rest } = this.#request
    const { stream, start, end } = held
    const state = rest === 'wait' || rest === 'overlapping' ? detectors[stream]!.begin(parser.arena, start, end) : 0
    if (state === 0) this.#run.held = undefined
    else this.#beginGroup(held, state)
  }

  /** The held line is the first of a record of several. */
  #beginGroup(held: HeldLine, state: number): void {
    this.#run.held = undefined
    this.#writer.encodedBytes = held.encodedAt
    this.#writer.records = held.recordsBefore
    if (this.#pendingCount++ === 0) this.#markClean(held.lineStart, held.secondsBefore, held.nanosecondsBefore)
    const group = this.#groups[held.stream]
    group.begin(this.#request.offset + held.lineStart, held.seconds, held.nanoseconds)
    group.follows(held.secondsBefore, held.nanosecondsBefore)
    group.add(held.start, held.end)
    group.lines = 1
    group.state = state
    group.seenTo = held.lineEnd
    this.#pendingBytes += group.length
  }

  /** Whether the line just parsed goes on with the group; the group ends if not. */
  #joins(group: Pending, stream: StreamName, lineStart: number, lineEnd: number): boolean {
    const { parser, offset } = this.#request
    const { start, end } = parser
    const state = this.#stateBehind(group, stream, start, end)
    if (state === 0 || end - start > this.maxLineBytes) {
      this.#emitPending(group, stream)
      return false
    }
    if (group.lines >= this.maxLines || group.length + 1 + end - start > this.maxLineBytes) {
      group.truncated = true
      this.#emitPending(group, stream)
      // The rest of it is a record too, rather than one for every line.
      if (this.#pendingCount++ === 0) this.#markClean(lineStart, this.seconds, this.nanoseconds)
      this.#takeTime()
      group.begin(offset + lineStart, this.seconds, this.nanoseconds)
      group.truncated = true
    } else {
      group.addLineFeed()
      this.#pendingBytes++
    }
    group.add(start, end)
    this.#pendingBytes += end - start
    group.lines++
    group.state = state
    group.seenTo = lineEnd
    return true
  }

  /** A line that is a part of a line: the first, one in between, or the last. False when the chunk is to end before it. */
  #part(stream: StreamName, lineStart: number, lineEnd: number): boolean {
    const { parser, offset } = this.#request
    const { start, end } = parser
    const pending = this.#parts[stream]
    const group = this.#groups[stream]
    // The first part of a line, if it is not too short, tells whether it goes on with a record: one that does not has ended.
    const decides = !pending.active && tells(end - start)
    if (this.#run.held) this.#settle(this.#run.held, decides ? stream : -1, start, end)
    const ends = group.active && decides && this.#stateBehind(group, stream, start, end) === 0
    if (ends) this.#emitPending(group, stream)
    if (this.#endsBefore(lineStart)) return false
    const goesOn = pending.active && pending.length + end - start > this.maxLineBytes
    if (goesOn) {
      pending.truncated = true
      this.#endGroup(stream)
      this.#emitPending(pending, stream)
    }
    let from = start
    if (!pending.active) {
      const long = end - start > this.maxLineBytes
      if (long) this.#endGroup(stream)
      if (this.#pendingCount++ === 0) this.#markClean(lineStart, this.seconds, this.nanoseconds)
      if (long) from = this.#longPart(lineStart, start, end)
      pending.begin(offset + lineStart + from - start, parser.seconds, parser.nanoseconds)
      pending.follows(this.seconds, this.nanoseconds)
      pending.truncated = goesOn || long
    }
    pending.add(from, end)
    pending.seenTo = lineEnd
    this.#pendingBytes += end - from
    if (!parser.partial) this.#joinParts(pending, stream)
    return true
  }

  /** All parts of a line are there: it goes on with a group, may begin one, or is a record. */
  #joinParts(line: Pending, stream: StreamName): void {
    const detector = this.#request.detectors[stream]
    const group = this.#groups[stream]
    const [bytes, start, end] = detector ? this.#head.of(line, this.#request.parser.arena) : [noBytes, 0, 0]
    if (group.active) {
      const state = detector!.next(group.state, bytes, start, end)
      const fits = group.lines < this.maxLines && group.length + 1 + line.length <= this.maxLineBytes
      if (state !== 0 && fits) {
        group.addLineFeed()
        this.#pendingBytes++
        this.#moveParts(line, group, state)
        return
      }
      this.#endGroup(stream)
    }
    const state = detector?.begin(bytes, start, end) ?? 0
    if (state === 0) this.#emitPending(line, stream)
    else {
      group.begin(line.offset, line.seconds, line.nanoseconds)
      group.follows(line.secondsBefore, line.nanosecondsBefore)
      group.truncated = line.truncated
      this.#pendingCount++
      this.#moveParts(line, group, state)
    }
  }

  #moveParts(line: Pending, group: Pending, state: number): void {
    for (let i = 0; i < line.parts.length; i += 2) group.add(line.parts[i]!, line.parts[i + 1]!)
    group.lines++
    group.state = state
    group.seenTo = line.seenTo
    line.active = false
    this.#pendingCount--
  }

  #stateBehind({ state }: Pending, stream: StreamName, start: number, end: number): number {
    const { parser, detectors } = this.#request
    return detectors[stream]!.next(state, parser.arena, start, end)
  }

  #endGroup(stream: StreamName): void {
    if (this.#groups[stream].active) this.#emitPending(this.#groups[stream], stream)
  }

  #emitPending(pending: Pending, stream: StreamName): void {
    const flags = pending.truncated ? truncatedFlag : 0
    this.#writer.emitPending(this.#request.parser.arena, pending, stream, flags)
    pending.active = false
    this.#pendingCount--
    this.#pendingBytes -= pending.length
  }

  /** What did not come to its end is sent as it is. A stack trace may well be whole: nothing tells where one ends. */
  #flushPending(): void {
    for (const stream of [0, 1] as const) {
      this.#endGroup(stream)
      const parts = this.#parts[stream]
      if (!parts.active) continue
      parts.truncated = true
      this.#emitPending(parts, stream)
    }
  }

  /** The same but for the record that began last: the chunk ends before it, where only its own lines lie behind its beginning. */
  #flushOverlapping(): void {
    for (const stream of [0, 1] as const) {
      const [group, parts] = [this.#groups[stream], this.#parts[stream]]
      const last = [group, parts].find((one) => this.#mayEndBefore(one, stream))
      if (last === undefined) continue
      // Parts behind a group are of a line that may be its next.
      last.active = parts.active = false
      this.#flushPending()
      this.consumed = last.offset - this.#request.offset
      this.seconds = last.secondsBefore
      this.nanoseconds = last.nanosecondsBefore
      return
    }
    this.#flushPending()
  }

  #mayEndBefore({ active, truncated, offset }: Pending, stream: StreamName): boolean {
    const start = offset - this.#request.offset
    return active && !truncated && start > 0 && start > this.#lastLine[stream === stdout ? stderr : stdout]
  }

  /** Not what the file's format promises: kept as it is found and flagged, so that nothing is lost and the damage can be searched for. */
  #malformedLine(start: number, end: number): void {
    const { bytes, offset } = this.#request
    this.#writer.malformed++
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

  /** A part that is longer than a record: what of it is for the record that the next part goes on with begins where this returns. */
  #longPart(lineStart: number, start: number, end: number): number {
    const { parser, offset } = this.#request
    this.#takeTime()
    return this.#splitHead(parser.arena, offset + lineStart - start, start, end, parser.stream, 0)
  }

  /** One line as several records of at most {@link maxLineBytes}, all flagged truncated. The record at `start` has offset `base + start`. */
  #split(arena: Buffer, base: number, start: number, end: number, stream: StreamName, flags: number): void {
    const last = this.#splitHead(arena, base, start, end, stream, flags)
    if (last < end) this.#emit(arena, last, end, base + last, stream, flags | truncatedFlag)
  }

  /** All of them but the last, which begins where this returns. */
  #splitHead(arena: Buffer, base: number, start: number, end: number, stream: StreamName, flags: number): number {
    let at = start
    while (end - at > this.maxLineBytes) {
      const stop = characterBoundary(arena, at + this.maxLineBytes)
      this.#emit(arena, at, stop, base + at, stream, flags | truncatedFlag)
      at = stop
    }
    return at
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
    this.#writer.valid = false
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
    this.#writer.emit(arena, start, end, offset, stream, flags, this.seconds, this.nanoseconds)
  }

  /** Everything before `consumed` is encoded, and nothing else. */
  #markClean(consumed: number, seconds: number, nanoseconds: number): void {
    const clean = this.#clean
    this.#writer.mark(clean)
    clean.consumed = consumed
    clean.seconds = seconds
    clean.nanoseconds = nanoseconds
  }

  #rollBack(): void {
    this.pendingPart = this.#parts[0].active || this.#parts[1].active
    for (const pending of [...this.#parts, ...this.#groups])
      if (pending.active) this.pendingTo = Math.max(this.pendingTo, this.#request.offset + pending.seenTo)
    const { consumed, seconds, nanoseconds } = this.#clean
    this.#writer.goBack(this.#clean)
    this.consumed = consumed
    this.seconds = seconds
    this.nanoseconds = nanoseconds
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
