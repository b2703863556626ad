/**
 * LogQL over an array of entries, for tests: the plainest evaluation that can be written, sharing no code with the real one beyond the
 * syntax tree.
 */
import type {
  BinaryOperation,
  Expression,
  LabelFilter,
  LogExpression,
  Matcher,
  RangeAggregation,
  Stage,
  VectorAggregation,
} from '../logql/ast.ts'

export interface StoredEntry {
  /** Nanoseconds. */
  readonly time: bigint
  readonly stream: Readonly<Record<string, string>>
  readonly level: string
  readonly meta: Readonly<Record<string, string>>
  readonly line: string
  /** 32 hexadecimal digits. */
  readonly source: string
  readonly offset: number
}

type Pairs = Record<string, string>

export interface Found {
  readonly entry: StoredEntry
  readonly stream: Pairs
  readonly metadata: Pairs
}

function matches({ op, value }: Matcher, actual: string, dotAll: boolean): boolean {
  if (op === '=') return actual === value
  if (op === '!=') return actual !== value
  return new RegExp(`^(?:${value})$`, dotAll ? 'su' : 'u').test(actual) === (op === '=~')
}

function accepts(filter: LabelFilter, label: (name: string) => string): boolean {
  if (filter.kind === 'and') return accepts(filter.left, label) && accepts(filter.right, label)
  if (filter.kind === 'or') return accepts(filter.left, label) || accepts(filter.right, label)
  if (filter.kind === 'string') return matches(filter.matcher, label(filter.matcher.name), false)
  throw new Error(`not in the oracle: ${filter.kind}`)
}

function lineAccepts(stage: Extract<Stage, { kind: 'line' }>, line: string): boolean {
  const found = stage.alternatives.some(({ value }) =>
    stage.op === '|=' || stage.op === '!=' ? line.includes(value) : new RegExp(value, 'u').test(line),
  )
  return found === (stage.op === '|=' || stage.op === '|~')
}

/** The entry with the labels that its pipeline leaves; undefined when it is filtered. */
function pass(log: LogExpression, entry: StoredEntry): Found | undefined {
  const stream: Pairs = { ...entry.stream }
  if (!log.matchers.every((matcher) => matches(matcher, stream[matcher.name] ?? '', true))) return undefined
  const all: Pairs = { ...entry.meta, ...(entry.level && { detected_level: entry.level }) }
  const metadata: Pairs = {}
  for (const [name, value] of Object.entries(all)) if (!(name in stream)) metadata[name] = value
  for (const [name, value] of Object.entries(all)) {
    const shown = `${name}_extracted`
    if (name in stream && !(shown in stream) && !(shown in metadata)) metadata[shown] = value
  }
  for (const stage of log.stages) {
    if (stage.kind === 'line' && !lineAccepts(stage, entry.line)) return undefined
    if (stage.kind === 'label' && !accepts(stage.filter, (name) => stream[name] ?? metadata[name] ?? ''))
      return undefined
    if (stage.kind !== 'drop') continue
    for (const { name, matcher } of stage.choices)
      for (const labels of [stream, metadata])
        if (name in labels && (!matcher || matches(matcher, labels[name]!, true))) delete labels[name]
  }
  return { entry, stream, metadata }
}

const compareEntries = (a: StoredEntry, b: StoredEntry): number =>
  a.time !== b.time
    ? a.time < b.time
      ? -1
      : 1
    : a.source !== b.source
      ? a.source < b.source
        ? -1
        : 1
      : a.offset - b.offset

export interface LogQuestion {
  readonly start: bigint
  readonly end: bigint
  readonly limit: number
  readonly direction: 'forward' | 'backward'
  readonly interval: bigint
}

export function findEntries(entries: readonly StoredEntry[], log: LogExpression, question: LogQuestion): Found[] {
  const sorted = entries.filter(({ time }) => time >= question.start && time < question.end).sort(compareEntries)
  if (question.direction === 'backward') sorted.reverse()
  const found: Found[] = []
  for (const entry of sorted) {
    const last = found.at(-1)?.entry.time
    const distance = last === undefined ? undefined : entry.time > last ? entry.time - last : last - entry.time
    if (found.length === question.limit || (distance !== undefined && distance < question.interval)) continue
    const passed = pass(log, entry)
    if (passed) found.push(passed)
  }
  return found
}

interface Sample {
  readonly labels: Pairs
  readonly value: number
}

const keyOf = (labels: Pairs): string => JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))

/** The samples at one time; a number without labels for a literal. */
export function evaluateAt(entries: readonly StoredEntry[], expression: Expression, time: bigint): Sample[] | number {
  switch (expression.kind) {
    case 'literal':
      return expression.value
    case 'vector':
      return [{ labels: {}, value: expression.value }]
    case 'range':
      return rangeAt(entries, expression, time)
    case 'vector aggregation':
      return aggregateAt(entries, expression, time)
    case 'binary':
      return binaryAt(entries, expression, time)
    default:
      throw new Error(`not in the oracle: ${expression.kind}`)
  }
}

function rangeAt(entries: readonly StoredEntry[], range: RangeAggregation, time: bigint): Sample[] {
  const end = time - range.offset
  const groups = new Map<string, { labels: Pairs; count: number; bytes: number }>()
  for (const entry of entries) {
    if (entry.time <= end - range.range || entry.time > end) continue
    const passed = pass(range.log, entry)
    if (!passed) continue
    const labels = { ...passed.metadata, ...passed.stream }
    const group = groups.get(keyOf(labels)) ?? { labels, count: 0, bytes: 0 }
    groups.set(keyOf(labels), group)
    group.count++
    group.bytes += Buffer.byteLength(entry.line)
  }
  const divisor = range.op === 'rate' || range.op === 'bytes_rate' ? Number(range.range) / 1e9 : 1
  const ofBytes = range.op.startsWith('bytes')
  return [...groups.values()].map(({ labels, count, bytes }) => ({
    labels,
    value: (ofBytes ? bytes : count) / divisor,
  }))
}

function aggregateAt(entries: readonly StoredEntry[], aggregation: VectorAggregation, time: bigint): Sample[] {
  const inner = evaluateAt(entries, aggregation.inner, time)
  const samples = typeof inner === 'number' ? [{ labels: {}, value: inner }] : inner
  const groups = new Map<string, { labels: Pairs; values: number[] }>()
  const { without, labels: names } = aggregation.grouping ?? { without: false, labels: [] }
  for (const sample of samples) {
    const labels = Object.fromEntries(
      Object.entries(sample.labels).filter(([name, value]) =>
        without ? !names.includes(name) && value !== '' : names.includes(name),
      ),
    )
    const group = groups.get(keyOf(labels)) ?? { labels, values: [] }
    groups.set(keyOf(labels), group)
    group.values.push(sample.value)
  }
  return [...groups.values()].map(({ labels, values }) => {
    const sum = values.reduce((a, b) => a + b, 0)
    const results: Record<string, number> = {
      sum,
      avg: sum / values.length,
      count: values.length,
      min: Math.min(...values),
      max: Math.max(...values),
    }
    return { labels, value: results[aggregation.op]! }
  })
}

const operators: Record<string, (a: number, b: number) => number | boolean> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => (b === 0 ? Number.NaN : a / b),
  '%': (a, b) => a % b,
  '^': (a, b) => a ** b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
}

function binaryAt(entries: readonly StoredEntry[], operation: BinaryOperation, time: bigint): Sample[] | number {
  const left = evaluateAt(entries, operation.left, time)
  const right = evaluateAt(entries, operation.right, time)
  const apply = operators[operation.op]!
  if (typeof left === 'number' && typeof right === 'number') return Number(apply(left, right))
  const pairs: { labels: Pairs; a: number; b: number; kept: number }[] = []
  if (typeof left === 'number') {
    for (const { labels, value } of right as Sample[]) pairs.push({ labels, a: left, b: value, kept: value })
  } else {
    for (const { labels, value } of left) {
      const b = typeof right === 'number' ? right : right.find((other) => keyOf(other.labels) === keyOf(labels))?.value
      if (b !== undefined) pairs.push({ labels, a: value, b, kept: value })
    }
  }
  return pairs.flatMap(({ labels, a, b, kept }) => {
    const result = apply(a, b)
    if (typeof result === 'number') return [{ labels, value: result }]
    if (operation.bool) return [{ labels, value: Number(result) }]
    return result ? [{ labels, value: kept }] : []
  })
}
