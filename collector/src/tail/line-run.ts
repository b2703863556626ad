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
/** From here on a call into the runtime copies, or finds, faster than a loop. Bytes. */
const longCopy = 64
const longSearch = 512

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

  /** @param spare what must be free in the output behind every record, bytes */
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
    const [maxLineBytes, room] = [this.#maxLineBytes, this.#room]
    let { encodedBytes, records } = writer
    let { seconds, nanoseconds } = clock
    let at = from
    let last = this.held
    lines[0].active = last === lines[0]
    lines[1].active = last === lines[1]
    let suspect: HeldLine | undefined
    do {
      const end = lineEnd(bytes, view, start, whole)
      const length = end - start
      if (length > maxLineBytes || encodedBytes + end - at > room) break
      const { stream } = head
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
      encodedBytes = writeLineHead(outView, encodedBytes, seconds, nanoseconds, offset + at, length, stream)
      if (length >= longCopy) bytes.copy(out, encodedBytes, start, end)
      else for (let i = 0; i < length; i++) out[encodedBytes + i] = bytes[start + i]!
      encodedBytes += length
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

/** Where the line ends that goes on at `at`: its line feed, or `whole`. */
function lineEnd(bytes: Buffer, view: DataView, at: number, whole: number): number {
  let p = at
  for (const stop = Math.min(whole, at + longSearch) - 4; p <= stop; p += 4) {
    // Borrowed from: a byte that was zero here, and so a line feed.
    const zeroWhereFeed = view.getInt32(p, true) ^ 0x0a0a0a0a
    if (((zeroWhereFeed - 0x01010101) & ~zeroWhereFeed & 0x80808080) !== 0) break
  }
  for (const stop = Math.min(whole, p + 4); p < stop; p++) if (bytes[p] === 10) return p
  if (p === whole) return whole
  const feed = bytes.indexOf(10, p)
  return feed === -1 || feed > whole ? whole : feed
}
