/** The labels of a pushed stream, as `{app="x", b="y"}` has them or a JSON object. Pure. */
import { told } from '../access/limit-error.ts'
import { LogqlError } from '../logql/error.ts'
import { parseSelectorQuery } from '../logql/parser.ts'
import { quote, unquote } from '../logql/quote.ts'

export type PushLabels = Readonly<Record<string, string>>

/** What a stream calls itself is no set of labels. */
export class LabelsError extends Error {
  override readonly name = 'LabelsError'
  constructor(message: string) {
    super(told(message))
  }
}

/** Longest text of labels, characters: the expression below takes stack for each of them. */
const maxText = 1 << 20

const open = /\s*\{\s*/y
const pair =
  /(?:([A-Za-z_][A-Za-z0-9_]*)|(["'`])([A-Za-z_][A-Za-z0-9_]*)\2)\s*=\s*("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)\s*/y
const comma = /,\s*/y
const close = /\}\s*/y

/** Labels without empty values. Throws {@link LabelsError}, worded as Loki words it. */
export function parseStreamLabels(text: string): PushLabels {
  if (text.length > maxText) throw new LabelsError(`error parsing labels '${told(text)}' with error: too long`)
  const labels: Record<string, string> = Object.create(null)
  let at = 0
  const take = (expression: RegExp): RegExpExecArray | null => {
    expression.lastIndex = at
    const match = expression.exec(text)
    if (match) at = expression.lastIndex
    return match
  }
  if (!take(open)) throw invalid(text)
  while (!take(close)) {
    const [, plain, , quoted, literal] = take(pair) ?? []
    const name = plain ?? quoted
    const value = literal === undefined ? undefined : unquote(inDoubleQuotes(literal))
    if (name === undefined || value === undefined) throw invalid(text)
    if (name in labels) throw new LabelsError(`stream '${text}' has duplicate label name: '${name}'`)
    // A byte that is no UTF-8 has no place in a label.
    labels[name] = value.toWellFormed()
    // One comma may stand behind the last pair.
    if (!take(comma) && text[at] !== '}') throw invalid(text)
  }
  if (at !== text.length) throw invalid(text)
  return withoutEmpty(labels)
}

/** Prometheus has a third kind of quotes, in which the double ones need no backslash. */
function inDoubleQuotes(literal: string): string {
  if (!literal.startsWith("'")) return literal
  const inner = literal.slice(1, -1).replace(/\\.|"/g, (part) => (part === '"' ? '\\"' : part === "\\'" ? "'" : part))
  return `"${inner}"`
}

/** Of a JSON push: values of other types are taken as their text. */
export function labelsOfObject(object: Readonly<Record<string, unknown>>): PushLabels {
  const labels: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(object)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw invalid(nameOfObject(object))
    labels[name] = textValue(value)
  }
  return withoutEmpty(labels)
}

/** `{a="b", c="d"}`, by name. */
export function streamName(labels: PushLabels): string {
  const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${pairs.map(([name, value]) => `${name}=${quote(value)}`).join(', ')}}`
}

export const textValue = (value: unknown): string =>
  (typeof value === 'string' ? value : JSON.stringify(value)).toWellFormed()

/** How messages name the stream of a JSON push: as it would be in a selector, without the rest of values that are long. */
export const nameOfObject = (object: Readonly<Record<string, unknown>>): string =>
  streamName(Object.fromEntries(Object.entries(object).map(([name, value]) => [name, told(textValue(value))])))

function withoutEmpty(labels: Record<string, string>): PushLabels {
  for (const name of Object.keys(labels)) if (labels[name] === '') delete labels[name]
  return labels
}

/** The language's parser says where it is wrong. */
function invalid(text: string): LabelsError {
  return new LabelsError(`error parsing labels '${text}' with error: ${reason(text)}`)
}

function reason(text: string): string {
  try {
    parseSelectorQuery(text)
    return 'parse error : only equality matchers are labels'
  } catch (error) {
    if (error instanceof LogqlError) return error.message
    throw error
  }
}
