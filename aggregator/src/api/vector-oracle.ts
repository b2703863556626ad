/** Aggregations and operations on the samples of one time, written down as plainly as can be: for tests to compare with. */
import type { BinaryOperation, Expression, RangeAggregation, VectorAggregation } from '../logql/ast.ts'

type Pairs = Record<string, string>

export interface Sample {
  readonly labels: Pairs
  readonly value: number
}

/** What the query is refused with at this time. */
export class Refusal extends Error {}

export type Leaf = (range: RangeAggregation, time: bigint) => Sample[]

const pairsOf = (labels: Pairs): [string, string][] => Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))
export const keyOf = (labels: Pairs): string => JSON.stringify(pairsOf(labels))
const only = (labels: Pairs, keep: (name: string, value: string) => boolean): Pairs =>
  Object.fromEntries(Object.entries(labels).filter(([name, value]) => keep(name, value)))

/** A number stands for itself; where samples are needed it is one without labels. */
export function valueAt(expression: Expression, time: bigint, leaf: Leaf): Sample[] | number {
  switch (expression.kind) {
    case 'literal':
      return expression.value
    case 'vector':
      return [{ labels: {}, value: expression.value }]
    case 'range':
      return leaf(expression, time)
    case 'vector aggregation':
      return aggregated(expression, samplesOf(valueAt(expression.inner, time, leaf)))
    case 'binary':
      return operated(expression, valueAt(expression.left, time, leaf), valueAt(expression.right, time, leaf))
    case 'label_replace': {
      const { destination, inner, pattern, replacement, source } = expression
      const replaced = samplesOf(valueAt(inner, time, leaf)).map(({ labels, value }) => {
        const found = new RegExp(`^(?:${pattern})$`, 'su').exec(labels[source] ?? '')
        if (!found) return { labels, value }
        const text = replacement.replace(/\$(\d)/g, (_, n: string) => found[Number(n)] ?? '')
        return {
          labels: { ...only(labels, (name) => name !== destination), ...(text && { [destination]: text }) },
          value,
        }
      })
      if (new Set(replaced.map(({ labels }) => keyOf(labels))).size < replaced.length)
        throw new Refusal('vector cannot contain metrics with the same labelset')
      return replaced
    }
    case 'log':
      throw new TypeError('a log query has no value')
  }
}

export const samplesOf = (value: Sample[] | number): Sample[] =>
  typeof value === 'number' ? [{ labels: {}, value }] : value

function aggregated({ grouping, op, parameter }: VectorAggregation, samples: Sample[]): Sample[] {
  if (op === 'sort' || op === 'sort_desc') return samples
  const names = grouping?.labels ?? []
  const groups = Map.groupBy(samples, ({ labels }) =>
    keyOf(
      only(labels, (name, value) => (grouping?.without ? !names.includes(name) && value !== '' : names.includes(name))),
    ),
  )
  return [...groups].flatMap(([key, members]) => {
    const values = members.map(({ value }) => value)
    if (op === 'topk' || op === 'bottomk' || op === 'approx_topk') {
      const sign = op === 'bottomk' ? 1 : -1
      return members
        .toSorted(
          (a, b) =>
            Number(Number.isNaN(a.value)) - Number(Number.isNaN(b.value)) ||
            sign * (a.value - b.value) ||
            (isBefore(a.labels, b.labels) ? -1 : 1),
        )
        .slice(0, parameter)
    }
    // What is no number is less than none, and more: only where there is nothing else it is the least and the most.
    const numbers = values.every(Number.isNaN) ? values : values.filter((value) => !Number.isNaN(value))
    const sum = values.reduce((a, b) => a + b, 0)
    const mean = sum / values.length
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length
    const results = {
      sum,
      avg: mean,
      count: values.length,
      min: Math.min(...numbers),
      max: Math.max(...numbers),
      stdvar: variance,
      stddev: Math.sqrt(variance),
    }
    return [{ labels: Object.fromEntries(JSON.parse(key) as [string, string][]), value: results[op] }]
  })
}

/** The first pair that differs decides, then the number of pairs. */
function isBefore(a: Pairs, b: Pairs): boolean {
  const [left, right] = [pairsOf(a).flat(), pairsOf(b).flat()]
  const at = left.findIndex((text, i) => text !== right[i])
  return at === -1 ? left.length < right.length : right[at] === undefined ? false : left[at]! < right[at]!
}

const results: Record<string, (a: number, b: number) => number | boolean> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => (b === 0 ? Number.NaN : a / b),
  '%': (a, b) => a % b,
  '^': (a, b) => (a === 1 ? 1 : a ** b),
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
}

function operated(operation: BinaryOperation, left: Sample[] | number, right: Sample[] | number): Sample[] | number {
  const { bool, op } = operation
  /** At most one sample; where a comparison holds it is `kept`. */
  const one = (labels: Pairs, a: number, b: number, kept: number): Sample[] => {
    const result = results[op]!(a, b)
    if (typeof result === 'number') return [{ labels, value: result }]
    if (bool) return [{ labels, value: Number(result) }]
    return result ? [{ labels, value: kept }] : []
  }
  if (typeof left === 'number' && typeof right === 'number') return Number(results[op]!(left, right))
  if (typeof left === 'number') return samplesOf(right).flatMap(({ labels, value }) => one(labels, left, value, value))
  if (typeof right === 'number') return left.flatMap(({ labels, value }) => one(labels, value, right, value))
  return op === 'and' || op === 'or' || op === 'unless'
    ? ofSets(operation, left, right)
    : matched(operation, left, right, one)
}

const signatureOf = ({ matching }: BinaryOperation, { labels }: Sample): string =>
  keyOf(only(labels, (name) => (matching?.labels ?? []).includes(name) === (matching?.on ?? false)))

function ofSets(operation: BinaryOperation, left: Sample[], right: Sample[]): Sample[] {
  const within = (sample: Sample, others: Sample[]): boolean =>
    others.some((other) => signatureOf(operation, other) === signatureOf(operation, sample))
  if (operation.op === 'and') return left.filter((sample) => within(sample, right))
  if (operation.op === 'unless') return left.filter((sample) => !within(sample, right))
  return [...left, ...right.filter((sample) => !within(sample, left))]
}

function matched(
  operation: BinaryOperation,
  left: Sample[],
  right: Sample[],
  one: (labels: Pairs, a: number, b: number, kept: number) => Sample[],
): Sample[] {
  const { group, matching = { on: false, labels: [] } } = operation
  const swapped = group?.side === 'right'
  const [many, single] = swapped ? [right, left] : [left, right]
  const bySignature = new Map<string, Sample>()
  for (const sample of single) {
    const signature = signatureOf(operation, sample)
    if (bySignature.has(signature)) throw new Refusal('found duplicate series')
    bySignature.set(signature, sample)
  }
  const seen = new Set<string>()
  return many.flatMap((sample) => {
    const signature = signatureOf(operation, sample)
    const other = bySignature.get(signature)
    if (!other) return []
    const included = Object.fromEntries((group?.include ?? []).map((name) => [name, other.labels[name] ?? '']))
    const labels = group
      ? Object.fromEntries(Object.entries({ ...sample.labels, ...included }).filter(([, value]) => value !== ''))
      : matching.on || matching.labels.length > 0
        ? only(sample.labels, (name) => matching.labels.includes(name) === matching.on)
        : sample.labels
    const key = group ? `${signature} ${keyOf(labels)}` : signature
    if (seen.has(key)) throw new Refusal('multiple matches for labels')
    seen.add(key)
    return swapped
      ? one(labels, other.value, sample.value, other.value)
      : one(labels, sample.value, other.value, sample.value)
  })
}
