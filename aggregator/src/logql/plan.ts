/** Decides how a query is evaluated, or that it cannot be yet. Pure: syntax tree in, plan out. */
import {
  type BinaryOperation,
  type BinaryOperator,
  type Expression,
  type Grouping,
  isSetOperator,
  type LabelFilter,
  type LogExpression,
  type MetricExpression,
  type RangeAggregation,
  type SetOperator,
  type Stage,
  type VectorAggregation,
} from './ast.ts'
import { NotEvaluatedError, type Position } from './error.ts'

export type Plan = { readonly kind: 'log'; readonly log: LogExpression } | MetricPlan

export type MetricPlan =
  | { readonly kind: 'scalar'; readonly value: number }
  | { readonly kind: 'constant'; readonly value: number }
  | SamplePlan
  | AggregatePlan
  | BinaryPlan

export type SampleOperator = 'count_over_time' | 'rate' | 'bytes_over_time' | 'bytes_rate'

/** Rows of the store, counted in windows. */
export interface SamplePlan {
  readonly kind: 'samples'
  readonly op: SampleOperator
  readonly log: LogExpression
  readonly range: bigint
  readonly offset: bigint
  /** The labels that decide about the result; absent: all. Counts of series that agree on them may be added up in the store. */
  readonly keys?: readonly string[]
}

export type AggregateOperator = 'sum' | 'min' | 'max' | 'avg' | 'count'

export interface AggregatePlan {
  readonly kind: 'aggregate'
  readonly op: AggregateOperator
  readonly grouping: Grouping
  readonly inner: MetricPlan
}

export interface BinaryPlan {
  readonly kind: 'binary'
  readonly op: Exclude<BinaryOperator, SetOperator>
  readonly bool: boolean
  readonly left: MetricPlan
  readonly right: MetricPlan
}

/** Throws {@link NotEvaluatedError} for what the language has and the evaluation does not yet. */
export function plan(expression: Expression): Plan {
  refuseRawBytes(expression, expression.at)
  if (expression.kind !== 'log') return planMetric(expression)
  refuseStages(expression.stages)
  return { kind: 'log', log: expression }
}

function planMetric(expression: MetricExpression): MetricPlan {
  switch (expression.kind) {
    case 'literal':
      return { kind: 'scalar', value: expression.value }
    case 'vector':
      return { kind: 'constant', value: expression.value }
    case 'range':
      return planSamples(expression)
    case 'vector aggregation':
      return planAggregation(expression)
    case 'binary':
      return planBinary(expression)
    case 'label_replace':
      throw new NotEvaluatedError('label_replace', expression.at)
  }
}

const sampleOperators: ReadonlySet<string> = new Set<SampleOperator>([
  'count_over_time',
  'rate',
  'bytes_over_time',
  'bytes_rate',
])

function planSamples(range: RangeAggregation): SamplePlan {
  if (!sampleOperators.has(range.op)) throw new NotEvaluatedError(range.op, range.at)
  if (range.unwrap) throw new NotEvaluatedError('| unwrap', range.unwrap.at)
  refuseStages(range.log.stages)
  const { log, offset } = range
  return { kind: 'samples', op: range.op as SampleOperator, log, range: range.range, offset }
}

const aggregateOperators: ReadonlySet<string> = new Set<AggregateOperator>(['sum', 'min', 'max', 'avg', 'count'])

function planAggregation(aggregation: VectorAggregation): AggregatePlan {
  if (!aggregateOperators.has(aggregation.op)) throw new NotEvaluatedError(aggregation.op, aggregation.at)
  const op = aggregation.op as AggregateOperator
  const grouping = aggregation.grouping ?? { without: false, labels: [] }
  const inner = planMetric(aggregation.inner)
  const summable = op === 'sum' && !grouping.without && inner.kind === 'samples'
  return {
    kind: 'aggregate',
    op,
    grouping,
    inner: summable ? { ...inner, keys: [...new Set(grouping.labels)] } : inner,
  }
}

function planBinary(operation: BinaryOperation): BinaryPlan {
  const { op, bool, at } = operation
  if (isSetOperator(op)) throw new NotEvaluatedError(op, at)
  if (operation.group) throw new NotEvaluatedError(`group_${operation.group.side}`, at)
  if (operation.matching) throw new NotEvaluatedError(operation.matching.on ? 'on' : 'ignoring', at)
  // The validator has refused legs that are log expressions.
  const left = planMetric(operation.left as MetricExpression)
  const right = planMetric(operation.right as MetricExpression)
  return { kind: 'binary', op, bool, left, right }
}

function refuseStages(stages: readonly Stage[]): void {
  for (const stage of stages) {
    if (stage.kind === 'line') refuseLineFilter(stage)
    else if (stage.kind === 'label') refuseFilter(stage.filter)
    else if (stage.kind !== 'drop') throw new NotEvaluatedError(`| ${stage.kind}`, stage.at)
  }
}

function refuseLineFilter(stage: Extract<Stage, { kind: 'line' }>): void {
  if (stage.op === '|>' || stage.op === '!>') throw new NotEvaluatedError(stage.op, stage.at)
  if (stage.alternatives.some((alternative) => alternative.ip))
    throw new NotEvaluatedError(`${stage.op} ip(…)`, stage.at)
}

/** A failed conversion keeps the entry and sets `__error__`, which the store cannot do. */
function refuseFilter(filter: LabelFilter): void {
  if ('left' in filter) {
    refuseFilter(filter.left)
    refuseFilter(filter.right)
  } else if (filter.kind !== 'string') {
    throw new NotEvaluatedError(`| ${filter.name} ${filter.op} <${filter.kind}>`, filter.at)
  }
}

/** Parameters of statements are text: bytes that are not UTF-8 cannot be bound. */
function refuseRawBytes(value: unknown, at: Position): void {
  if (typeof value === 'string' && !value.isWellFormed())
    throw new NotEvaluatedError('a string with bytes that are not UTF-8', at)
  if (value === null || typeof value !== 'object') return
  // Arrays have a method of that name.
  const place = !Array.isArray(value) && 'at' in value ? (value.at as Position) : at
  for (const item of Object.values(value)) refuseRawBytes(item, place)
}
