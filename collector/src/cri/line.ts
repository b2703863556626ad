/**
 * One physical line of a log file, taken apart in place: where its message lies, which stream it is of, and whether it is only a
 * part of a record. Formats: CRI (`<time> stdout F <message>`), docker's json-file, and plain text.
 *
 * @see https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
 */
import { type StreamName, stderr, stdout } from '@tributary/protocol/records.ts'
import { CriHead } from './head.ts'
import { TimestampReader } from './timestamp.ts'

export type LineFormat = 'cri' | 'docker' | 'plain'

/** What the last parsed line holds. The message is `arena[start..end)`; valid until the arena is used again. */
export interface LineParser {
  readonly arena: Buffer
  /** Knows again what stands before most messages; undefined for a format without such. */
  readonly head?: CriHead
  start: number
  end: number
  stream: StreamName
  /** The line ends in the middle of a record; the next line of its stream goes on. */
  partial: boolean
  /** Time of the last line parsed since {@link begin}; 0 while there was none, and always for plain text. */
  seconds: number
  nanoseconds: number
  /** Called before the lines of one read, with the buffer they lie in. */
  begin(bytes: Buffer): void
  /** False when the line `[start, end)` (without its LF) does not have this format. */
  parse(start: number, end: number): boolean
}

export class CriParser implements LineParser {
  readonly #time = new TimestampReader()
  readonly head = new CriHead()
  arena: Buffer = Buffer.alloc(0)
  start = 0
  end = 0
  stream: StreamName = stdout
  partial = false
  seconds = 0
  nanoseconds = 0

  begin(bytes: Buffer): void {
    this.arena = bytes
    this.head.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.seconds = this.nanoseconds = 0
  }

  parse(start: number, end: number): boolean {
    const b = this.arena
    const time = this.#time
    let p = time.read(b, start, end)
    const timeEnd = p
    // ` std` + `out ` or `err ` + a tag of at least one letter.
    if (p === -1 || p + 9 > end) return false
    if (b[p] !== 0x20 || b[p + 1] !== 0x73 || b[p + 2] !== 0x74 || b[p + 3] !== 0x64 || b[p + 7] !== 0x20) return false
    if (b[p + 4] === 0x6f && b[p + 5] === 0x75 && b[p + 6] === 0x74) this.stream = stdout
    else if (b[p + 4] === 0x65 && b[p + 5] === 0x72 && b[p + 6] === 0x72) this.stream = stderr
    else return false
    p += 8
    if (b[p] === 0x46) this.partial = false
    else if (b[p] === 0x50) this.partial = true
    else return false
    p++
    // The specification allows more tags behind the first one: `P:tag`.
    if (b[p] === 0x3a) while (p < end && b[p] !== 0x20) p++
    if (p < end) {
      if (b[p] !== 0x20) return false
      p++
    }
    this.start = p
    this.end = end
    this.seconds = time.seconds
    this.nanoseconds = time.nanoseconds
    this.head.learn(start, timeEnd, time.seconds)
    return true
  }
}

export class PlainParser implements LineParser {
  arena: Buffer = Buffer.alloc(0)
  start = 0
  end = 0
  readonly stream = stdout
  readonly partial = false
  seconds = 0
  nanoseconds = 0

  begin(bytes: Buffer): void {
    this.arena = bytes
  }

  parse(start: number, end: number): boolean {
    this.start = start
    // Programs for Windows end their lines in CR LF; nobody wants the CR.
    this.end = end > start && this.arena[end - 1] === 0x0d ? end - 1 : end
    return true
  }
}
