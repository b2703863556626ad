/** The fields that a line has when it is JSON or logfmt, as the language's parsers find and call them. Pure. */
import type { Labels } from '../logql/labels.ts'
import { eachMember, jsonParser, keyText } from '../logql/pipeline/json.ts'
import { nestedName } from '../logql/pipeline/label-names.ts'
import { logfmtParser } from '../logql/pipeline/logfmt.ts'
import { extractedSuffix, WorkingEntry } from '../logql/pipeline/working-entry.ts'

export interface LineFields {
  readonly parser: 'json' | 'logfmt'
  readonly fields: ReadonlyMap<string, FieldValue>
}

export interface FieldValue {
  readonly value: string
  /** Keys on the way to it; of JSON only. */
  readonly path?: readonly string[]
}

const json = jsonParser()
const logfmt = logfmtParser(false, false)
const none: Labels = new Map()

/** Undefined for a line that is neither. @param stream its labels: a field of the same name is called `<name>_extracted` */
export function lineFields(line: string, stream: Labels = none): LineFields | undefined {
  const entry = new WorkingEntry()
  entry.begin(0n, line, stream, none)
  json(entry)
  if (entry.error === '') return { parser: 'json', fields: jsonFields(entry) }
  entry.begin(0n, line, stream, none)
  logfmt(entry)
  const fields = new Map([...entry.parsed].map(([name, value]) => [name, { value }]))
  return fields.size === 0 ? undefined : { parser: 'logfmt', fields }
}

function jsonFields({ line, parsed, stream }: WorkingEntry): Map<string, FieldValue> {
  const paths = new Map<string, readonly string[]>()
  findPaths(line, 0, line.length, '', [], paths)
  const fields = new Map<string, FieldValue>()
  for (const [name, value] of parsed) {
    const base = name.endsWith(extractedSuffix) ? name.slice(0, -extractedSuffix.length) : ''
    const path = paths.get(stream.has(base) ? base : name)
    if (value !== '') fields.set(name, { value, ...(path && { path }) })
  }
  return fields
}

/** Deeper than any log line is meant to be. */
const maxDepth = 50

/** By the names that the parser gives them, as it goes: of two values with one name the first counts. */
function findPaths(
  text: string,
  start: number,
  end: number,
  prefix: string,
  above: readonly string[],
  paths: Map<string, readonly string[]>,
): void {
  eachMember(text, start, end, (keyStart, keyEnd, escaped, value) => {
    const key = keyText(text, keyStart, keyEnd, escaped)
    const name = nestedName(prefix, key)
    const path = [...above, key]
    if (value.type === 'object') {
      const { start: from, end: to } = value
      if (path.length < maxDepth) findPaths(text, from, to, name, path, paths)
    } else if (value.type !== 'array' && value.type !== 'null' && !paths.has(name)) paths.set(name, path)
    return ''
  })
}

export type FieldType = 'string' | 'int' | 'float' | 'boolean' | 'duration' | 'bytes'

export function fieldType(value: string): FieldType {
  if (/^[+-]?\d{1,19}$/.test(value)) return 'int'
  if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(value) || /^[+-]?(?:inf(?:inity)?|nan)$/i.test(value))
    return 'float'
  if (/^(?:t|f|true|false|TRUE|FALSE|True|False|T|F)$/.test(value)) return 'boolean'
  if (/^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(value)) return 'duration'
  if (/^\d+(?:\.\d+)?\s*(?:[kmgtpe]i?)?b?$/i.test(value)) return 'bytes'
  return 'string'
}
