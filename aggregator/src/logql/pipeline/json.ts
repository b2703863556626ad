/** `| json`: every scalar becomes a label, nested names joined by `_`. Arrays are left out. */
import { JsonValue, jsonErrors, nextToken, stringEnd, unescapeJson } from './json-text.ts'
import { labelName, nestedName } from './label-names.ts'
import { labelText } from './lines.ts'
import type { CompiledStage } from './stage.ts'
import type { WorkingEntry } from './working-entry.ts'

/** Ends the scan: no label is missing any more. */
const complete = 'complete'

/** Objects within objects, beyond which a line is not worth the stack. */
const maxDepth = 500

export function jsonParser(): CompiledStage {
  return (entry) => {
    if (entry.parsesNothing) return true
    const problem = scanObject(entry.line, 0, entry.line.length, entry, '', 0)
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
  return eachMember(text, start, end, (key, value) => {
    switch (value.type) {
      case 'object': {
        const inner = nestedName(prefix, key)
        const { start: from, end: to } = value
        if (depth >= maxDepth || !entry.wantsPrefix(inner)) return ''
        return scanObject(text, from, to, entry, inner, depth + 1)
      }
      case 'string':
      case 'number':
      case 'boolean':
        setLabel(text, entry, prefix, key, value)
    }
    return entry.complete ? complete : ''
  })
}

function setLabel(text: string, entry: WorkingEntry, prefix: string, key: string, value: JsonValue): void {
  const name = prefix === '' ? labelName(key) : nestedName(prefix, key)
  if (name === '') return
  const free = entry.nameToParse(name)
  if (free !== undefined) entry.set(free, scalarText(text, value))
}

/** The text of a string, number or boolean. */
export function scalarText(text: string, value: JsonValue): string {
  const raw = text.slice(value.start, value.end)
  return value.type === 'string' ? labelText(unescapeJson(raw) ?? '') : raw
}

/**
 * Calls `visit` with the members of the object in `[start, end)`, in order, until it returns something. The value is valid during the
 * call. Returns what `visit` returned, the text of an error, or ''.
 */
export function eachMember(
  text: string,
  start: number,
  end: number,
  visit: (key: string, value: JsonValue) => string,
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
    const key = unescapeJson(text.slice(at + 1, close))
    if (key === undefined) return jsonErrors.escape
    at = nextToken(text, close + 1, end)
    if (at === -1 || text.charCodeAt(at) !== 0x3a) return jsonErrors.json
    const problem = value.read(text, at + 1, end)
    if (problem !== '') return problem
    const next = value.next
    const outcome = visit(key, value)
    if (outcome !== '') return outcome
    at = nextToken(text, next, end)
    if (at === -1) return jsonErrors.array
    if (text.charCodeAt(at) === 0x7d) return ''
    if (text.charCodeAt(at) !== 0x2c) return jsonErrors.object
    at = nextToken(text, at + 1, end)
    if (at === -1) return jsonErrors.array
  }
}
