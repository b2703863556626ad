/** What stages make of an entry, written down as plainly as can be: for tests to compare with. */
import type { LabelFilter, LogExpression, RangeAggregation, Stage } from '../logql/ast.ts'
import type { StoredEntry } from './oracle.ts'

type Pairs = Record<string, string>

/** An entry that came through, and all of its labels. */
export interface Passed {
  readonly time: bigint
  readonly line: string
  readonly labels: Pairs
}

class State {
  line: string
  error = ''
  readonly stream: Pairs
  readonly meta: Pairs = {}
  readonly parsed: Pairs = {}
  readonly gone = new Set<string>()
  readonly once = new Set<string>()

  constructor(entry: StoredEntry) {
    this.line = entry.line
    this.stream = entry.stream
    const all: Pairs = { ...entry.meta, ...(entry.level !== '' && { detected_level: entry.level }) }
    for (const [name, value] of Object.entries(all)) this.meta[name in this.stream ? `${name}_extracted` : name] = value
  }

  get(name: string): string | undefined {
    if (name in this.parsed) return this.parsed[name]
    return this.gone.has(name) ? undefined : (this.meta[name] ?? this.stream[name])
  }

  set(name: string, value: string): void {
    this.parsed[name] = value
    this.once.add(name)
  }

  parse(name: string, value: string): void {
    const inMeta = name in this.meta && !this.gone.has(name) && !(name in this.parsed)
    const free = name in this.stream || inMeta ? `${name}_extracted` : name
    if (!this.once.has(free)) this.set(free, value)
  }

  remove(name: string): void {
    delete this.parsed[name]
    this.gone.add(name)
  }

  labels(): Pairs {
    const names = [...Object.keys(this.stream), ...Object.keys(this.meta), ...Object.keys(this.parsed)]
    const pairs = names.flatMap((name) => (this.get(name) === undefined ? [] : [[name, this.get(name)!]]))
    return { ...Object.fromEntries(pairs), ...(this.error !== '' && { __error__: this.error }) }
  }
}

const matches = ({ op, value }: { op: string; value: string }, text: string, dotAll: boolean): boolean => {
  if (op === '=' || op === '!=') return (text === value) === (op === '=')
  return new RegExp(`^(?:${value})$`, dotAll ? 'su' : 'u').test(text) === (op === '=~')
}

function accepts(state: State, filter: LabelFilter): boolean {
  if (filter.kind === 'or') return accepts(state, filter.left) || accepts(state, filter.right)
  if (filter.kind === 'and') {
    const left = accepts(state, filter.left)
    return accepts(state, filter.right) && left
  }
  if (filter.kind === 'string') {
    const { matcher } = filter
    return matches(matcher, matcher.name === '__error__' ? state.error : (state.get(matcher.name) ?? ''), false)
  }
  if (filter.kind !== 'number') throw new Error(`not in the oracle: ${filter.kind}`)
  const text = state.get(filter.name)
  if (text === undefined) return false
  if (!/^-?\d+(\.\d+)?$/.test(text)) {
    if (state.error === '') state.error = 'LabelFilterErr'
    return true
  }
  const [a, b] = [Number(text), filter.value]
  return { '=': a === b, '!=': a !== b, '>': a > b, '>=': a >= b, '<': a < b, '<=': a <= b }[filter.op]
}

function flatten(state: State, value: Record<string, unknown>, prefix: string): void {
  for (const [key, item] of Object.entries(value)) {
    const name = prefix + key.replace(/\W/g, '_')
    if (item !== null && typeof item === 'object' && !Array.isArray(item))
      flatten(state, item as Record<string, unknown>, `${name}_`)
    else if (item !== null && typeof item !== 'object') state.parse(name, String(item))
  }
}

const fill = (state: State, template: string): string =>
  template.replace(/\{\{\.(\w+)\}\}/g, (_, name: string) =>
    name === '__error__' ? state.error : (state.get(name) ?? ''),
  )

/** Returns whether the entry stays. */
function apply(state: State, stage: Stage): boolean {
  switch (stage.kind) {
    case 'line': {
      const contains = stage.op === '|=' || stage.op === '!='
      const found = stage.alternatives.some(({ value }) =>
        contains ? state.line.includes(value) : new RegExp(value, 'u').test(state.line),
      )
      return found === stage.op.startsWith('|')
    }
    case 'label':
      return accepts(state, stage.filter)
    case 'json': {
      if (!state.line.startsWith('{')) state.error = 'JSONParserErr'
      else flatten(state, JSON.parse(state.line), '')
      return true
    }
    case 'logfmt':
      if (/^[a-z]/.test(state.line))
        for (const [, key, quoted, plain] of state.line.matchAll(/(?<=^| )([a-z]+)=(?:"([^"]*)"|([^ "=]*))(?= |$)/g))
          if ((quoted ?? plain) !== '') state.parse(key!, (quoted ?? plain)!)
      return true
    case 'line_format':
      state.line = fill(state, stage.template)
      return true
    case 'label_format': {
      const before = new Map<string, string>()
      for (const item of stage.assignments) {
        if ('from' in item) {
          const value = state.get(item.from)
          if (value === undefined) continue
          state.set(item.name, value)
          state.remove(item.from)
        } else {
          // All templates see what the first one saw.
          if (before.size === 0)
            for (const other of stage.assignments)
              if ('template' in other) before.set(other.name, fill(state, other.template))
          state.set(item.name, before.get(item.name)!)
        }
      }
      return true
    }
    case 'drop':
      for (const { name, matcher } of stage.choices) {
        const value = name === '__error__' ? state.error : (state.get(name) ?? '')
        if (matcher && !matches(matcher, value, true)) continue
        if (name === '__error__') state.error = ''
        else state.remove(name)
      }
      return true
    case 'keep':
      for (const name of Object.keys(state.labels())) {
        const kept = stage.choices.some(
          (choice) => choice.name === name && (!choice.matcher || matches(choice.matcher, state.get(name)!, true)),
        )
        if (!kept && name !== '__error__') state.remove(name)
      }
      return true
    default:
      throw new Error(`not in the oracle: ${stage.kind}`)
  }
}

function run(log: LogExpression, entry: StoredEntry): State | undefined {
  if (!log.matchers.every((matcher) => matches(matcher, entry.stream[matcher.name] ?? '', true))) return undefined
  const state = new State(entry)
  return log.stages.every((stage) => apply(state, stage)) ? state : undefined
}

/** Entries in the order of time, which no two of them share. */
export function passedEntries(entries: readonly StoredEntry[], log: LogExpression): Passed[] {
  return entries
    .toSorted((a, b) => (a.time < b.time ? -1 : 1))
    .flatMap((entry) => {
      const state = run(log, entry)
      return state ? [{ time: entry.time, line: state.line, labels: state.labels() }] : []
    })
}

const quantile = (q: number, values: number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const rank = q * (sorted.length - 1)
  const low = Math.floor(rank)
  return sorted[low]! + (sorted[Math.min(low + 1, sorted.length - 1)]! - sorted[low]!) * (rank - low)
}

/** Prometheus' rate of a counter. @param times of the values, seconds behind the begin of the window, which is `seconds` long */
function counterRate(values: number[], times: number[], seconds: number): number {
  if (values.length < 2) return 0
  const resets = values.map((value, i) => (i > 0 && value < values[i - 1]! ? values[i - 1]! : 0))
  const increase = values.at(-1)! - values[0]! + resets.reduce((a, b) => a + b, 0)
  const sampled = times.at(-1)! - times[0]!
  const between = sampled / (values.length - 1)
  const beyond = (gap: number): number => (gap >= between * 1.1 ? between / 2 : gap)
  const toZero = increase > 0 && values[0]! >= 0 ? sampled * (values[0]! / increase) : Number.POSITIVE_INFINITY
  const length = sampled + Math.min(beyond(times[0]!), toZero) + beyond(seconds - times.at(-1)!)
  return (increase * (length / sampled)) / seconds
}

/** The samples at one time, by the JSON of their sorted labels. The query lets no errors through. */
export function samplesAt(entries: readonly StoredEntry[], range: RangeAggregation, time: bigint): Map<string, number> {
  const groups = new Map<string, { values: number[]; times: number[]; bytes: number }>()
  const end = time - range.offset
  for (const entry of entries.toSorted((a, b) => (a.time < b.time ? -1 : 1))) {
    if (entry.time <= end - range.range || entry.time > end) continue
    const state = run(range.log, entry)
    if (!state) continue
    const text = range.unwrap ? state.get(range.unwrap.label) : '1'
    if (text === undefined || text === '') continue
    if (!/^-?\d+(\.\d+)?$/.test(text)) continue
    const labels = Object.entries(state.labels()).filter(([name]) =>
      range.grouping && !range.grouping.without
        ? range.grouping.labels.includes(name)
        : name !== range.unwrap?.label && !range.grouping?.labels.includes(name),
    )
    const key = JSON.stringify(labels.sort(([a], [b]) => (a < b ? -1 : 1)))
    const group = groups.get(key) ?? { values: [], times: [], bytes: 0 }
    groups.set(key, group)
    group.values.push(Number(text))
    group.times.push(Number(entry.time - (end - range.range)) / 1e9)
    group.bytes += Buffer.byteLength(state.line)
  }
  const seconds = Number(range.range) / 1e9
  if (range.op === 'absent_over_time') {
    const equal = range.log.matchers.filter(({ op, value }) => op === '=' && value !== '')
    const labels = equal.map(({ name, value }) => [name, value] as const).sort(([a], [b]) => (a < b ? -1 : 1))
    return new Map(groups.size === 0 ? [[JSON.stringify(labels), 1]] : [])
  }
  return new Map(
    [...groups].map(([key, { values, times, bytes }]) => {
      const sum = values.reduce((a, b) => a + b, 0)
      const mean = sum / values.length
      const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length
      const results: Record<string, number> = {
        count_over_time: values.length,
        rate: sum / seconds,
        bytes_over_time: bytes,
        bytes_rate: bytes / seconds,
        sum_over_time: sum,
        avg_over_time: mean,
        min_over_time: Math.min(...values),
        max_over_time: Math.max(...values),
        stdvar_over_time: variance,
        stddev_over_time: Math.sqrt(variance),
        first_over_time: values[0]!,
        last_over_time: values.at(-1)!,
        quantile_over_time: quantile(range.parameter ?? 0, values),
        rate_counter: counterRate(values, times, seconds),
      }
      return [key, results[range.op]!]
    }),
  )
}
