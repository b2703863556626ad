/** Binary operations between numbers and series, and between series of both sides that match. Pure. */
import { calculate, type NumberOperator } from './arithmetic.ts'
import type { BinaryOperator } from './ast.ts'
import { isSetOperator } from './ast.ts'
import { QueryError } from './error.ts'
import { filterLabels, type Labels, labelsKey } from './labels.ts'
import type { BinaryPlan, Matching } from './plan.ts'
import type { Series, Value } from './series.ts'

type Operation = Pick<BinaryPlan, 'op' | 'bool' | 'matching'>

/** @param kept what a comparison lets through where it holds */
function point(op: NumberOperator, bool: boolean, a: number, b: number, kept: number): number | undefined {
  const result = calculate(op, a, b)
  if (typeof result === 'number') return result
  return bool ? Number(result) : result ? kept : undefined
}

export function binary(operation: Operation, left: Value, right: Value, points: number): Value {
  const { bool } = operation
  // Set operations with numbers are refused before.
  const op = operation.op as NumberOperator
  if (left.kind === 'scalar' && right.kind === 'scalar')
    return { kind: 'scalar', value: Number(calculate(op, left.value, right.value)) }
  if (left.kind === 'scalar') {
    const series = (right as Extract<Value, { kind: 'series' }>).series
    return mapped(series, (value) => point(op, bool, left.value, value, value))
  }
  if (right.kind === 'scalar') return mapped(left.series, (value) => point(op, bool, value, right.value, value))
  const series = isSetOperator(operation.op)
    ? combined(operation.op, operation.matching, left.series, right.series, points)
    : matched(operation, left.series, right.series, points)
  return { kind: 'series', series }
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

/** What series have to have in common to match. */
function signature({ on, labels }: Matching, series: Labels): string {
  const names = new Set(labels)
  return labelsKey(filterLabels(series, (name) => names.has(name) === on))
}

function bySignature(matching: Matching, series: readonly Series[]): Map<string, Series[]> {
  const found = new Map<string, Series[]>()
  for (const item of series) {
    const key = signature(matching, item.labels)
    const list = found.get(key)
    if (list) list.push(item)
    else found.set(key, [item])
  }
  return found
}

/** Series that are put together point by point; two with the same labels are one. */
class Results {
  readonly #points: number
  readonly #byKey = new Map<string, Series>()

  constructor(points: number) {
    this.#points = points
  }

  of(labels: Labels): Series {
    const key = labelsKey(labels)
    let found = this.#byKey.get(key)
    if (!found) {
      found = { labels, values: new Array<number | undefined>(this.#points).fill(undefined) }
      this.#byKey.set(key, found)
    }
    return found
  }

  all(): Series[] {
    return [...this.#byKey.values()]
  }
}

/** Each series of the "many" side with the one it matches, at each step. */
function matched(operation: Operation, left: readonly Series[], right: readonly Series[], points: number): Series[] {
  const { matching } = operation
  const swapped = matching.group?.side === 'right'
  const many = bySignature(matching, swapped ? right : left)
  const one = bySignature(matching, swapped ? left : right)
  const results = new Results(points)
  for (const [key, others] of one) {
    const members = many.get(key) ?? []
    for (let step = 0; step < points; step++) {
      const other = onlyPresent(others, step, swapped ? 'left' : 'right')
      if (other) matchStep(operation, members, other, step, results)
    }
  }
  return results.all()
}

function onlyPresent(series: readonly Series[], step: number, side: string): Series | undefined {
  let found: Series | undefined
  for (const item of series) {
    if (item.values[step] === undefined) continue
    if (found) {
      throw new QueryError(
        `found duplicate series on the ${side} hand-side;many-to-many matching not allowed: matching labels must be unique on one side`,
      )
    }
    found = item
  }
  return found
}

function matchStep(
  { op, bool, matching }: Operation,
  members: readonly Series[],
  other: Series,
  step: number,
  results: Results,
): void {
  const swapped = matching.group?.side === 'right'
  const b = other.values[step]!
  const seen = new Set<Series>()
  for (const member of members) {
    const a = member.values[step]
    if (a === undefined) continue
    if (!matching.group && seen.size > 0) {
      throw new QueryError(
        'multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)',
      )
    }
    const result = results.of(resultLabels(matching, member.labels, other.labels))
    if (seen.has(result))
      throw new QueryError('multiple matches for labels: grouping labels must ensure unique matches')
    seen.add(result)
    const value = swapped ? point(op as NumberOperator, bool, b, a, b) : point(op as NumberOperator, bool, a, b, a)
    if (value !== undefined) result.values[step] = value
  }
}

function resultLabels(matching: Matching, many: Labels, one: Labels): Labels {
  const { group } = matching
  if (!group) {
    if (!matching.on && matching.labels.length === 0) return many
    const names = new Set(matching.labels)
    return filterLabels(many, (name) => names.has(name) === matching.on)
  }
  const labels = new Map(many)
  for (const name of group.include) {
    const value = one.get(name)
    if (value === undefined || value === '') labels.delete(name)
    else labels.set(name, value)
  }
  return new Map([...labels].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
}

/** `and`, `or` and `unless`: which points are there, not what they are. */
function combined(
  op: BinaryOperator,
  matching: Matching,
  left: readonly Series[],
  right: readonly Series[],
  points: number,
): Series[] {
  const results = new Results(points)
  const presence = (series: readonly Series[]): Map<string, Uint8Array> => {
    const found = new Map<string, Uint8Array>()
    for (const [key, members] of bySignature(matching, series)) {
      const present = new Uint8Array(points)
      for (const { values } of members) for (let i = 0; i < points; i++) if (values[i] !== undefined) present[i] = 1
      found.set(key, present)
    }
    return found
  }
  const add = (series: readonly Series[], keeps: (key: string, step: number) => boolean) => {
    for (const { labels, values } of series) {
      const key = signature(matching, labels)
      const result = results.of(labels)
      for (const [step, value] of values.entries())
        if (value !== undefined && keeps(key, step)) result.values[step] ??= value
    }
  }
  const rights = presence(right)
  const ofRight = (key: string, step: number) => rights.get(key)?.[step] === 1
  if (op === 'and') add(left, ofRight)
  else if (op === 'unless') add(left, (key, step) => !ofRight(key, step))
  else {
    const lefts = presence(left)
    add(left, () => true)
    add(right, (key, step) => lefts.get(key)?.[step] !== 1)
  }
  return results.all()
}
