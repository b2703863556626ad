/**
 * Lays a query out for people: on one line as long as that has no more than a hundred characters, else each stage and each operand on
 * a line of its own, indented. Loki's layout, so that its clients show what they always did.
 */
import type {
  BinaryOperation,
  Expression,
  LabelReplace,
  LogExpression,
  RangeAggregation,
  VectorAggregation,
} from './ast.ts'
import {
  print,
  printBinaryOperator,
  printFilter,
  printGrouping,
  printNumber,
  printSelector,
  printStage,
} from './print.ts'
import { formatDuration } from './quantity.ts'
import { quote } from './quote.ts'

const maxLine = 100
const indent = (level: number): string => '  '.repeat(level)

export function pretty(expression: Expression, level = 0): string {
  const line = print(expression)
  if (line.length <= maxLine) return indent(level) + line
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
  return [
    indent(level) + printSelector(matchers),
    ...stages.map((stage) => indent(level + 1) + printStage(stage)),
  ].join('\n')
}

function prettyRange(range: RangeAggregation, level: number): string {
  const { grouping, log, op, parameter, unwrap } = range
  const lines = [pretty(log, level + 1)]
  if (unwrap) {
    const target = unwrap.conversion ? `${unwrap.conversion}(${unwrap.label})` : unwrap.label
    lines.push(`${indent(level + 2)}| unwrap ${target}`)
    for (const filter of unwrap.filters) lines.push(`${indent(level + 2)}| ${printFilter(filter)}`)
  }
  const parameters = parameter === undefined ? [] : [`${indent(level + 1)}${printNumber(parameter)},`]
  return [
    `${indent(level)}${op}(`,
    ...parameters,
    `${lines.join('\n')} ${window(range)}`,
    `${indent(level)})${printGrouping(grouping)}`,
  ].join('\n')
}

const window = ({ offset, range }: RangeAggregation): string =>
  `[${formatDuration(range)}]${offset === 0n ? '' : ` offset ${formatDuration(offset)}`}`

function prettyAggregation({ grouping, inner, op, parameter }: VectorAggregation, level: number): string {
  const operands = [
    ...(parameter === undefined ? [] : [indent(level + 1) + printNumber(parameter)]),
    pretty(inner, level + 1),
  ]
  return `${indent(level)}${op}${printGrouping(grouping)}(\n${operands.join(',\n')}\n${indent(level)})`
}

function prettyBinary(operation: BinaryOperation, level: number): string {
  const leg = (expression: Expression): string =>
    expression.kind === 'binary'
      ? `${indent(level + 1)}(\n${pretty(expression, level + 2)}\n${indent(level + 1)})`
      : pretty(expression, level + 1)
  return [leg(operation.left), indent(level) + printBinaryOperator(operation), leg(operation.right)].join('\n')
}

function prettyReplace({ destination, inner, pattern, replacement, source }: LabelReplace, level: number): string {
  const texts = [destination, replacement, source, pattern].map((text) => indent(level + 1) + quote(text))
  return `${indent(level)}label_replace(\n${[pretty(inner, level + 1), ...texts].join(',\n')}\n${indent(level)})`
}
