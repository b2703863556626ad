import type { Parser, TakeField } from './parser.ts'

/** Levels of nesting whose fields are taken one by one; what is deeper stays JSON. */
const maxDepth = 6

/** One JSON object per line. `{"http":{"status":200}}` gives `http_status`; lists stay JSON, and null says nothing. */
export const jsonParser: Parser = {
  name: 'json',
  parse(bytes, start, end, take) {
    if (!looksLikeObject(bytes, start, end)) return false
    let value: unknown
    try {
      value = JSON.parse(bytes.toString('utf8', start, end))
    } catch {
      // The caller counts and flags it.
      return false
    }
    flatten('', value as Record<string, unknown>, take, 0)
    return true
  },
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
    else if (Array.isArray(inner) || depth + 1 === maxDepth) take(name, JSON.stringify(inner))
    else flatten(`${name}_`, inner as Record<string, unknown>, take, depth + 1)
  }
}
