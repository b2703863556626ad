/**
 * The trace and the span a line belongs to, where it names them: `trace_id`, `traceId`, `trace.id`, `traceparent` and the like, in JSON,
 * logfmt or text. One search goes over all lines of a message, so that lines without one cost next to nothing.
 *
 * @see https://www.w3.org/TR/trace-context/#traceparent-header
 */

/** `trace_id` and, where the line has one, `span_id`: structured metadata of its row. */
export type TraceIds = Readonly<Record<string, string>>

/** `trace` and `Trace` both have it; `TRACE`, a level, does not. */
const needle = Buffer.from('race')
const spanNeedle = Buffer.from('pan')
/** How far behind a key its value begins at most: quotes, escaped quotes, a separator, blanks. */
const maxGap = 8
const separators = new Set(Buffer.from(' =:"\'\\[{'))

export class TraceFinder {
  readonly #bytes: Buffer
  /** The next occurrence of the needle at or behind the last line looked at; beyond the end where there is none. */
  #next = -1

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** What the line `[start, end)` names; lines are asked for in their order. */
  find(start: number, end: number): TraceIds | undefined {
    while (this.#next < end) {
      if (this.#next >= start) {
        const ids = this.#at(this.#next, start, end)
        if (ids !== undefined) return ids
      }
      const from = Math.max(start, this.#next + 1)
      const found = this.#bytes.indexOf(needle, from)
      this.#next = found === -1 ? Number.POSITIVE_INFINITY : found
    }
    return undefined
  }

  #at(at: number, start: number, end: number): TraceIds | undefined {
    const b = this.#bytes
    if (at === start || (b[at - 1]! | 0x20) !== 0x74) return undefined
    const after = at + needle.length
    if (b.toString('latin1', after, Math.min(after + 6, end)).toLowerCase() === 'parent') {
      const value = valueStart(b, after + 6, end)
      const parts = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-/.exec(
        b.toString('latin1', value, Math.min(value + 56, end)),
      )
      return parts && isSet(parts[1]!) ? { trace_id: parts[1]!, span_id: parts[2]! } : undefined
    }
    const id = idAfter(b, after, end, 32)
    if (id === undefined) return undefined
    const span = spanIn(b, start, end)
    return span === undefined ? { trace_id: id } : { trace_id: id, span_id: span }
  }
}

function spanIn(b: Buffer, start: number, end: number): string | undefined {
  const line = b.subarray(start, end)
  for (let at = line.indexOf(spanNeedle, 1); at !== -1; at = line.indexOf(spanNeedle, at + 1)) {
    if ((line[at - 1]! | 0x20) !== 0x73) continue
    const id = idAfter(line, at + spanNeedle.length, line.length, 16)
    if (id !== undefined) return id
  }
  return undefined
}

/** The id behind `trace` or `span`: `_id`, `Id`, `ID`, `.id` or `-id`, a separator, and 16 or 32 hexadecimal or up to 20 decimal digits. */
function idAfter(b: Buffer, at: number, end: number, longest: 16 | 32): string | undefined {
  let p = at
  if (b[p] === 0x5f || b[p] === 0x2e || b[p] === 0x2d) p++
  if (p + 2 > end || (b[p]! | 0x20) !== 0x69 || (b[p + 1]! | 0x20) !== 0x64) return undefined
  const value = valueStart(b, p + 2, end)
  if (value === p + 2) return undefined
  const [id] = /^[0-9a-fA-F]*/.exec(b.toString('latin1', value, Math.min(value + 33, end)))!
  const whole = id.length === longest || id.length === 16 || (id.length <= 20 && /^[0-9]+$/.test(id))
  // A longer word that merely begins with such digits is none.
  const next = b[value + id.length]
  const ends = value + id.length >= end || !/[0-9A-Za-z_]/.test(String.fromCharCode(next!))
  return whole && ends && isSet(id) ? id.toLowerCase() : undefined
}

function valueStart(b: Buffer, at: number, end: number): number {
  let p = at
  while (p < end && p - at < maxGap && separators.has(b[p]!)) p++
  return p
}

/** All zeros stand for no trace. */
function isSet(id: string): boolean {
  return /[^0]/.test(id)
}
