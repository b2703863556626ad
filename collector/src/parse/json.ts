import type { Parser, TakeField } from './parser.ts'

/** What the runtime has beyond the types of its language: the text of numbers that were read, and numbers that are written as they are. */
interface SourceText {
  parse(text: string, revive: (key: string, value: unknown, context: { source: string }) => unknown): unknown
  rawJSON(text: string): { readonly rawJSON: string }
  isRawJSON(value: object): value is { readonly rawJSON: string }
}
const json = JSON as unknown as SourceText

/** Levels of nesting whose fields are taken one by one; what is deeper stays JSON. */
const maxDepth = 6
/** A line with more levels is not parsed: writing them as JSON again would take more stack than there is. */
const maxLevels = 500

/**
 * One JSON object per line. `{"http":{"status":200}}` gives `http_status`; lists stay JSON, and null says nothing. Integers of any
 * length keep their digits.
 */
export const jsonParser: Parser = {
  name: 'json',
  parse(bytes, start, end, take) {
    if (!looksLikeObject(bytes, start, end)) return false
    const text = bytes.toString('utf8', start, end)
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      // The caller counts and flags it.
      return false
    }
    const found = examine(value, 0)
    if (found === 'too deep') return false
    flatten('', (found === 'exact' ? value : parseExactly(text)) as Record<string, unknown>, take, 0)
    return true
  },
}

/** Whether a value is to be read another way: a number in it is not the one that the text has, or it has too many levels. */
function examine(value: unknown, depth: number): 'exact' | 'inexact' | 'too deep' {
  if (typeof value === 'number') return isExact(value) ? 'exact' : 'inexact'
  if (typeof value !== 'object' || value === null) return 'exact'
  if (depth === maxLevels) return 'too deep'
  let all: 'exact' | 'inexact' = 'exact'
  for (const key in value) {
    const one = examine((value as Record<string, unknown>)[key], depth + 1)
    if (one === 'too deep') return one
    if (one === 'inexact') all = one
  }
  return all
}

/** Of fractions the digits beyond what a double holds say nothing; of an integer, such as an id, all do. */
function isExact(value: number): boolean {
  return Number.isSafeInteger(value) || !(Number.isInteger(value) || value === Infinity || value === -Infinity)
}

/** Slower than JSON.parse alone: numbers that are not exact stand in the value as they are written. */
function parseExactly(text: string): unknown {
  return json.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && !isExact(value) ? json.rawJSON(source) : value,
  )
}

/** Lines that can't be an object need not become a string, and no error has to be made for them. */
function looksLikeObject(bytes: Buffer, start: number, end: number): boolean {
  let [from, to] = [start, end]
  while (from < to && isBlank(bytes[from]!)) from++
  while (to > from && isBlank(bytes[to - 1]!)) to--
  return to - from >= 2 && bytes[from] === 0x7b && bytes[to - 1] === 0x7d
}

function isBlank(c: number): boolean {
  return c === 0x20 || c === 0x09 || c === 0x0d || c === 0x0a
}

function flatten(prefix: string, value: Record<string, unknown>, take: TakeField, depth: number): void {
  for (const key in value) {
    const inner = value[key]
    const name = prefix + key
    if (typeof inner === 'string') take(name, inner)
    else if (inner === null) continue
    else if (typeof inner !== 'object') take(name, String(inner))
    else if (json.isRawJSON(inner)) take(name, inner.rawJSON)
    else if (Array.isArray(inner) || depth + 1 === maxDepth) take(name, JSON.stringify(inner))
    else flatten(`${name}_`, inner as Record<string, unknown>, take, depth + 1)
  }
}
