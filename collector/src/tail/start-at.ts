/**
 * Where reading begins in files that are there at the very first start (`logs.startAt`). What lies before is left out, and in the audit
 * as filtered(start_at).
 */
import { setImmediate as yieldToLoop } from 'node:timers/promises'
import { DockerParser } from '../cri/docker.ts'
import { CriParser, type LineFormat, type LineParser } from '../cri/line.ts'
import type { GenerationName } from '../discover/layout.ts'
import { GzipFile, lastLineEnd, PlainFile } from './log-file.ts'

/** `end`, or how far back reading begins, ms. */
export type StartAt = 'beginning' | 'end' | number

export interface StartFile {
  readonly path: string
  readonly name: GenerationName
  readonly format: LineFormat
  /** When it was last written to, ms since 1970. */
  readonly modifiedMs: number
  /** It was saved by an earlier process: all of it is wanted. */
  readonly spooled?: unknown
  /** It begins within its file, since the collector runs. */
  readonly cutBack?: unknown
}

/** What `logs.startAt` leaves out of a file. */
export interface LeftOut {
  /** So many, from its beginning. */
  readonly bytes: number
  /** That is all there ever will be: a compressed file does not have to be decompressed to see that. */
  readonly whole: boolean
}

const nothing: LeftOut = { bytes: 0, whole: false }

/** What is left out of each file, one file after another. */
export async function leftOutAtStart(files: readonly StartFile[], startAt: StartAt, now: number): Promise<LeftOut[]> {
  const leftOut: LeftOut[] = []
  for (const file of files) {
    leftOut.push(await leftOutOf(file, startAt, now))
    if (startAt !== 'beginning') await yieldToLoop()
  }
  return leftOut
}

/** What is left out of a file. `now` in ms since 1970. Of a file that can't be read nothing: whoever reads it tells. */
export async function leftOutOf(file: StartFile, startAt: StartAt, now: number): Promise<LeftOut> {
  const { path, name, format, modifiedMs, spooled, cutBack } = file
  if (startAt === 'beginning' || spooled !== undefined || cutBack !== undefined) return nothing
  try {
    if (startAt === 'end') return { bytes: lastLineEnd(path, name.gzip), whole: name.gzip }
    const since = now - startAt
    if (modifiedMs < since) return { bytes: wholeOf(file), whole: name.gzip }
    if (format === 'plain') return nothing
    const parser = format === 'docker' ? new DockerParser() : new CriParser()
    const bytes = name.gzip ? await scanSince(path, parser, since) : searchSince(path, parser, since)
    return { bytes, whole: false }
  } catch {
    return nothing
  }
}

/** A file that was rotated gets no more of its last line. */
function wholeOf({ path, name }: StartFile): number {
  if (name.gzip || name.rotation === '') return lastLineEnd(path, name.gzip)
  const file = new PlainFile(path)
  try {
    return file.stat().size
  } finally {
    file.close()
  }
}

function searchSince(path: string, parser: LineParser, since: number): number {
  const file = new PlainFile(path)
  try {
    const read = (position: number, length: number) => {
      const bytes = Buffer.allocUnsafe(length)
      return bytes.subarray(0, file.read(bytes, 0, length, position))
    }
    return offsetSince(new TimedLines(read, parser), file.stat().size, since)
  } finally {
    file.close()
  }
}

/**
 * The end of the last line that is older than `since` (ms since 1970), by bisection: lines are in the order of time. Lines without a time
 * behind it, and a last line without its end, are not older.
 */
export function offsetSince(lines: TimedLines, size: number, since: number): number {
  // A line that begins before `low` is older; of those that begin at `high` or behind it, the first with a time is not.
  let [low, high] = [0, size]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const line = lines.next(middle)
    if (line === undefined || line.ms >= since) high = middle
    else low = line.end
  }
  return low
}

/** Most bytes a line is looked for a time in; a longer one counts as a line without. */
const maxLineBytes = 1 << 20
const windowBytes = 16 * 1024

interface TimedLine {
  readonly start: number
  /** Behind its LF. */
  readonly end: number
  /** Its time, ms since 1970, with the fraction its format has. */
  readonly ms: number
}

/** Lines with a time, found from any position. */
export class TimedLines {
  readonly #read: (position: number, length: number) => Buffer
  readonly #parser: LineParser

  /** @param read bytes at a position; fewer than asked for at the end */
  constructor(read: (position: number, length: number) => Buffer, parser: LineParser) {
    this.#read = read
    this.#parser = parser
  }

  /** The first complete line with a time that begins at or behind `position`. */
  next(position: number): TimedLine | undefined {
    let start = position === 0 ? 0 : this.#behindLineFeed(position - 1)
    while (start !== undefined) {
      const end = this.#behindLineFeed(start)
      if (end === undefined) return undefined
      const ms = end - start > maxLineBytes ? undefined : timeOf(this.#parser, this.#read(start, end - 1 - start))
      if (ms !== undefined) return { start, end, ms }
      start = end
    }
    return undefined
  }

  #behindLineFeed(position: number): number | undefined {
    for (let at = position; ; at += windowBytes) {
      const bytes = this.#read(at, windowBytes)
      const lf = bytes.indexOf(10)
      if (lf !== -1) return at + lf + 1
      if (bytes.length < windowBytes) return undefined
    }
  }
}

/** The same for a compressed file, which has to be read from its beginning. */
async function scanSince(path: string, parser: LineParser, since: number): Promise<number> {
  const file = new GzipFile(path)
  try {
    const piece = Buffer.allocUnsafe(8 * windowBytes)
    let pending = Buffer.alloc(0)
    // Of the position, and of the last line that is older.
    let [offset, older] = [0, 0]
    for (;;) {
      const n = await file.read(piece, 0, piece.length, offset + pending.length)
      if (n === 0) return older
      const bytes = Buffer.concat([pending, piece.subarray(0, n)])
      let start = 0
      for (let lf = bytes.indexOf(10); lf !== -1; lf = bytes.indexOf(10, start)) {
        const ms = timeOf(parser, bytes.subarray(start, lf))
        start = lf + 1
        if (ms !== undefined && ms >= since) return older
        if (ms !== undefined) older = offset + start
      }
      pending = bytes.subarray(start)
      offset += start
    }
  } finally {
    file.close()
  }
}

/** Ms since 1970; undefined where the line has no time. */
export function timeOf(parser: LineParser, line: Buffer): number | undefined {
  parser.begin(line)
  return parser.parse(0, line.length) ? parser.seconds * 1000 + parser.nanoseconds / 1e6 : undefined
}
