/**
 * Where new lines begin in a file that lost its end and kept its beginning, as a power cut or `truncate -s` leave it. What it held there is
 * gone, so the lines' times tell: what was written after the cut is later than all that was read before. Pure.
 */
import { DockerParser } from '../cri/docker.ts'
import { CriParser, type LineFormat, type LineParser } from '../cri/line.ts'
import { offsetSince, TimedLines, timeOf } from './start-at.ts'

/** A source that begins within its file. */
export interface CutBack {
  /** Hex of the source that the file begins with. */
  readonly of: string
  /** Where in the file this one begins, bytes. */
  readonly at: number
}

export interface ReadBefore {
  /** When the last bytes were read, ms since 1970; undefined where that is not known. */
  readonly at: number | undefined
  /** Time of the last record that was read, ms since 1970; 0 where that is not known. */
  readonly lineMs: number
}

/** More than a time as a floating-point number of milliseconds may be off; less than a microsecond. */
const anInstant = 0.0005
/** Most bytes before the first new line that are looked into for one whose beginning was joined to what the cut left of another. */
const maxSeamBytes = 1 << 20

/**
 * @param read bytes of the file at a position; fewer than asked for at the end
 * @param size what the file has now
 * @returns where the lines begin that were written after it was cut; `size` where none can be told from those before
 */
export function newLinesFrom(
  read: (position: number, length: number) => Buffer,
  size: number,
  format: Exclude<LineFormat, 'plain'>,
  before: ReadBefore,
): number {
  if (before.at === undefined) return size
  const parser = format === 'docker' ? new DockerParser() : new CriParser()
  const lineMs = before.lineMs + anInstant
  // To the millisecond that has begun.
  const byClock = firstSince(read, size, parser, Math.max(before.at + 1, lineMs))
  if (byClock.at < size || before.lineMs === 0) return byClock.at
  // Clocks are set back. Where the last record is still there, what follows may be the rest of it.
  const byLines = firstSince(read, size, parser, lineMs)
  return byLines.lastMs !== undefined && byLines.lastMs < before.lineMs ? byLines.at : size
}

interface Found {
  readonly at: number
  /** Time of the last line before; undefined where there is none. */
  readonly lastMs: number | undefined
}

function firstSince(
  read: (position: number, length: number) => Buffer,
  size: number,
  parser: LineParser,
  since: number,
): Found {
  const lines = new TimedLines(read, parser)
  const olderEnd = offsetSince(lines, size, since)
  const next = lines.next(olderEnd)
  const newer = next !== undefined && next.ms >= since ? next.start : size
  // Of what is left of a line, the first new one may be the end.
  const from = Math.max(lineStartBefore(read, olderEnd), newer - maxSeamBytes)
  const seam = read(from, Math.min(size, newer) - from)
  parser.begin(seam)
  const lf = seam.indexOf(10)
  const lastMs = timeOf(parser, seam.subarray(0, lf === -1 ? seam.length : lf))
  for (const at of heads(seam, parser)) {
    const end = seam.indexOf(10, at)
    const ms = timeOf(parser, seam.subarray(at, end === -1 ? seam.length : end))
    if (ms !== undefined && ms >= since) return { at: from + at, lastMs }
  }
  return { at: newer, lastMs }
}

const criHead = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^ ]{0,16} std(?:out|err) [PF]/g
const dockerHead = /\{"log":"/g

/** Where what may be the beginning of a line stands. */
function* heads(bytes: Buffer, parser: LineParser): Generator<number> {
  const pattern = parser instanceof CriParser ? criHead : dockerHead
  for (const { index } of bytes.toString('latin1').matchAll(pattern)) yield index
}

/** Where the line begins whose line feed is before `end`. */
function lineStartBefore(read: (position: number, length: number) => Buffer, end: number): number {
  const from = Math.max(0, end - maxSeamBytes)
  const lf = read(from, Math.max(0, end - 1 - from)).lastIndexOf(10)
  return from + lf + 1
}
