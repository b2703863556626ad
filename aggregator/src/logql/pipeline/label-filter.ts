/**
 * Label filters. One that compares text takes an absent label for an empty one. The others drop entries without the label, and keep those
 * whose value they can't read, with an error.
 */
import type { CompareOperator, LabelFilter, Matcher } from '../ast.ts'
import { GoParseError, parseGoDurationStrictly, parseGoFloat, parseHumanBytes } from '../go-parse.ts'
import { Regex } from '../regex-match.ts'
import { containsAddress, parseAddresses } from './ip.ts'
import type { CompiledStage } from './stage.ts'
import { errorLabel, type WorkingEntry } from './working-entry.ts'

export function labelFilter(filter: LabelFilter): CompiledStage {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return combined(filter.kind, labelFilter(filter.left), labelFilter(filter.right))
    case 'string':
      return textFilter(filter.matcher)
    case 'ip':
      return addressFilter(filter.name, filter.op, filter.value)
    case 'number':
      return compared(filter.name, filter.op, parseGoFloat, filter.value)
    case 'bytes':
      return compared(filter.name, filter.op, parseHumanBytes, filter.value)
    case 'duration':
      return compared(filter.name, filter.op, parseGoDurationStrictly, filter.value)
  }
}

/** The right side of `or` is left out when the left holds; that of `and` is always looked at, as it may set an error. */
function combined(kind: 'and' | 'or', left: CompiledStage, right: CompiledStage): CompiledStage {
  if (kind === 'or') return (entry) => left(entry) || right(entry)
  return (entry) => {
    const first = left(entry)
    return right(entry) && first
  }
}

function textFilter(matcher: Matcher): CompiledStage {
  const { name } = matcher
  const accepts = textTest(matcher, false)
  if (name === errorLabel) return (entry) => accepts(entry.error)
  return (entry) => accepts(entry.get(name) ?? '')
}

/** @param dotAll the dot matches newlines too, as it does in selectors, `drop` and `keep` */
export function textTest({ op, value }: Matcher, dotAll: boolean): (text: string) => boolean {
  if (op === '=') return (text) => text === value
  if (op === '!=') return (text) => text !== value
  const regex = new Regex(value, { dotAll, anchored: true })
  return op === '=~' ? (text) => regex.test(text) : (text) => !regex.test(text)
}

function addressFilter(name: string, op: '=' | '!=', value: string): CompiledStage {
  const addresses = parseAddresses(value)!
  return (entry) => {
    // With an error only filters of text can drop the entry.
    if (entry.error !== '') return true
    const text = entry.get(name)
    return text !== undefined && containsAddress(text, addresses) === (op === '=')
  }
}

function compared<T extends number | bigint>(
  name: string,
  op: CompareOperator,
  parse: (text: string) => T,
  wanted: T,
): CompiledStage {
  const holds = comparison<T>(op)
  return (entry) => {
    const text = entry.get(name)
    if (text === undefined) return false
    const value = parsed(entry, parse, text)
    return value === undefined || holds(value, wanted)
  }
}

function parsed<T>(entry: WorkingEntry, parse: (text: string) => T, text: string): T | undefined {
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof GoParseError)) throw error
    // What failed first says more.
    if (entry.error === '') entry.fail('LabelFilterErr', error.message)
    return undefined
  }
}

function comparison<T>(op: CompareOperator): (a: T, b: T) => boolean {
  switch (op) {
    case '=':
      return (a, b) => a === b
    case '!=':
      return (a, b) => a !== b
    case '>':
      return (a, b) => a > b
    case '>=':
      return (a, b) => a >= b
    case '<':
      return (a, b) => a < b
    case '<=':
      return (a, b) => a <= b
  }
}
