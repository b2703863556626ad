/** The fields that a line has when it is JSON or logfmt, by the names that the language's parsers give them. Pure. */
import { labelName } from '../load/labels.ts'

export interface LineFields {
  readonly parser: 'json' | 'logfmt'
  readonly fields: ReadonlyMap<string, FieldValue>
}

export interface FieldValue {
  readonly value: string
  /** Keys on the way to it; of JSON only. */
  readonly path?: readonly string[]
}

/** Undefined for a line that is neither. */
export function lineFields(line: string): LineFields | undefined {
  return jsonFields(line) ?? logfmtFields(line)
}

function jsonFields(line: string): LineFields | undefined {
  if (!line.trimStart().startsWith('{')) return undefined
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined // then it is no JSON
  }
  const fields = new Map<string, FieldValue>()
  collect(value as Record<string, unknown>, '', [], fields)
  return { parser: 'json', fields }
}

/** Deeper than any log line is meant to be. */
const maxDepth = 50

/** Keys of nested objects are joined by underscores; lists and nulls are no fields. */
function collect(
  object: Readonly<Record<string, unknown>>,
  prefix: string,
  path: readonly string[],
  fields: Map<string, FieldValue>,
): void {
  if (path.length > maxDepth) return
  for (const [key, value] of Object.entries(object)) {
    if (value === null || Array.isArray(value)) continue
    const name = prefix === '' ? labelName(key) : `${prefix}_${key.replace(/[^A-Za-z0-9_]/g, '_')}`
    const at = [...path, key]
    if (typeof value === 'object') collect(value as Record<string, unknown>, name, at, fields)
    else if (!fields.has(name) && value !== '') fields.set(name, { value: String(value), path: at })
  }
}

const pair = /([^\s="]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?=\s|$)/g

function logfmtFields(line: string): LineFields | undefined {
  const fields = new Map<string, FieldValue>()
  for (const [, key, raw] of line.matchAll(pair)) {
    const value = raw!.startsWith('"') ? unquoted(raw!) : raw!
    const name = labelName(key!)
    if (value !== '' && !fields.has(name)) fields.set(name, { value })
  }
  return fields.size === 0 ? undefined : { parser: 'logfmt', fields }
}

function unquoted(text: string): string {
  try {
    return JSON.parse(text) as string
  } catch {
    return text.slice(1, -1) // escapes that JSON has not
  }
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
