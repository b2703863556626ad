/** Label filters: what follows a pipe and compares labels. */
import type { CompareOperator, LabelFilter, Matcher, MatchOperator } from './ast.ts'
import type { Position } from './error.ts'
import type { Tokens } from './tokens.ts'

const compareOperators: Record<string, CompareOperator> = {
  '=': '=',
  '==': '=',
  '!=': '!=',
  '>': '>',
  '>=': '>=',
  '<': '<',
  '<=': '<=',
}

/**
 * `and` binds tighter than `or`; a comma or nothing between two filters means "and" and takes all that follows as its right
 * side, however tight the operator before it binds: `x="1", y="2" or z="3"` is `x="1" and (y="2" or z="3")`.
 */
export function parseLabelFilter(tokens: Tokens, minimum = 0): LabelFilter {
  let left = parseOperand(tokens)
  for (;;) {
    const at = tokens.position
    if (tokens.is(',', 'identifier', '(')) {
      tokens.countOperation()
      tokens.accept(',')
      left = { kind: 'and', left, right: parseLabelFilter(tokens), at }
    } else if (tokens.is('or') && minimum <= 0) {
      left = parseRight(tokens, 'or', left, at, 1)
    } else if (tokens.is('and') && minimum <= 1) {
      left = parseRight(tokens, 'and', left, at, 2)
    } else return left
  }
}

function parseRight(tokens: Tokens, kind: 'and' | 'or', left: LabelFilter, at: Position, minimum: number): LabelFilter {
  tokens.countOperation()
  tokens.take()
  return { kind, left, right: parseLabelFilter(tokens, minimum), at }
}

function parseOperand(tokens: Tokens): LabelFilter {
  if (tokens.accept('(')) {
    tokens.countOperation()
    const inner = parseLabelFilter(tokens)
    tokens.close()
    return inner
  }
  if (!tokens.is('identifier')) tokens.unexpected('identifier', '(')
  return parseComparison(tokens)
}

function parseComparison(tokens: Tokens): LabelFilter {
  const at = tokens.position
  const name = tokens.expect('identifier').text
  const op = tokens.expect('=', '!=', '=~', '!~', '==', '>', '>=', '<', '<=').type
  const matchable = op === '=' || op === '!=' || op === '=~' || op === '!~'
  const string = matchable ? tokens.accept('string') : undefined
  if (string) return { kind: 'string', matcher: { name, op: op as MatchOperator, value: string.string }, at }
  const compare = compareOperators[op]
  if (compare === undefined) tokens.unexpected('string')
  if ((op === '=' || op === '!=') && tokens.is('ip')) return { kind: 'ip', name, op, value: parseIp(tokens), at }
  const duration = tokens.accept('duration')
  if (duration) return { kind: 'duration', name, op: compare, value: duration.duration, at }
  const bytes = tokens.accept('bytes')
  if (bytes) return { kind: 'bytes', name, op: compare, value: bytes.number, at }
  return { kind: 'number', name, op: compare, value: parseSigned(tokens), at }
}

function parseSigned(tokens: Tokens): number {
  const sign = tokens.accept('+', '-')
  const value = tokens.accept('number')
  if (value) return sign?.type === '-' ? -value.number : value.number
  return tokens.unexpected(...(sign ? ['number'] : []))
}

/** `ip("…")`, and returns the address, range or network. */
export function parseIp(tokens: Tokens): string {
  tokens.expect('ip')
  tokens.expect('(')
  const value = tokens.expect('string').string
  tokens.expect(')')
  return value
}

export function parseMatcher(tokens: Tokens): Matcher {
  const name = tokens.expect('identifier').text
  return { name, ...parseMatch(tokens) }
}

/** The operator and value of a matcher, once its name is read. */
export function parseMatch(tokens: Tokens): Omit<Matcher, 'name'> {
  const op = tokens.expect('=', '=~', '!~', '!=').type as MatchOperator
  return { op, value: tokens.expect('string').string }
}
