/** Decides how a query is evaluated. Pure: syntax tree in, plan out. */
import type {
  BinaryOperator,
  Expression,
  Grouping,
  LogExpression,
  MetricExpression,
  RangeAggregation,
  RangeOperator,
  Stage,
  Unwrap,
  VectorAggregation,
  VectorOperator,
} from './ast.ts'
import { type ParserHints, parserHints } from './pipeline/parser-hints.ts'
import { isParser, split } from './split.ts'

export type Plan = { readonly kind: 'log'; readonly log: LogExpression } | MetricPlan

export type MetricPlan =
  | { readonly kind: 'scalar'; readonly value: number }
  | { readonly kind: 'constant'; readonly value: number }
  | SamplePlan
  | AggregatePlan
  | BinaryPlan
  | ReplacePlan

/** Samples of entries, aggregated over windows of time. */
export interface SamplePlan {
  readonly kind: 'samples'
  /** Of absent_over_time, the labels of the series that says so; `op` then counts. */
  readonly absent?: ReadonlyMap<string, string>
  readonly op: RangeOperator
  readonly parameter?: number
  /** Without stages that cannot change the result. */
  readonly log: LogExpression
  readonly unwrap?: Unwrap
  readonly range: bigint
  readonly offset: bigint
  /** By which labels there are series, decided here or by a `sum` around it. Absent: by all of them. */
  readonly grouping?: Grouping
  readonly hints: ParserHints
  /** The store does all of it, and groups by these labels; absent, by the rows' own. */
  readonly keys?: readonly string[]
  readonly where: 'store' | 'process'
}

export interface AggregatePlan {
  readonly kind: 'aggregate'
  readonly op: VectorOperator
  readonly parameter?: number
  readonly grouping: Grouping
  readonly inner: MetricPlan
}

export interface Matching {
  readonly on: boolean
  readonly labels: readonly string[]
  /** The side with many series for one of the other, and the labels it gets from that one. */
  readonly group?: { readonly side: 'left' | 'right'; readonly include: readonly string[] }
}

export interface BinaryPlan {
  readonly kind: 'binary'
  readonly op: BinaryOperator
  readonly bool: boolean
  readonly matching: Matching
  readonly left: MetricPlan
  readonly right: MetricPlan
}

export interface ReplacePlan {
  readonly kind: 'replace'
  readonly destination: string
  readonly replacement: string
  readonly source: string
  readonly pattern: string
  readonly inner: MetricPlan
}

export function plan(expression: Expression): Plan {
  return expression.kind === 'log' ? { kind: 'log', log: expression } : planMetric(expression)
}

function planMetric(expression: MetricExpression): MetricPlan {
  switch (expression.kind) {
    case 'literal':
      return { kind: 'scalar', value: expression.value }
    case 'vector':
      return { kind: 'constant', value: expression.value }
    case 'range':
      return planSamples(expression, undefined)
    case 'vector aggregation':
      return planAggregation(expression)
    case 'binary': {
      const { op, bool, matching = { on: false, labels: [] }, group } = expression
      // The validator has refused legs that are log expressions.
      const left = planMetric(expression.left as MetricExpression)
      const right = planMetric(expression.right as MetricExpression)
      return { kind: 'binary', op, bool, matching: { ...matching, ...(group && { group }) }, left, right }
    }
    case 'label_replace': {
      const { destination, replacement, source, pattern } = expression
      return { kind: 'replace', destination, replacement, source, pattern, inner: planMetric(expression.inner) }
    }
  }
}

/** Only these are the same when they are grouped before they are summed. */
const summable: ReadonlySet<RangeOperator> = new Set([
  ...(['rate', 'count_over_time', 'bytes_rate', 'bytes_over_time', 'sum_over_time'] as const),
])

function planAggregation(aggregation: VectorAggregation): AggregatePlan {
  const { op, parameter, inner } = aggregation
  const grouping = aggregation.grouping ?? { without: false, labels: [] }
  const down = op === 'sum' && inner.kind === 'range' && summable.has(inner.op) && !inner.grouping
  return {
    kind: 'aggregate',
    op,
    ...(parameter !== undefined && { parameter }),
    grouping,
    inner: down ? planSamples(inner, grouping) : planMetric(inner),
  }
}

/** Those that the store can count without knowing more than rows. */
const counted: ReadonlySet<RangeOperator> = new Set([
  ...(['rate', 'count_over_time', 'bytes_rate', 'bytes_over_time', 'absent_over_time'] as const),
])

/** @param outer grouping of a `sum` around it */
function planSamples(range: RangeAggregation, outer: Grouping | undefined): SamplePlan {
  const { op, parameter, unwrap, offset } = range
  const absent = op === 'absent_over_time'
  const whole = countsBytes.has(op) ? range.log : withoutFormats(range.log)
  const grouping = absent ? { without: false, labels: [] } : (outer ?? range.grouping)
  const hints = parserHints({
    stages: whole.stages,
    postFilters: unwrap?.filters ?? [],
    ...(unwrap && { unwrap: unwrap.label }),
    groups: grouping?.labels ?? [],
    without: grouping?.without ?? false,
    noLabels: grouping !== undefined && !grouping.without && grouping.labels.length === 0,
  })
  const log = hints.noLabels ? withoutParsers(whole) : whole
  const inStore = counted.has(op) && !unwrap && split(log.stages).breaks === undefined
  const keys = inStore && grouping && !grouping.without ? [...new Set(grouping.labels)] : undefined
  return {
    kind: 'samples',
    ...(absent && { absent: absentLabels(range.log) }),
    op: absent ? 'count_over_time' : op,
    ...(parameter !== undefined && { parameter }),
    log,
    ...(unwrap && { unwrap }),
    range: range.range,
    offset,
    ...(grouping && { grouping }),
    hints,
    ...(keys && { keys }),
    where: inStore ? 'store' : 'process',
  }
}

/** Where nobody asks for labels, parsers are not run at all, and find no errors either. */
function withoutParsers(log: LogExpression): LogExpression {
  return { ...log, stages: log.stages.filter((stage) => !isParser(stage)) }
}

const countsBytes: ReadonlySet<RangeOperator> = new Set(['bytes_rate', 'bytes_over_time'] as const)

/** Lines that no stage reads afterwards are not formatted, as in Loki: a template that fails does not fail the query, and asks for no labels. */
function withoutFormats(log: LogExpression): LogExpression {
  const last = log.stages.findLastIndex(readsLine)
  const stages = log.stages.filter(({ kind }, i) => kind !== 'line_format' || i < last)
  return stages.length === log.stages.length ? log : { ...log, stages }
}

function readsLine(stage: Stage): boolean {
  if (stage.kind === 'label_format')
    return stage.assignments.some((item) => 'template' in item && item.template.includes('__line__'))
  return stage.kind === 'line' || isParser(stage)
}

/** The labels that equality matchers give, but for those that stand in more than one matcher. */
function absentLabels({ matchers }: LogExpression): ReadonlyMap<string, string> {
  const once = matchers.filter(({ name }) => matchers.filter((other) => other.name === name).length === 1)
  const equal = once.filter(({ op, value }) => op === '=' && value !== '')
  return new Map(equal.map(({ name, value }) => [name, value] as const).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Series in the order of their values are kept in it: a `sort` decided it. */
export function isSorted(plan: MetricPlan): boolean {
  switch (plan.kind) {
    case 'aggregate':
      return ['sort', 'sort_desc', 'topk', 'bottomk', 'approx_topk'].includes(plan.op) || isSorted(plan.inner)
    case 'binary':
      return isSorted(plan.left) || isSorted(plan.right)
    case 'replace':
      return isSorted(plan.inner)
    default:
      return false
  }
}
