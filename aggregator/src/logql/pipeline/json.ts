/** `| json`: every scalar becomes a label, nested names joined by `_`. Arrays are left out. */
import { JsonValue, jsonErrors, nextToken, stringEnd, unescapeJson } from './json-text.ts'
import { labelName, nestedName } from './label-names.ts'
import { labelText } from './lines.ts'
import type { CompiledStage } from './stage.ts'
import type { WorkingEntry } from './working-entry.ts'

/** Ends the scan: no label is missing any more. */
const complete = 'complete'
/** Ends the scan: the entry will be filtered. */
const filtered = 'filtered'

/** Objects within objects, beyond which a line is not worth the stack. */
const maxDepth = 500

export function jsonParser(): CompiledStage {
  return (entry) => {
    if (entry.parsesNothing) return true
    const problem = scanObject(entry.line, 0, entry.line.length, entry, '', 0)
    if (problem === filtered) return false
    if (problem !== '' && problem !== complete) entry.failParsing('JSONParserErr', problem)
    return true
  }
}

function scanObject(
  text: string,
  start: number,
  end: number,
  entry: WorkingEntry,
  prefix: string,
  depth: number,
): string {
  return eachMember(text, start, end, (keyStart, keyEnd, escaped, value) => {
    if (value.type === 'object') {
      const inner = nestedName(prefix, keyText(text, keyStart, keyEnd, escaped))
      const { start: from, end: to } = value
      if (depth >= maxDepth || !entry.wantsPrefix(inner)) return ''
      return scanObject(text, from, to, entry, inner, depth + 1)
    }
    if (value.type !== 'array' && value.type !== 'null') {
      // Most keys are not asked for, and their length tells.
      if (escaped || prefix !== '' || entry.wantsLength(keyEnd - keyStart) || !isPlain(text, keyStart, keyEnd)) {
        const key = keyText(text, keyStart, keyEnd, escaped)
        if (!setLabel(text, entry, prefix, key, value)) return filtered
      }
    }
    return entry.complete ? complete : ''
  })
}

/** Only of such a key the length is the label's. */
function isPlain(text: string, start: number, end: number): boolean {
  for (let p = start; p < end; p++) {
    const c = text.charCodeAt(p)
    if (c <= 0x20 || c > 0x7e) return false
  }
  return true
}

/** Returns false when a filter behind will not let the entry pass. */
function setLabel(text: string, entry: WorkingEntry, prefix: string, key: string, value: JsonValue): boolean {
  const name = prefix === '' ? labelName(key) : nestedName(prefix, key)
  const free = name === '' ? undefined : entry.nameToParse(name)
  if (free === undefined) return true
  entry.set(free, scalarText(text, value))
  return entry.passes(free)
}

/** The key of a member; its escapes are known to be right. */
export const keyText = (text: string, start: number, end: number, escaped: boolean): string => {
  const raw = text.slice(start, end)
  return escaped ? unescapeJson(raw)! : raw
}

/** The text of a string, number or boolean. */
export function scalarText(text: string, value: JsonValue): string {
  const raw = text.slice(value.start, value.end)
  return value.type === 'string' ? labelText(unescapeJson(raw) ?? '') : raw
}

/**
 * Calls `visit` with the members of the object in `[start, end)`, in order, until it returns something: where the key stands, whether it has
 * escapes, and the value, which is valid during the call. Returns what `visit` returned, the text of an error, or ''.
 */
export function eachMember(
  text: string,
  start: number,
  end: number,
  visit: (keyStart: number, keyEnd: number, escaped: boolean, value: JsonValue) => string,
): string {
  const value = new JsonValue()
  let at = nextToken(text, start, end)
  if (at === -1 || text.charCodeAt(at) !== 0x7b) return jsonErrors.object
  at = nextToken(text, at + 1, end)
  if (at === -1) return jsonErrors.json
  for (;;) {
    const c = text.charCodeAt(at)
    if (c === 0x7d) return ''
    if (c !== 0x22) return jsonErrors.object
    const close = stringEnd(text, at + 1, end)
    if (close === -1) return jsonErrors.json
    const keyStart = at + 1
    const escaped = hasSlash(text, keyStart, close)
    if (escaped && unescapeJson(text.slice(keyStart, close)) === undefined) return jsonErrors.escape
    at = nextToken(text, close + 1, end)
    if (at === -1 || text.charCodeAt(at) !== 0x3a) return jsonErrors.json
    const problem = value.read(text, at + 1, end)
    if (problem !== '') return problem
    const next = value.next
    const outcome = visit(keyStart, close, escaped, value)
    if (outcome !== '') return outcome
    at = nextToken(text, next, end)
    if (at === -1) return jsonErrors.array
    if (text.charCodeAt(at) === 0x7d) return ''
    if (text.charCodeAt(at) !== 0x2c) return jsonErrors.object
    at = nextToken(text, at + 1, end)
    if (at === -1) return jsonErrors.array
  }
}

function hasSlash(text: string, start: number, end: number): boolean {
  for (let p = start; p < end; p++) if (text.charCodeAt(p) === 0x5c) return true
  return false
}
