/**
 * The trace and the span a line belongs to, where it names them: `trace_id`, `traceId`, `trace.id`, `traceparent` and the like, in JSON,
 * logfmt or text. Every line is looked through, so nothing but bytes is looked at until a key is found.
 *
 * @see https://www.w3.org/TR/trace-context/#traceparent-header
 */

/** `trace_id` and, where the line has one, `span_id`: structured metadata of its row. */
export type TraceIds = Readonly<Record<string, string>>

/** What every key begins with, or `Trace`; `TRACE`, a level, does not. */
const word = Buffer.from('trace')
const spanNeedle = Buffer.from('pan')
/** How far behind a key its value begins at most: quotes, escaped quotes, a separator, blanks. */
const maxGap = 8
const separators = new Set(Buffer.from(' =:"\'\\[{'))

/**
 * Where bytes stand within `trace` or `Trace`, as bits: a byte that is the nth has bit n in `first`, and in `second` bit n - 1. Any two
 * neighbours of a word of five letters tell where it begins, so it is enough to look at every fourth pair.
 */
const first = new Uint8Array(256)
const second = new Uint8Array(256)
for (let n = 0; n + 1 < word.length; n++) {
  first[word[n]!] = 1 << n
  second[word[n + 1]!] = 1 << n
}
first['T'.charCodeAt(0)] = 1
const stride = word.length - 1

/** What the line `[start, end)` of `bytes` names. */
export function findTrace(bytes: Buffer, start: number, end: number): TraceIds | undefined {
  for (let p = start + stride - 1; p + 1 < end; p += stride) {
    const place = first[bytes[p]!]! & second[bytes[p + 1]!]!
    if (place === 0) continue
    const at = p - (31 - Math.clz32(place))
    if (!isKey(bytes, at)) continue
    const ids = idsAt(bytes, at, start, end)
    if (ids !== undefined) return ids
  }
  return undefined
}

/** Whether the word stands here, and behind it what a key goes on with: `_id`, `Id`, `parent`. */
function isKey(b: Buffer, at: number): boolean {
  if ((b[at]! | 0x20) !== word[0]) return false
  for (let n = 1; n < word.length; n++) if (b[at + n] !== word[n]) return false
  const next = b[at + word.length]!
  return (next | 0x20) === 0x69 || (next | 0x20) === 0x70 || isJoint(next)
}

/** Between `trace` and `id`: `_`, `.` or `-`. */
function isJoint(c: number): boolean {
  return c === 0x5f || c === 0x2e || c === 0x2d
}

/** @param at where the word begins */
function idsAt(b: Buffer, at: number, start: number, end: number): TraceIds | undefined {
  const after = at + word.length
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
  if (isJoint(b[p]!)) p++
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
