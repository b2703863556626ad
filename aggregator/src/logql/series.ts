/** Series over the steps of a query, and what operators make of them. Pure. */
import type { BinaryOperator, Grouping, SetOperator } from './ast.ts'
import { QueryError } from './error.ts'
import { compareLabels, filterLabels, type Labels, labelsKey, noLabels } from './labels.ts'
import type { AggregateOperator } from './plan.ts'

/** One value for each step; undefined where the series has no point. */
export interface Series {
  readonly labels: Labels
  readonly values: (number | undefined)[]
}

/** The same number at every step, or series. */
export type Value =
  | { readonly kind: 'scalar'; readonly value: number }
  | { readonly kind: 'series'; readonly series: Series[] }

/** Without series that have no point, in the order of their labels. */
export function presentSeries(series: readonly Series[]): Series[] {
  return series
    .filter(({ values }) => values.some((value) => value !== undefined))
    .sort((a, b) => compareLabels(a.labels, b.labels))
}

export function constantSeries(value: number, points: number): Series {
  return { labels: noLabels, values: new Array<number>(points).fill(value) }
}

export function aggregate(
  op: AggregateOperator,
  grouping: Grouping,
  series: readonly Series[],
  points: number,
): Series[] {
  const names = new Set(grouping.labels)
  const groups = new Map<string, { labels: Labels; members: Series[] }>()
  for (const member of series) {
    const labels = filterLabels(member.labels, (name) => names.has(name) !== grouping.without)
    const key = labelsKey(labels)
    const group = groups.get(key)
    if (group) group.members.push(member)
    else groups.set(key, { labels, members: [member] })
  }
  return [...groups.values()].map(({ labels, members }) => ({
    labels,
    values: Array.from({ length: points }, (_, step) => combine(op, members, step)),
  }))
}

function combine(op: AggregateOperator, members: readonly Series[], step: number): number | undefined {
  let count = 0
  let result = 0
  for (const { values } of members) {
    const value = values[step]
    if (value === undefined) continue
    count++
    if (op === 'sum' || op === 'avg') result += value
    else if (count === 1 || Number.isNaN(result) || (op === 'min' ? value < result : value > result)) result = value
  }
  if (count === 0) return undefined
  return op === 'count' ? count : op === 'avg' ? result / count : result
}

type Operator = Exclude<BinaryOperator, SetOperator>

/** Arithmetic as in Loki, where dividing by zero gives no infinity. */
function calculate(op: Operator, a: number, b: number): number | boolean {
  switch (op) {
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    case '/':
      return b === 0 ? Number.NaN : a / b
    case '%':
      return a % b
    case '^':
      // Go's Pow gives 1 for these two, JavaScript NaN.
      return a === 1 || (a === -1 && Math.abs(b) === Number.POSITIVE_INFINITY) ? 1 : a ** b
    case '==':
      return a === b
    case '!=':
      return a !== b
    case '>':
      return a > b
    case '>=':
      return a >= b
    case '<':
      return a < b
    case '<=':
      return a <= b
  }
}

/** @param kept what a comparison lets through where it holds */
function point(op: Operator, bool: boolean, a: number, b: number, kept: number): number | undefined {
  const result = calculate(op, a, b)
  if (typeof result === 'number') return result
  return bool ? Number(result) : result ? kept : undefined
}

export function binary(op: Operator, bool: boolean, left: Value, right: Value): Value {
  if (left.kind === 'scalar' && right.kind === 'scalar')
    return { kind: 'scalar', value: Number(calculate(op, left.value, right.value)) }
  if (left.kind === 'scalar') {
    const series = (right as Extract<Value, { kind: 'series' }>).series
    return mapped(series, (value) => point(op, bool, left.value, value, value))
  }
  if (right.kind === 'scalar') return mapped(left.series, (value) => point(op, bool, value, right.value, value))
  return matched(op, bool, left.series, right.series)
}

function mapped(series: readonly Series[], change: (value: number) => number | undefined): Value {
  return {
    kind: 'series',
    series: series.map(({ labels, values }) => ({
      labels,
      values: values.map((value) => (value === undefined ? undefined : change(value))),
    })),
  }
}

/** Series with equal labels, step by step. */
function matched(op: Operator, bool: boolean, left: readonly Series[], right: readonly Series[]): Value {
  const others = byLabels(right)
  const series: Series[] = []
  for (const [key, { labels, values }] of byLabels(left)) {
    const other = others.get(key)
    if (!other) continue
    series.push({
      labels,
      values: values.map((a, step) => {
        const b = other.values[step]
        return a === undefined || b === undefined ? undefined : point(op, bool, a, b, a)
      }),
    })
  }
  return { kind: 'series', series }
}

function byLabels(series: readonly Series[]): Map<string, Series> {
  const found = new Map<string, Series>()
  for (const item of series) {
    const key = labelsKey(item.labels)
    if (found.has(key))
      throw new QueryError(
        'multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)',
      )
    found.set(key, item)
  }
  return found
}
