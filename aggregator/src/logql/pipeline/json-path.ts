/** `| json a="b.c[0]"`: what stands at a path becomes a label. A path that leads nowhere gives an empty one. */
import type { Extraction } from '../ast.ts'
import { eachMember, keyText } from './json.ts'
import { JsonValue, nextToken, unescapeJson } from './json-text.ts'
import { labelText } from './lines.ts'
import type { CompiledStage } from './stage.ts'
import { extractedSuffix, type WorkingEntry } from './working-entry.ts'

/** A member's name, or an element's index. */
export type PathStep = string | number

const step = /\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\.?([A-Za-z_][A-Za-z0-9_-]*)/y

/** Reads `b.c[0]["d e"]`; undefined when it is no path. */
export function parseJsonPath(path: string): PathStep[] | undefined {
  const steps: PathStep[] = []
  for (let at = 0; at < path.length; at = step.lastIndex) {
    step.lastIndex = at
    const match = step.exec(path)
    if (!match) return undefined
    const [whole, index, quoted, name] = match
    if (name !== undefined && whole.startsWith('.') !== at > 0) return undefined
    if (index !== undefined) steps.push(Number(index))
    else if (quoted !== undefined) steps.push(quoted.replace(/\\(.)/g, '$1'))
    else steps.push(name!)
  }
  return steps.length === 0 ? undefined : steps
}

export function jsonPathParser(extractions: readonly Extraction[]): CompiledStage {
  const wanted = extractions.map(({ name, path }) => ({ name, steps: parseJsonPath(path)! }))
  return (entry) => {
    const { line } = entry
    if (line === '' || entry.parsesNothing) return true
    if (!/^["{[]/.test(line)) {
      entry.failParsing('JSONParserErr', '')
      return true
    }
    for (const { name, steps } of wanted) extract(entry, name, steps)
    return true
  }
}

function extract(entry: WorkingEntry, name: string, steps: readonly PathStep[]): void {
  const found = findPath(entry.line, 0, entry.line.length, steps, 0)
  if (typeof found === 'string') entry.failParsing('JSONParserErr', found)
  if (typeof found === 'object')
    entry.set(entry.clashes(name) ? name + extractedSuffix : name, valueText(entry.line, found))
  else if (entry.get(name) === undefined) entry.set(name, '')
}

function valueText(text: string, value: JsonValue): string {
  const raw = text.slice(value.start, value.end)
  if (value.type === 'null') return ''
  return value.type === 'object' ? raw : labelText(unescapeJson(raw) ?? '')
}

/** The value at the rest of a path; the text of an error when it is no value, undefined when it is not there. */
function findPath(
  text: string,
  start: number,
  end: number,
  steps: readonly PathStep[],
  at: number,
): JsonValue | string | undefined {
  const wanted = steps[at]!
  let found: JsonValue | string | undefined
  const visit = (value: JsonValue): boolean => {
    if (at === steps.length - 1) found = Object.assign(new JsonValue(), value)
    else if (value.type === 'object' || value.type === 'array')
      found = findPath(text, value.start, value.end, steps, at + 1)
    return found !== undefined
  }
  if (typeof wanted === 'number') {
    eachElement(text, start, end, (index, value) => index === wanted && (visit(value) || true))
    return found
  }
  let failed = false
  const problem = eachMember(
    text,
    start,
    end,
    (keyStart, keyEnd, escaped, value) =>
      keyText(text, keyStart, keyEnd, escaped) === wanted && visit(value) ? 'found' : '',
    (keyStart, keyEnd, escaped) => {
      failed = at === steps.length - 1 && keyText(text, keyStart, keyEnd, escaped) === wanted
    },
  )
  // What comes before and behind the value is not judged, but the value itself is.
  return found === undefined && failed ? problem : found
}

/** Calls `visit` with the elements of the array in `[start, end)` until it returns true. */
function eachElement(
  text: string,
  start: number,
  end: number,
  visit: (index: number, value: JsonValue) => boolean,
): void {
  const value = new JsonValue()
  let at = nextToken(text, start, end)
  if (at === -1 || text.charCodeAt(at) !== 0x5b) return
  for (let index = 0; ; index++) {
    at = nextToken(text, at + 1, end)
    if (at === -1 || text.charCodeAt(at) === 0x5d || value.read(text, at, end) !== '') return
    const next = value.next
    if (visit(index, value)) return
    at = nextToken(text, next, end)
    if (at === -1 || text.charCodeAt(at) !== 0x2c) return
  }
}
