/** The rules of the language that its grammar cannot express. Every breach is a {@link LogqlError} in Loki's words. */
import {
  type BinaryOperation,
  type Expression,
  isSetOperator,
  type LabelFilter,
  type LogExpression,
  type Matcher,
  type RangeAggregation,
  type RangeOperator,
  type VectorAggregation,
} from './ast.ts'
import { LogqlError } from './error.ts'
import { compileMatcher, compileRegex } from './regex.ts'
import { validateAddressFilter, validateStage } from './validate-stage.ts'

export interface ValidateOptions {
  /** Accept a selector that can select streams by what they lack, such as `{}`. */
  readonly anySelector?: boolean
}

export function validate(expression: Expression, options: ValidateOptions = {}): void {
  switch (expression.kind) {
    case 'log':
      validateLog(expression, options)
      break
    case 'range':
      validateRange(expression)
      break
    case 'vector aggregation':
      validateAggregation(expression)
      validate(expression.inner)
      break
    case 'binary':
      validateLegs(expression)
      validate(expression.left)
      validate(expression.right)
      break
    case 'label_replace':
      validateReplacement(expression.pattern)
      // As in Prometheus, any text is a name.
      if (expression.destination === '' || !expression.destination.isWellFormed())
        throw new LogqlError(`invalid destination label name in label_replace: ${expression.destination}`)
      validate(expression.inner)
      break
    case 'literal':
    case 'vector':
      break
  }
}

function validateReplacement(pattern: string): void {
  try {
    compileRegex(`^(?:${pattern})$`)
  } catch (error) {
    if (!(error instanceof LogqlError)) throw error
    throw new LogqlError(`invalid regex in label_replace: ${error.message.replace(/^parse error : /, '')}`)
  }
}

function validateLog(log: LogExpression, options: ValidateOptions): void {
  for (const matcher of log.matchers) if (isRegexOperator(matcher.op)) compileRegex(matcher.value)
  if (!options.anySelector && !log.matchers.some((matcher) => !compileMatcher(matcher, true)('')))
    throw new LogqlError(
      'queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~".*" does not meet this requirement, but app=~".+" will',
    )
  for (const stage of log.stages) {
    if (stage.kind === 'label') validateFilter(stage.filter)
    else validateStage(stage)
  }
}

const isRegexOperator = (op: Matcher['op']): boolean => op === '=~' || op === '!~'

export function validateFilter(filter: LabelFilter): void {
  if (filter.kind === 'and' || filter.kind === 'or') {
    validateFilter(filter.left)
    validateFilter(filter.right)
  } else if (filter.kind === 'string') {
    if (isRegexOperator(filter.matcher.op)) compileRegex(filter.matcher.value)
  } else if (filter.kind === 'ip') {
    validateAddressFilter(filter)
  }
}

const groupable: ReadonlySet<RangeOperator> = new Set([
  ...(['avg_over_time', 'stddev_over_time', 'stdvar_over_time', 'quantile_over_time'] as const),
  ...(['max_over_time', 'min_over_time', 'first_over_time', 'last_over_time'] as const),
])
const withUnwrap: ReadonlySet<RangeOperator> = new Set([
  ...groupable,
  ...(['sum_over_time', 'rate', 'rate_counter', 'absent_over_time'] as const),
])
const withoutUnwrap: ReadonlySet<RangeOperator> = new Set([
  ...(['bytes_over_time', 'bytes_rate', 'count_over_time', 'rate', 'absent_over_time'] as const),
])

function validateRange(range: RangeAggregation): void {
  const { op } = range
  if (op === 'quantile_over_time' && range.parameter === undefined)
    throw new LogqlError(`parameter required for operation ${op}`)
  if (op !== 'quantile_over_time' && range.parameter !== undefined)
    throw new LogqlError(`parameter ${range.parameter} not supported for operation ${op}`)
  if (range.grouping && !groupable.has(op)) throw new LogqlError(`grouping not allowed for ${op} aggregation`)
  if (range.unwrap && !withUnwrap.has(op)) throw new LogqlError(`invalid aggregation ${op} with unwrap`)
  if (!range.unwrap && !withoutUnwrap.has(op)) throw new LogqlError(`invalid aggregation ${op} without unwrap`)
  validateLog(range.log, {})
  range.unwrap?.filters.forEach(validateFilter)
}

function validateAggregation(aggregation: VectorAggregation): void {
  const { op, parameter } = aggregation
  if (op === 'topk' || op === 'bottomk' || op === 'approx_topk') {
    if (parameter === undefined) throw new LogqlError(`parameter required for operation ${op}`)
    if (!Number.isSafeInteger(parameter)) throw new LogqlError(`invalid parameter ${op}(${parameter},`)
    if (parameter <= 0) throw new LogqlError(`invalid parameter (must be greater than 0) ${op}(${parameter}`)
  } else if (parameter !== undefined) {
    throw new LogqlError(`unsupported parameter for operation ${op}(${parameter},`)
  }
  if (!aggregation.grouping) return
  if (op === 'sort' || op === 'sort_desc') throw new LogqlError("sort and sort_desc doesn't allow grouping by ")
  if (op === 'approx_topk') throw new LogqlError('grouping not allowed for approx_topk aggregation')
}

function validateLegs(operation: BinaryOperation): void {
  for (const side of ['left', 'right'] as const) {
    const leg = operation[side]
    if (leg.kind === 'log') {
      const type = leg.stages.length === 0 ? '*syntax.MatchersExpr' : '*syntax.PipelineExpr'
      throw new LogqlError(`unexpected type for ${side} leg of binary operation (${operation.op}): ${type}`)
    }
    if (leg.kind === 'literal' && isSetOperator(operation.op)) {
      throw new LogqlError(
        `unexpected literal for ${side} leg of logical/set binary operation (${operation.op}): ${leg.value.toFixed(6)}`,
      )
    }
  }
}
