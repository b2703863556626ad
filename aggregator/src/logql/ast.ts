/** The syntax tree of a LogQL query: plain data, one type for each construct. Durations are nanoseconds. */
import type { Position } from './error.ts'

export type MatchOperator = '=' | '!=' | '=~' | '!~'

export interface Matcher {
  readonly name: string
  readonly op: MatchOperator
  readonly value: string
}

export type LineOperator = '|=' | '!=' | '|~' | '!~' | '|>' | '!>'

export interface LineAlternative {
  readonly value: string
  /** Written `ip("…")`. */
  readonly ip: boolean
}

/** `name="path"` after json and logfmt; the path is the name where it was left out. */
export interface Extraction {
  readonly name: string
  readonly path: string
}

/** Exactly one of the two: a label to rename, or a template. */
export type LabelAssignment =
  | { readonly name: string; readonly from: string }
  | { readonly name: string; readonly template: string }

/** A name of `drop` and `keep`, or a name on condition. */
export interface LabelChoice {
  readonly name: string
  readonly matcher?: Matcher
}

export type CompareOperator = '=' | '!=' | '>' | '>=' | '<' | '<='

export type LabelFilter =
  | { readonly kind: 'string'; readonly matcher: Matcher; readonly at: Position }
  | {
      readonly kind: 'ip'
      readonly name: string
      readonly op: '=' | '!='
      readonly value: string
      readonly at: Position
    }
  | {
      readonly kind: 'number'
      readonly name: string
      readonly op: CompareOperator
      readonly value: number
      readonly at: Position
    }
  | {
      readonly kind: 'duration'
      readonly name: string
      readonly op: CompareOperator
      readonly value: bigint
      readonly at: Position
    }
  | {
      readonly kind: 'bytes'
      readonly name: string
      readonly op: CompareOperator
      readonly value: number
      readonly at: Position
    }
  | {
      readonly kind: 'and' | 'or'
      readonly left: LabelFilter
      readonly right: LabelFilter
      readonly at: Position
    }

type StageOf =
  | { readonly kind: 'line'; readonly op: LineOperator; readonly alternatives: readonly LineAlternative[] }
  | { readonly kind: 'json'; readonly extractions: readonly Extraction[] }
  | {
      readonly kind: 'logfmt'
      readonly strict: boolean
      readonly keepEmpty: boolean
      readonly extractions: readonly Extraction[]
    }
  | { readonly kind: 'regexp'; readonly pattern: string }
  | { readonly kind: 'pattern'; readonly pattern: string }
  | { readonly kind: 'unpack' }
  | { readonly kind: 'decolorize' }
  | { readonly kind: 'label'; readonly filter: LabelFilter }
  | { readonly kind: 'line_format'; readonly template: string }
  | { readonly kind: 'label_format'; readonly assignments: readonly LabelAssignment[] }
  | { readonly kind: 'drop'; readonly choices: readonly LabelChoice[] }
  | { readonly kind: 'keep'; readonly choices: readonly LabelChoice[] }

/** One step of a pipeline. */
export type Stage = StageOf & { readonly at: Position }

export interface LogExpression {
  readonly kind: 'log'
  readonly matchers: readonly Matcher[]
  readonly stages: readonly Stage[]
  readonly at: Position
}

export const conversions = ['bytes', 'duration', 'duration_seconds'] as const
export type Conversion = (typeof conversions)[number]

export interface Unwrap {
  readonly label: string
  readonly conversion?: Conversion
  readonly filters: readonly LabelFilter[]
  readonly at: Position
}

export const rangeOperators = [
  'rate',
  'rate_counter',
  'count_over_time',
  'bytes_rate',
  'bytes_over_time',
  'avg_over_time',
  'sum_over_time',
  'min_over_time',
  'max_over_time',
  'stdvar_over_time',
  'stddev_over_time',
  'quantile_over_time',
  'first_over_time',
  'last_over_time',
  'absent_over_time',
] as const
export type RangeOperator = (typeof rangeOperators)[number]

export const vectorOperators = [
  'sum',
  'avg',
  'max',
  'min',
  'count',
  'stddev',
  'stdvar',
  'bottomk',
  'topk',
  'approx_topk',
  'sort',
  'sort_desc',
] as const
export type VectorOperator = (typeof vectorOperators)[number]

export interface Grouping {
  readonly without: boolean
  readonly labels: readonly string[]
}

export interface RangeAggregation {
  readonly kind: 'range'
  readonly op: RangeOperator
  readonly parameter?: number
  readonly log: LogExpression
  readonly unwrap?: Unwrap
  readonly range: bigint
  /** 0n without `offset`; negative looks ahead. */
  readonly offset: bigint
  readonly grouping?: Grouping
  readonly at: Position
}

export interface VectorAggregation {
  readonly kind: 'vector aggregation'
  readonly op: VectorOperator
  readonly parameter?: number
  readonly grouping?: Grouping
  readonly inner: MetricExpression
  readonly at: Position
}

export type ArithmeticOperator = '+' | '-' | '*' | '/' | '%' | '^'
export type ComparisonOperator = '==' | '!=' | '>' | '>=' | '<' | '<='
export type SetOperator = 'and' | 'or' | 'unless'
export type BinaryOperator = ArithmeticOperator | ComparisonOperator | SetOperator

export interface BinaryOperation {
  readonly kind: 'binary'
  readonly op: BinaryOperator
  readonly left: Expression
  readonly right: Expression
  readonly bool: boolean
  readonly matching?: { readonly on: boolean; readonly labels: readonly string[] }
  readonly group?: { readonly side: 'left' | 'right'; readonly include: readonly string[] }
  readonly at: Position
}

export interface Literal {
  readonly kind: 'literal'
  readonly value: number
  readonly at: Position
}

export interface VectorLiteral {
  readonly kind: 'vector'
  readonly value: number
  readonly at: Position
}

export interface LabelReplace {
  readonly kind: 'label_replace'
  readonly inner: MetricExpression
  readonly destination: string
  readonly replacement: string
  readonly source: string
  readonly pattern: string
  readonly at: Position
}

export type MetricExpression =
  | RangeAggregation
  | VectorAggregation
  | BinaryOperation
  | Literal
  | VectorLiteral
  | LabelReplace

/** A whole query. The legs of a binary operation are metric expressions once it is validated. */
export type Expression = LogExpression | MetricExpression

const comparisons: ReadonlySet<string> = new Set(['==', '!=', '>', '>=', '<', '<='])
const setOperators: ReadonlySet<string> = new Set(['and', 'or', 'unless'])

export const isComparison = (op: BinaryOperator): op is ComparisonOperator => comparisons.has(op)
export const isSetOperator = (op: BinaryOperator): op is SetOperator => setOperators.has(op)
