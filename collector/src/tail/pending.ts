/** What the cutter keeps of a record while it is not known to be whole. */
import type { StreamName } from '@tributary/protocol/records.ts'

/** Stands in {@link Pending.parts} where a line feed goes between two lines. */
export const lineFeed = -1

/** A record that has not ended: the parts of a line, or the lines of a stack trace, as positions in the parser's arena. */
export class Pending {
  active = false
  /** Position in the source of its first byte. */
  offset = 0
  seconds = 0
  nanoseconds = 0
  /** Time of the record before it. */
  secondsBefore = 0
  nanosecondsBefore = 0
  /** Bytes of its line so far. */
  length = 0
  /** Start and end of each part, one after another; {@link lineFeed} twice between lines. */
  readonly parts: number[] = []
  lines = 0
  /** What the detector thinks of it. */
  state = 0
  /** It goes on with a record that became too long. */
  truncated = false
  /** End of its last line within the bytes being cut. */
  seenTo = 0

  begin(offset: number, seconds: number, nanoseconds: number): void {
    this.active = true
    this.offset = offset
    this.seconds = seconds
    this.nanoseconds = nanoseconds
    this.length = this.lines = this.state = 0
    this.truncated = false
    this.parts.length = 0
  }

  /** The time of the record before it, which is the last one's should this one be left. */
  follows(seconds: number, nanoseconds: number): void {
    this.secondsBefore = seconds
    this.nanosecondsBefore = nanoseconds
  }

  add(start: number, end: number): void {
    this.parts.push(start, end)
    this.length += end - start
  }

  /** Begins another line. */
  addLineFeed(): void {
    this.parts.push(lineFeed, lineFeed)
    this.length++
  }
}

/** The last whole line of a stream: it is encoded, and taken back should the next one show that it goes on with it. */
export class HeldLine {
  /** It may be the first of several. */
  active = false
  readonly stream: StreamName
  /** Where its record begins in the output, and how many are before it. */
  encodedAt = 0
  recordsBefore = 0
  /** Where its line lies within the bytes being cut. */
  lineStart = 0
  lineEnd = 0
  /** Where its message lies in the parser's arena. */
  start = 0
  end = 0
  seconds = 0
  nanoseconds = 0
  /** Time of the record before it. */
  secondsBefore = 0
  nanosecondsBefore = 0

  constructor(stream: StreamName) {
    this.stream = stream
  }
}
