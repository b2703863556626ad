/** Writes a syntax tree as LogQL in one canonical form: one line, every nested operation in brackets. Parsing it gives the same tree. */
import type {
  BinaryOperation,
  Expression,
  Extraction,
  Grouping,
  LabelFilter,
  LogExpression,
  Matcher,
  RangeAggregation,
  Stage,
  VectorAggregation,
} from './ast.ts'
import { formatDuration } from './quantity.ts'
import { quote } from './quote.ts'

export function print(expression: Expression): string {
  switch (expression.kind) {
    case 'log':
      return printLog(expression)
    case 'range':
      return printRange(expression)
    case 'vector aggregation':
      return printAggregation(expression)
    case 'binary':
      return printBinary(expression)
    case 'literal':
      return printNumber(expression.value)
    case 'vector':
      return `vector(${printNumber(expression.value)})`
    case 'label_replace': {
      const { destination, replacement, source, pattern } = expression
      return `label_replace(${[print(expression.inner), ...[destination, replacement, source, pattern].map(quote)].join(', ')})`
    }
  }
}

/** `-0` keeps its sign, as dividing by it shows it. */
const printNumber = (value: number): string => (Object.is(value, -0) ? '-0' : String(value))

export const printMatcher = ({ name, op, value }: Matcher): string => `${name}${op}${quote(value)}`

export const printSelector = (matchers: readonly Matcher[]): string => `{${matchers.map(printMatcher).join(', ')}}`

function printLog(log: LogExpression): string {
  return [printSelector(log.matchers), ...log.stages.map(printStage)].join(' ')
}

/** What the ways of writing a stage differ in. */
export interface StageStyle {
  readonly comma: string
  filter(filter: LabelFilter): string
}

const exact: StageStyle = { comma: ', ', filter: printFilter }

export const printStage = (stage: Stage): string => printStageAs(exact, stage)

export function printStageAs({ comma, filter }: StageStyle, stage: Stage): string {
  switch (stage.kind) {
    case 'line':
      return `${stage.op} ${stage.alternatives.map(({ value, ip }) => (ip ? `ip(${quote(value)})` : quote(value))).join(' or ')}`
    case 'json':
      return `| json${printExtractions(stage.extractions, comma)}`
    case 'logfmt':
      return `| logfmt${stage.strict ? ' --strict' : ''}${stage.keepEmpty ? ' --keep-empty' : ''}${printExtractions(stage.extractions, comma)}`
    case 'regexp':
    case 'pattern':
      return `| ${stage.kind} ${quote(stage.pattern)}`
    case 'unpack':
    case 'decolorize':
      return `| ${stage.kind}`
    case 'label':
      return `| ${filter(stage.filter)}`
    case 'line_format':
      return `| line_format ${quote(stage.template)}`
    case 'label_format':
      return `| label_format ${stage.assignments
        .map((item) => `${item.name}=${'from' in item ? item.from : quote(item.template)}`)
        .join(comma)}`
    case 'drop':
    case 'keep':
      return `| ${stage.kind} ${stage.choices.map((choice) => (choice.matcher ? printMatcher(choice.matcher) : choice.name)).join(comma)}`
  }
}

function printExtractions(extractions: readonly Extraction[], comma: string): string {
  return extractions.length === 0 ? '' : ` ${extractions.map(({ name, path }) => `${name}=${quote(path)}`).join(comma)}`
}

export function printFilter(filter: LabelFilter): string {
  switch (filter.kind) {
    case 'string':
      return printMatcher(filter.matcher)
    case 'ip':
      return `${filter.name}${filter.op}ip(${quote(filter.value)})`
    case 'number':
      return `${filter.name}${filter.op}${printNumber(filter.value)}`
    case 'duration':
      return `${filter.name}${filter.op}${formatDuration(filter.value)}`
    case 'bytes':
      return `${filter.name}${filter.op}${filter.value}B`
    case 'and':
    case 'or':
      return `(${printFilter(filter.left)} ${filter.kind} ${printFilter(filter.right)})`
  }
}

function printRange(range: RangeAggregation): string {
  const { unwrap } = range
  const parameter = range.parameter === undefined ? '' : `${printNumber(range.parameter)}, `
  const target = unwrap?.conversion ? `${unwrap.conversion}(${unwrap.label})` : unwrap?.label
  const filters = unwrap?.filters.map((filter) => ` | ${printFilter(filter)}`).join('') ?? ''
  const offset = range.offset === 0n ? '' : ` offset ${formatDuration(range.offset)}`
  const log = printLog(range.log) + (unwrap ? ` | unwrap ${target}${filters}` : '')
  return `${range.op}(${parameter}${log} [${formatDuration(range.range)}]${offset})${printGrouping(range.grouping)}`
}

function printAggregation(aggregation: VectorAggregation): string {
  const parameter = aggregation.parameter === undefined ? '' : `${printNumber(aggregation.parameter)}, `
  return `${aggregation.op}${printGrouping(aggregation.grouping)}(${parameter}${print(aggregation.inner)})`
}

export function printGrouping(grouping: Grouping | undefined, comma = ', '): string {
  return grouping ? ` ${grouping.without ? 'without' : 'by'} (${grouping.labels.join(comma)})` : ''
}

function printBinary(operation: BinaryOperation): string {
  return `${printLeg(operation.left)} ${printBinaryOperator(operation)} ${printLeg(operation.right)}`
}

/** With all that stands beside it: `* on (pod) group_left (node)`. */
function printBinaryOperator({ bool, group, matching, op }: BinaryOperation): string {
  const words = [
    op,
    ...(bool ? ['bool'] : []),
    ...(matching ? [`${matching.on ? 'on' : 'ignoring'} (${matching.labels.join(', ')})`] : []),
    ...(group ? [`group_${group.side} (${group.include.join(', ')})`] : []),
  ]
  return words.join(' ')
}

const printLeg = (leg: Expression): string => (leg.kind === 'binary' ? `(${print(leg)})` : print(leg))
