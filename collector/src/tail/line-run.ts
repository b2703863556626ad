/**
 * The lines that follow one another in the usual way: each is whole, has a head like the one before, and is a record of its own. Nearly all lines
 * are like that, so this is the inside of the hot path: no calls but those that compare and copy bytes, and every state a local variable.
 *
 * A line may be the first of several only if the one behind it looks like a second. Here it is encoded at once, and taken back in the rare case
 * that the line behind it has to be looked at more closely: then it is held again, as the cutter holds lines.
 */
import { stderr, stdout, writeLineHead } from '@tributary/protocol/records.ts'
import type { CriHead } from '../cri/head.ts'
import type { RecordDetector } from '../multiline/detector.ts'
import type { CutRequest, Detectors } from './cutter.ts'
import { HeldLine } from './pending.ts'
import type { RecordWriter } from './record-writer.ts'

const emptyLine = 256
/** From here on calls into the runtime find and copy faster than a loop. Bytes; less than {@link LineRun} is told to leave free. */
const longLine = 384

/** Time of the last record. */
export interface Clock {
  seconds: number
  nanoseconds: number
}

export interface RunRequest extends CutRequest {
  /** Over {@link bytes}. */
  readonly view: DataView
  readonly head: CriHead
}

export class LineRun {
  /** The last line before the next, while it may be the first of several. */
  held: HeldLine | undefined
  /** Not 0 when it is the first of several, as the next line tells: the detector's state behind it. */
  opened = 0
  /** The last lines of both streams. */
  readonly lines: readonly [HeldLine, HeldLine] = [new HeldLine(stdout), new HeldLine(stderr)]
  /** Lines up to here were given back once, and are not for a run. */
  #barredTo = 0

  readonly #writer: RecordWriter
  readonly #clock: Clock
  readonly #maxLineBytes: number
  /** How far the output may be filled. */
  readonly #room: number
  /** Bytes before the text of the last record, by stream. */
  readonly #headBytes: [number, number] = [0, 0]

  /** @param spare what must be free in the output behind every record, bytes: also what a line is copied to before it is known to fit */
  constructor(writer: RecordWriter, clock: Clock, { maxLineBytes, spare }: { maxLineBytes: number; spare: number }) {
    this.#writer = writer
    this.#clock = clock
    this.#maxLineBytes = maxLineBytes
    this.#room = writer.out.length - spare
  }

  begin(): void {
    this.held = undefined
    this.#barredTo = 0
  }

  /**
   * Encodes the lines from `from` on and returns where the first begins that is not for it, or `whole`; that may lie before `from`, where the held line
   * turns out to need a closer look. There must be no record pending, and all bytes must be UTF-8.
   */
  take({ bytes, detectors, offset }: CutRequest, head: CriHead, from: number, whole: number): number {
    this.opened = 0
    if (from < this.#barredTo) return from
    let start = head.match(from, whole)
    if (start === -1) return from
    const { view } = head
    const [writer, clock, lines] = [this.#writer, this.#clock, this.lines]
    const { out, view: outView } = writer
    const [maxLineBytes, room, headBytes] = [this.#maxLineBytes, this.#room, this.#headBytes]
    let { encodedBytes, records } = writer
    let { seconds, nanoseconds } = clock
    let at = from
    let last = this.held
    lines[0].active = last === lines[0]
    lines[1].active = last === lines[1]
    let suspect: HeldLine | undefined
    do {
      const { stream } = head
      // Nearly always it goes where the text of the line before went, behind a head of the same size.
      const to = encodedBytes + headBytes[stream]
      const found = copyLine(view, start, whole, outView, to)
      const end = found === -1 ? longLineEnd(bytes, start, whole) : found
      const length = end - start
      if (length > maxLineBytes || encodedBytes + end - at > room) break
      const detector = detectors[stream]
      const own = lines[stream]
      if (own.active && detector!.mayContinue[length === 0 ? emptyLine : bytes[start]!] === 1) {
        this.opened = opens(detector!, bytes, own, start, end)
        if (this.opened !== 0) {
          suspect = own
          break
        }
      }
      own.active = detector !== undefined
      own.encodedAt = encodedBytes
      own.recordsBefore = records++
      own.lineStart = at
      own.start = start
      own.end = end
      own.secondsBefore = seconds
      own.nanosecondsBefore = nanoseconds
      last = own
      seconds = head.seconds
      nanoseconds = head.nanoseconds
      const text = writeLineHead(outView, encodedBytes, seconds, nanoseconds, offset + at, length, stream)
      if (text !== to || found === -1) bytes.copy(out, text, start, end)
      headBytes[stream] = text - encodedBytes
      encodedBytes = text + length
      at = end < whole ? end + 1 : whole
      start = head.match(at, whole)
    } while (start !== -1)
    writer.encodedBytes = encodedBytes
    writer.records = records
    clock.seconds = seconds
    clock.nanoseconds = nanoseconds
    return this.#end(bytes, detectors, at, last, suspect)
  }

  /** The lines before `at` are encoded. Those of which one may be the first of several can't stay so when others are behind them. */
  #end(bytes: Buffer, detectors: Detectors, at: number, last: HeldLine | undefined, suspect?: HeldLine): number {
    if (last === undefined) return at
    const other = this.lines[last.stream === stdout ? stderr : stdout]
    const opensOther = other.active && detectors[other.stream]!.begin(bytes, other.start, other.end) !== 0
    if (opensOther || suspect === other) {
      this.#giveBack(other)
      this.#barredTo = at
      return other.lineStart
    }
    this.held = last.active ? last : undefined
    if (last.active) {
      last.lineEnd = last.end
      last.seconds = this.#clock.seconds
      last.nanoseconds = this.#clock.nanoseconds
    }
    return at
  }

  /** Drops the records from a line's on. */
  #giveBack({ encodedAt, recordsBefore, secondsBefore, nanosecondsBefore }: HeldLine): void {
    this.#writer.encodedBytes = encodedAt
    this.#writer.records = recordsBefore
    this.#clock.seconds = secondsBefore
    this.#clock.nanoseconds = nanosecondsBefore
    this.opened = 0
    this.held = undefined
  }
}

/** Not 0 when the line `[start, end)` goes on with the record that the one before it begins: the state before it. */
function opens(detector: RecordDetector, bytes: Buffer, before: HeldLine, start: number, end: number): number {
  const state = detector.begin(bytes, before.start, before.end)
  return state === 0 || detector.next(state, bytes, start, end) === 0 ? 0 : state
}

/**
 * Copies the line at `at`, without its line feed, and returns where that is; `end` when there is none, -1 when the line is too long for this. To find
 * the end and to copy are one pass over words. Up to three bytes behind the copy are overwritten.
 */
function copyLine(bytes: DataView, at: number, end: number, out: DataView, to: number): number {
  let p = at
  let q = to
  for (const stop = Math.min(end, at + longLine) - 4; p <= stop; p += 4, q += 4) {
    const word = bytes.getInt32(p, true)
    out.setInt32(q, word, true)
    // Borrowed from: a byte that was zero here, and so a line feed. Of several marks the lowest is one.
    const zeroWhereFeed = word ^ 0x0a0a0a0a
    const marks = (zeroWhereFeed - 0x01010101) & ~zeroWhereFeed & 0x80808080
    if (marks !== 0) return p + ((31 - Math.clz32(marks & -marks)) >> 3)
  }
  for (const stop = Math.min(end, p + 4); p < stop; p++, q++) {
    const byte = bytes.getUint8(p)
    if (byte === 10) return p
    out.setUint8(q, byte)
  }
  return p === end ? end : -1
}

function longLineEnd(bytes: Buffer, at: number, whole: number): number {
  const feed = bytes.indexOf(10, at + longLine)
  return feed === -1 || feed > whole ? whole : feed
}
