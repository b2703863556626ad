/**
 * Lays a query out for people: on one line as long as that has no more than a hundred bytes, else each stage and each operand on a line of
 * its own, indented. Loki's layout, so that its clients show what they always did; but brackets, alternatives and empty groupings, which
 * it leaves out where it breaks lines, stay where the query would mean another without them.
 */
import type {
  BinaryOperation,
  BinaryOperator,
  Expression,
  LabelReplace,
  LogExpression,
  RangeAggregation,
  Stage,
  VectorAggregation,
} from './ast.ts'
import { isComparison } from './ast.ts'
import { decimal, filterText, operatorText, ownGrouping, printAsLoki, rangeDuration, stageText } from './loki-print.ts'
import { printGrouping, printSelector } from './print.ts'
import { quote } from './quote.ts'
import { printFloat } from './template/value.ts'

const maxLine = 100
const indent = (level: number): string => '  '.repeat(level)
const isLong = (line: string): boolean => Buffer.byteLength(line) > maxLine

export function pretty(expression: Expression, level = 0): string {
  const line = printAsLoki(expression)
  if (!isLong(line)) return indent(level) + line
  switch (expression.kind) {
    case 'log':
      return prettyLog(expression, level)
    case 'range':
      return prettyRange(expression, level)
    case 'vector aggregation':
      return prettyAggregation(expression, level)
    case 'binary':
      return prettyBinary(expression, level)
    case 'label_replace':
      return prettyReplace(expression, level)
    default:
      return indent(level) + line
  }
}

function prettyLog({ matchers, stages }: LogExpression, level: number): string {
  const lines = [indent(level) + printSelector(matchers)]
  if (stages.length === 0) return lines[0]!
  for (let at = 0; at < stages.length; ) {
    let filters = at
    while (filters < stages.length && stages[filters]!.kind === 'line') filters++
    if (filters === at) lines.push(prettyStage(stages[at++]!, level + 1))
    else {
      lines.push(...prettyLineFilters(stages.slice(at, filters), level + 1))
      at = filters
    }
  }
  return lines.join('\n')
}

/** Without an indentation of its own in Loki. */
const prettyStage = (stage: Stage, level: number): string =>
  (stage.kind === 'decolorize' ? '' : indent(level)) + stageText(stage)

/** The first of line filters that follow each other stay on one line as long as that is short. */
function prettyLineFilters(stages: readonly Stage[], level: number): string[] {
  let first = stages.length
  const together = (count: number): string => stages.slice(0, count).map(stageText).join(' ')
  while (first > 1 && isLong(together(first))) first--
  return [together(first), ...stages.slice(first).map(stageText)].map((line) => indent(level) + line)
}

function prettyRange(range: RangeAggregation, level: number): string {
  const { grouping, log, op, parameter, unwrap } = range
  const lines = [pretty(log, level + 1)]
  if (unwrap) {
    const target = unwrap.conversion ? `${unwrap.conversion}(${unwrap.label})` : unwrap.label
    lines.push(`${indent(level + 2)}| unwrap ${target}`)
    for (const filter of unwrap.filters) lines.push(`${indent(level + 2)}| ${filterText(filter, false)}`)
  }
  const parameters = parameter === undefined ? [] : [`${indent(level + 1)}${printFloat(parameter)},`]
  return [
    `${indent(level)}${op}(`,
    ...parameters,
    `${lines.join('\n')} ${window(range)}`,
    `${indent(level)})${printGrouping(grouping, ', ')}`,
  ].join('\n')
}

const window = ({ offset, range }: RangeAggregation): string =>
  `[${rangeDuration(range)}]${offset === 0n ? '' : ` offset ${rangeDuration(offset)}`}`

function prettyAggregation({ grouping, inner, op, parameter }: VectorAggregation, level: number): string {
  const operands = [
    ...(parameter === undefined ? [] : [indent(level + 1) + decimal(parameter)]),
    pretty(inner, level + 1),
  ]
  return `${indent(level)}${op}${ownGrouping(grouping, ', ')}(\n${operands.join(',\n')}\n${indent(level)})`
}

function prettyBinary(operation: BinaryOperation, level: number): string {
  const leg = (expression: Expression, isRight: boolean): string =>
    expression.kind === 'binary' &&
    isLong(printAsLoki(expression)) &&
    needsBrackets(operation.op, expression.op, isRight)
      ? `${indent(level + 1)}(\n${pretty(expression, level + 2)}\n${indent(level + 1)})`
      : pretty(expression, level + 1)
  const operator = indent(level) + operatorText(operation, ', ')
  return [leg(operation.left, false), operator, leg(operation.right, true)].join('\n')
}

/** Whether the leg would be torn apart without them. All but `^` are done from left to right. */
function needsBrackets(op: BinaryOperator, leg: BinaryOperator, isRight: boolean): boolean {
  const [outer, inner] = [precedence(op), precedence(leg)]
  return inner < outer || (inner === outer && isRight !== (op === '^'))
}

function precedence(op: BinaryOperator): number {
  if (op === 'or') return 0
  if (op === 'and' || op === 'unless') return 1
  if (isComparison(op)) return 2
  if (op === '+' || op === '-') return 3
  return op === '^' ? 5 : 4
}

function prettyReplace({ destination, inner, pattern, replacement, source }: LabelReplace, level: number): string {
  const texts = [destination, replacement, source, pattern].map((text) => indent(level + 1) + quote(text))
  return `${indent(level)}label_replace(\n${[pretty(inner, level + 1), ...texts].join(',\n')}\n${indent(level)})`
}
