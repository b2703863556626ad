/** Parses LogQL by precedence climbing: text in, syntax tree out, or a LogqlError. */

import { calculate } from './arithmetic.ts'
import type {
  BinaryOperation,
  BinaryOperator,
  Conversion,
  Expression,
  Grouping,
  LogExpression,
  MetricExpression,
  RangeAggregation,
  RangeOperator,
  Unwrap,
  VectorOperator,
} from './ast.ts'
import { conversions, isSetOperator, rangeOperators, vectorOperators } from './ast.ts'
import { LogqlError } from './error.ts'
import { parseLabelFilter } from './parse-filter.ts'
import { isUnwrap, parseLog, parseSelector, parseStages } from './parse-log.ts'
import { withCompileBudget } from './regex.ts'
import { Tokens } from './tokens.ts'
import { validate } from './validate.ts'

/** Loki's limit, bytes. */
const maxQueryBytes = 131_072

/** A whole query, parsed and validated. Throws {@link LogqlError} and nothing else. */
export function parseQuery(text: string): Expression {
  // Loki knows no place in nothing at all.
  if (text === '') throw new LogqlError('syntax error: unexpected $end')
  const tokens = tokensOf(text)
  const expression = parseExpression(tokens)
  if (!tokens.is('end')) tokens.unexpected()
  withCompileBudget(() => validate(expression))
  return expression
}

/** A selector alone, as label endpoints take it. `{}` is allowed: it selects every stream. */
export function parseSelectorQuery(text: string): LogExpression {
  const tokens = tokensOf(text)
  const at = tokens.position
  const expression: LogExpression = { kind: 'log', matchers: parseSelector(tokens), stages: [], at }
  if (!tokens.is('end')) tokens.unexpected()
  withCompileBudget(() => validate(expression, { anySelector: true }))
  return expression
}

function tokensOf(text: string): Tokens {
  const size = Buffer.byteLength(text)
  if (size >= maxQueryBytes) throw new LogqlError(`input size too long (${size} > ${maxQueryBytes})`)
  return new Tokens(text)
}

const precedence: Record<BinaryOperator, number> = {
  or: 1,
  and: 2,
  unless: 2,
  '==': 3,
  '!=': 3,
  '<': 3,
  '<=': 3,
  '>': 3,
  '>=': 3,
  '+': 4,
  '-': 4,
  '*': 5,
  '/': 5,
  '%': 5,
  '^': 6,
}

function parseExpression(tokens: Tokens, minimum = 1): Expression {
  let left = parseOperand(tokens)
  for (;;) {
    const op = tokens.current.type as BinaryOperator
    const level = Object.hasOwn(precedence, op) ? precedence[op] : 0
    if (level < minimum) return left
    const at = tokens.position
    tokens.countOperation()
    tokens.take()
    const modifiers = parseModifiers(tokens)
    const right = parseExpression(tokens, op === '^' ? level : level + 1)
    left = folded({ kind: 'binary', op, left, right, ...modifiers, at })
  }
}

/** As in Loki, an operation of two numbers is the number that it gives. */
function folded(operation: BinaryOperation): Expression {
  const { left, right, op, at } = operation
  if (left.kind !== 'literal' || right.kind !== 'literal' || isSetOperator(op)) return operation
  return { kind: 'literal', value: Number(calculate(op, left.value, right.value)), at }
}

function parseModifiers(tokens: Tokens): Pick<BinaryOperation, 'bool' | 'matching' | 'group'> {
  const bool = tokens.accept('bool') !== undefined
  const matching = tokens.accept('on', 'ignoring')
  if (!matching) return { bool }
  const labels = parseNames(tokens)
  const group = tokens.accept('group_left', 'group_right')
  return {
    bool,
    matching: { on: matching.type === 'on', labels },
    ...(group && {
      group: {
        side: group.type === 'group_left' ? 'left' : 'right',
        include: tokens.is('(') ? parseNames(tokens) : [],
      } as const,
    }),
  }
}

function parseNames(tokens: Tokens): string[] {
  tokens.expect('(')
  const names: string[] = []
  if (tokens.accept(')')) return names
  if (!tokens.is('identifier')) tokens.unexpected('identifier', ')')
  do names.push(tokens.expect('identifier').text)
  while (tokens.accept(','))
  if (!tokens.accept(')')) tokens.unexpected(',', ')')
  return names
}

function parseOperand(tokens: Tokens): Expression {
  const at = tokens.position
  const type = tokens.current.type
  if (type === '{') return parseWholeLog(tokens)
  if (tokens.accept('(')) {
    tokens.countOperation()
    const inner = parseExpression(tokens)
    tokens.close()
    return inner
  }
  if (tokens.accept('+', '-')) {
    const value = tokens.expect('number').number
    return { kind: 'literal', value: type === '-' ? -value : value, at }
  }
  if (type === 'number') return { kind: 'literal', value: tokens.take().number, at }
  if ((rangeOperators as readonly string[]).includes(type)) return parseRangeAggregation(tokens)
  if ((vectorOperators as readonly string[]).includes(type)) return parseVectorAggregation(tokens)
  if (type === 'vector') return parseVector(tokens)
  if (type === 'label_replace') return parseLabelReplace(tokens)
  return tokens.unexpected()
}

/** Without a range there is nothing to unwrap. */
function parseWholeLog(tokens: Tokens): LogExpression {
  const log = parseLog(tokens)
  if (!isUnwrap(tokens)) return log
  tokens.take()
  return tokens.unexpected()
}

function parseVector(tokens: Tokens): MetricExpression {
  const at = tokens.position
  tokens.expect('vector')
  tokens.expect('(')
  const value = tokens.expect('number').number
  tokens.expect(')')
  return { kind: 'vector', value, at }
}

function parseLabelReplace(tokens: Tokens): MetricExpression {
  const at = tokens.position
  tokens.expect('label_replace')
  tokens.expect('(')
  tokens.countOperation()
  const inner = parseMetric(tokens)
  const [destination, replacement, source, pattern] = Array.from({ length: 4 }, (_, i) => {
    if (!tokens.accept(',')) tokens.unexpected(...(i === 0 ? [] : [',']))
    return tokens.expect('string').string
  }) as [string, string, string, string]
  tokens.expect(')')
  return { kind: 'label_replace', inner, destination, replacement, source, pattern, at }
}

function parseMetric(tokens: Tokens): MetricExpression {
  const expression = parseExpression(tokens)
  return expression.kind === 'log' ? tokens.unexpected() : expression
}

function parseVectorAggregation(tokens: Tokens): MetricExpression {
  const at = tokens.position
  const op = tokens.take().type as VectorOperator
  const before = parseGrouping(tokens)
  tokens.expect('(')
  tokens.countOperation()
  const parameter = parseParameter(tokens)
  const inner = parseMetric(tokens)
  tokens.close()
  const grouping = before ?? parseGrouping(tokens)
  return {
    kind: 'vector aggregation',
    op,
    ...(parameter !== undefined && { parameter }),
    ...(grouping && { grouping }),
    inner,
    at,
  }
}

/** The number before the comma in `topk(5, …)`. A number without a comma behind it is an operand. */
function parseParameter(tokens: Tokens): number | undefined {
  if (!tokens.is('number') || tokens.after !== ',') return undefined
  const value = tokens.take().number
  tokens.take()
  return value
}

function parseGrouping(tokens: Tokens): Grouping | undefined {
  const keyword = tokens.accept('by', 'without')
  return keyword && { without: keyword.type === 'without', labels: parseNames(tokens) }
}

function parseRangeAggregation(tokens: Tokens): RangeAggregation {
  const at = tokens.position
  const op = tokens.take().type as RangeOperator
  tokens.expect('(')
  tokens.countOperation()
  const parameter = tokens.accept('number')?.number
  if (parameter !== undefined) tokens.expect(',')
  else if (!tokens.is('{', '(')) tokens.unexpected('number', '{', '(')
  const { log, unwrap, range, offset } = parseRange(tokens)
  if (range === undefined) tokens.unexpected(...(unwrap?.filters.length === 0 ? ['range', '|'] : []))
  tokens.expect(')')
  const grouping = parseGrouping(tokens)
  return {
    kind: 'range',
    op,
    ...(parameter !== undefined && { parameter }),
    log,
    ...(unwrap && { unwrap }),
    range,
    offset: offset ?? 0n,
    ...(grouping && { grouping }),
    at,
  }
}

interface RangeParts {
  log: LogExpression
  unwrap?: Unwrap | undefined
  range?: bigint | undefined
  offset?: bigint | undefined
}

/** A log expression with its `[range]`, which stands behind the selector, the pipeline or the brackets around them. */
function parseRange(tokens: Tokens): RangeParts {
  let parts: RangeParts
  if (!tokens.is('{', '(')) tokens.unexpected('{', '(')
  if (tokens.accept('(')) {
    tokens.countOperation()
    parts = parseRange(tokens)
    tokens.expect(')')
  } else {
    parts = { log: parseLog(tokens), unwrap: parseUnwrap(tokens) }
  }
  const range = parts.range === undefined ? tokens.accept('range') : undefined
  if (!range) return parts
  const offset = tokens.accept('offset') ? tokens.expect('duration').duration : undefined
  const bare = parts.log.stages.length === 0 && !parts.unwrap
  const stages = bare ? parseStages(tokens) : parts.log.stages
  const unwrap = parts.unwrap ?? parseUnwrap(tokens)
  return { log: { ...parts.log, stages }, unwrap, range: range.duration, offset }
}

const conversionTypes = conversions.map((name) => `${name}_conv`)

function parseUnwrap(tokens: Tokens): Unwrap | undefined {
  if (!isUnwrap(tokens)) return undefined
  const at = tokens.position
  tokens.expect('|')
  tokens.expect('unwrap')
  const conversion = tokens.accept(...conversionTypes)?.type.slice(0, -'_conv'.length) as Conversion | undefined
  if (conversion) tokens.expect('(')
  if (!conversion && !tokens.is('identifier')) tokens.unexpected('identifier', ...conversionTypes)
  const label = tokens.expect('identifier').text
  if (conversion) tokens.expect(')')
  const filters: Unwrap['filters'][number][] = []
  while (tokens.accept('|')) filters.push(parseLabelFilter(tokens))
  return { label, ...(conversion && { conversion }), filters, at }
}
