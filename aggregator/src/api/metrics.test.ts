/**
 * Metric queries of any shape, over leaves that the store counts and leaves that are parsed here: aggregations, operations between series that
 * match, and all range functions give what a plain evaluation gives, or are refused where it is.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Expression } from '../logql/ast.ts'
import { print } from '../logql/print.ts'
import { type Fixture, openFixture } from './fixture.ts'
import type { StoredEntry } from './oracle.ts'
import { samplesAt } from './pipeline-oracle.ts'
import { keyOf, type Leaf, Refusal, samplesOf, valueAt } from './vector-oracle.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
  await fixture.insert(datasets.flat())
})
afterAll(() => fixture?.[Symbol.asyncDispose]())

const origin = 1_700_006_400_000_000_000n
const second = 1_000_000_000n
const at = { line: 1, column: 1 }
const just = fc.constant

/** Values are small whole numbers, so that comparisons and ranks don't hang on the last digit of a sum. */
const line = fc
  .record({ status: fc.integer({ min: 0, max: 4 }), y: fc.constantFrom('a', 'b') })
  .chain(({ status, y }) => fc.constantFrom(`{"status":${status},"y":"${y}"}`, `status=${status} y=${y}`, `err ${y}`))
const dataset = (run: string) =>
  fc
    .array(
      fc.record({
        app: fc.constantFrom('web', 'db'),
        pod: fc.constantFrom('p0', 'p1', 'p2'),
        level: fc.constantFrom('', 'info', 'error'),
        line,
      }),
      { minLength: 60, maxLength: 90 },
    )
    .map((items): StoredEntry[] =>
      items.map(({ app, pod, level, line: text }, i) => ({
        time: origin + (BigInt(i) * second * 2n) / 3n,
        stream: { app, pod, run },
        level,
        meta: pod === 'p2' ? { zone: 'z' } : {},
        line: text,
        source: 'ab'.repeat(16),
        offset: i,
      })),
    )
const datasets = Array.from({ length: 6 }, (_, i) => fc.sample(dataset(`m${i}`), { numRuns: 1, seed: 700 + i })[0]!)

const names = ['app', 'pod', 'zone', 'y', 'run', 'detected_level', 'none']
const name = fc.constantFrom(...names)
const matcher = fc.record({
  name,
  op: fc.constantFrom('=', '!='),
  value: fc.constantFrom('web', 'p1', 'a', 'z', 'error', ''),
})
const filter = matcher.map((item) => ({ kind: 'label', filter: { kind: 'string', matcher: item, at }, at }))
const contains = fc.constantFrom('err', '=', '"y"', 'a').map((value) => ({
  kind: 'line',
  op: '|=',
  alternatives: [{ value, ip: false }],
  at,
}))
const noErrors = {
  kind: 'label',
  filter: { kind: 'string', matcher: { name: '__error__', op: '=', value: '' }, at },
  at,
}
const json = { kind: 'json', extractions: [], at }
const logfmt = { kind: 'logfmt', strict: false, keepEmpty: false, extractions: [], at }
const optional = <T>(value: fc.Arbitrary<T>) => fc.array(value, { maxLength: 1 })
const log = (run: string, stages: fc.Arbitrary<unknown[]>) =>
  fc.record({
    kind: just('log'),
    matchers: optional(
      fc.record({ name: fc.constantFrom('app', 'pod'), op: just('='), value: fc.constantFrom('web', 'p1') }),
    ).map((more) => [{ name: 'run', op: '=', value: run }, ...more]),
    stages,
    at: just(at),
  })
const stored = fc.tuple(optional(contains), optional(filter)).map((list) => list.flat())
const parsed = fc
  .tuple(optional(contains), fc.constantFrom(json, logfmt), just(noErrors), optional(filter))
  .map((list) => list.flat())

const common = {
  kind: just('range'),
  range: fc.constantFrom(3n, 7n, 20n).map((value) => value * second),
  offset: fc.constantFrom(0n, 0n, 4n * second, -3n * second),
  at: just(at),
}
const grouping = fc.record({ without: fc.boolean(), labels: fc.uniqueArray(name, { maxLength: 2 }) })
const counts = ['count_over_time', 'bytes_over_time', 'rate', 'bytes_rate', 'absent_over_time'] as const
const ofValues = ['sum_over_time', 'min_over_time', 'max_over_time', 'first_over_time', 'last_over_time'] as const
const others = ['avg_over_time', 'stddev_over_time', 'stdvar_over_time', 'quantile_over_time', 'rate_counter'] as const

const counted = (run: string, op: (typeof counts)[number], stages = fc.oneof(stored, parsed)) =>
  fc.record({ ...common, op: just(op), log: log(run, stages) })

function valued(run: string, op: (typeof ofValues | typeof others)[number]) {
  const grouped = op !== 'sum_over_time' && op !== 'rate_counter'
  return fc
    .record({
      ...common,
      op: just(op),
      log: log(run, parsed),
      unwrap: just({ label: 'status', filters: [], at }),
      by: grouped ? optional(grouping) : just([]),
      ...(op === 'quantile_over_time' && { parameter: fc.constantFrom(0, 0.3, 0.9, 1) }),
    })
    .map(withGrouping)
}

const withGrouping = <T extends { by: readonly unknown[] }>({ by, ...rest }: T) => ({
  ...rest,
  ...(by[0] !== undefined && { grouping: by[0] }),
})

/** Leaves with whole numbers. */
const whole = (run: string) =>
  fc.oneof(counted(run, 'count_over_time'), counted(run, 'bytes_over_time'), ...ofValues.map((op) => valued(run, op)))
const any = (run: string) => fc.oneof(whole(run), counted(run, 'rate'), ...others.map((op) => valued(run, op)))

const aggregation = (ops: readonly string[], inner: fc.Arbitrary<unknown>) =>
  fc
    .record({
      kind: just('vector aggregation'),
      op: fc.constantFrom(...ops),
      by: optional(grouping),
      inner,
      at: just(at),
    })
    .map(withGrouping)
const ranked = (op: string, inner: fc.Arbitrary<unknown>) =>
  fc
    .record({
      kind: just('vector aggregation'),
      op: just(op),
      parameter: fc.constantFrom(1, 2, 5),
      by: optional(grouping),
      inner,
      at: just(at),
    })
    .map(withGrouping)

const arithmetic = ['+', '-', '*', '/', '%', '^']
const comparisons = ['==', '!=', '>', '>=', '<', '<=']
const sets = ['and', 'or', 'unless']
const operators = fc.constantFrom(...arithmetic, ...comparisons)
const number = fc.record({ kind: just('literal'), value: fc.constantFrom(0, 1, 2, -0.5), at: just(at) })
/** Arithmetic has no `bool`. */
const plainly = <T extends { op: string; bool: boolean }>(item: T): T =>
  comparisons.includes(item.op) ? item : { ...item, bool: false }

const matching = fc.constantFrom(
  ...[
    undefined,
    undefined,
    { on: true, labels: ['app'] },
    { on: true, labels: ['app', 'pod'] },
    { on: true, labels: [] },
  ],
  ...[
    { on: false, labels: ['pod'] },
    { on: false, labels: ['pod', 'detected_level', 'zone'] },
  ],
)
/** Leaves that find most of what there is, so that both sides of an operation do. */
const dense = (run: string) =>
  fc
    .oneof(counted(run, 'count_over_time', just([])), valued(run, 'sum_over_time'), valued(run, 'max_over_time'))
    .map(({ log: { stages, ...rest }, ...leaf }) => ({
      ...leaf,
      log: { ...rest, matchers: rest.matchers.slice(0, 1), stages: stages.length > 0 ? [json, noErrors] : [] },
      range: 20n * second,
      offset: 0n,
    }))
const grouped = (run: string, names: readonly string[]) => {
  const by = (inner: fc.Arbitrary<unknown>) =>
    fc.record({
      kind: just('vector aggregation'),
      op: fc.constantFrom('sum', 'max', 'count'),
      grouping: just({ without: false, labels: names }),
      inner,
      at: just(at),
    })
  return fc.oneof(
    { weight: 4, arbitrary: by(dense(run)) },
    { weight: 1, arbitrary: by(whole(run)) },
    { weight: 1, arbitrary: whole(run) },
  )
}
const between = (run: string, op: fc.Arbitrary<string>) =>
  fc
    .record({
      kind: just('binary'),
      left: grouped(run, ['app', 'pod']),
      right: grouped(run, ['app', 'pod']),
      op,
      bool: fc.boolean(),
      matching,
      at: just(at),
    })
    .map(({ matching: matched, ...rest }) => plainly({ ...rest, ...(matched && { matching: matched }) }))
const manyToOne = (run: string, side: 'left' | 'right') =>
  fc
    .record({ many: grouped(run, ['app', 'pod']), one: grouped(run, ['app']), op: operators, bool: fc.boolean() })
    .chain(({ many, one, ...rest }) =>
      fc
        .record({
          matching: fc.constantFrom({ on: true, labels: ['app'] }, { on: false, labels: ['pod'] }),
          include: fc.constantFrom([], ['zone'], ['run', 'none']),
        })
        .map(({ matching: matched, include }) =>
          plainly({
            kind: 'binary',
            ...rest,
            ...(side === 'left' ? { left: many, right: one } : { left: one, right: many }),
            matching: matched,
            group: { side, include },
            at,
          }),
        ),
    )
const withNumber = (run: string) =>
  fc
    .record({ op: operators, vector: whole(run), literal: number, bool: fc.boolean(), first: fc.boolean() })
    .map(({ vector, literal, first, ...rest }) =>
      plainly({
        kind: 'binary',
        ...rest,
        ...(first ? { left: literal, right: vector } : { left: vector, right: literal }),
        at,
      }),
    )
const replaced = (run: string) =>
  fc.record({
    kind: just('label_replace'),
    inner: whole(run),
    destination: fc.constantFrom('zone', 'new', 'pod'),
    replacement: fc.constantFrom('$1', 'x-$1', ''),
    source: fc.constantFrom('pod', 'app', 'none'),
    pattern: fc.constantFrom('p(.*)', '(w.b|.*)', 'nothing'),
    at: just(at),
  })
/** Operations within aggregations within operations. */
const nested = (run: string) => {
  const over = (ops: readonly string[], inner: fc.Arbitrary<unknown>) =>
    fc.record({ kind: just('vector aggregation'), op: fc.constantFrom(...ops), inner, at: just(at) })
  return fc.record({
    kind: just('binary'),
    // A remainder jumps where the last digit of a sum differs.
    op: fc.constantFrom(...arithmetic.filter((op) => op !== '%')),
    bool: just(false),
    left: over(['sum', 'avg', 'count'], between(run, fc.constantFrom(...sets))),
    right: over(['sum', 'max'], fc.oneof(ranked('topk', dense(run)), withNumber(run))),
    at: just(at),
  })
}

type Shape = (run: string) => fc.Arbitrary<unknown>
const shapes: [name: string, shape: Shape, runs?: number][] = [
  ...counts.map((op): [string, Shape] => [`${op} of what the store counts`, (run) => counted(run, op, stored)]),
  ...counts.map((op): [string, Shape] => [`${op} of what is parsed`, (run) => counted(run, op, parsed)]),
  ...[...ofValues, ...others].map((op): [string, Shape] => [op, (run) => valued(run, op)]),
  ...['sum', 'min', 'max', 'count'].map((op): [string, Shape] => [op, (run) => aggregation([op], any(run))]),
  ...['avg', 'stddev', 'stdvar'].map((op): [string, Shape] => [op, (run) => aggregation([op], whole(run))]),
  ...['topk', 'bottomk'].map((op): [string, Shape] => [op, (run) => ranked(op, whole(run))]),
  ['arithmetic', (run) => between(run, fc.constantFrom(...arithmetic)), 24],
  ['comparisons', (run) => between(run, fc.constantFrom(...comparisons)), 24],
  ...sets.map((op): [string, Shape] => [op, (run) => between(run, just(op))]),
  ['group_left', (run) => manyToOne(run, 'left')],
  ['group_right', (run) => manyToOne(run, 'right')],
  ['series and numbers', withNumber],
  ['label_replace', replaced],
  ['operations within aggregations', nested],
]

interface Answer {
  readonly status: number
  readonly text: string
  readonly values: ReadonlyMap<string, number>
}

async function ask(query: string, path: string, parameters: Record<string, string>): Promise<Answer> {
  const response = await fetch(`${fixture.url}/loki/api/v1/${path}?${new URLSearchParams({ query, ...parameters })}`)
  const text = await response.text()
  if (response.status !== 200) return { status: response.status, text, values: new Map() }
  const { result } = JSON.parse(text).data as {
    result: { metric: Record<string, string>; value?: [number, string]; values?: [number, string][] }[]
  }
  const values = result.flatMap(({ metric, value, values: all }) =>
    (all ?? [value!]).map(
      ([time, number]) => [`${time} ${keyOf(metric)}`, Number(number.replace('Inf', 'Infinity'))] as const,
    ),
  )
  return { status: 200, text, values: new Map(values) }
}

/** By time and labels. Undefined where two series would be one, of which Loki says nothing. */
function expected(entries: readonly StoredEntry[], expression: Expression, times: readonly bigint[]) {
  const leaf: Leaf = (range, time) =>
    [...samplesAt(entries, range, time)].map(([key, value]) => ({ labels: Object.fromEntries(JSON.parse(key)), value }))
  const values = new Map<string, number>()
  for (const time of times) {
    for (const { labels: found, value } of samplesOf(valueAt(expression, time, leaf))) {
      const key = `${Number(time) / 1e9} ${keyOf(found)}`
      if (values.has(key)) return undefined
      values.set(key, value)
    }
  }
  return values
}

const refusals = /found duplicate series|multiple matches for labels|the same labelset/
let refused = 0

test.for(shapes)(
  '%s: what a plain evaluation gives at every step',
  { timeout: 120_000 },
  async ([, shape, runs = 12]) => {
    let found = 0
    const question = fc.integer({ min: 0, max: datasets.length - 1 }).chain((i) =>
      fc.record({
        i: just(i),
        expression: shape(`m${i}`) as fc.Arbitrary<Expression>,
        step: fc.constantFrom(3n, 10n, 25n),
        points: fc.constantFrom(1, 4, 7),
      }),
    )
    const answered = fc.asyncProperty(question, async ({ i, expression, step, points }) => {
      const query = print(expression)
      const times = Array.from({ length: points }, (_, k) => origin + BigInt(k) * step * second + 2n * second)
      const answer =
        points === 1
          ? await ask(query, 'query', { time: String(times[0]) })
          : await ask(query, 'query_range', {
              start: String(times[0]),
              end: String(times.at(-1)),
              step: String(step),
            })
      let wanted: ReadonlyMap<string, number> | undefined
      try {
        wanted = expected(datasets[i]!, expression, times)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        // Which of two reasons comes first depends on the order in which steps and labels are looked at.
        expect([answer.status, answer.text], query).toEqual([400, expect.stringMatching(refusals)])
        refused++
        return
      }
      if (wanted === undefined) return
      expect(answer.status, `${query}: ${answer.text}`).toBe(200)
      expect([...answer.values.keys()].sort(), query).toEqual([...wanted.keys()].sort())
      for (const [key, value] of wanted) expectClose(answer.values.get(key)!, value, `${query} at ${key}`)
      if (wanted.size > 0) found++
    })
    // By chance a dozen of them may all find nothing.
    for (let round = 0; found === 0 && round < 10; round++) await fc.assert(answered, { numRuns: runs })
    expect(found, 'no query found anything').toBeGreaterThan(0)
  },
)

afterAll(() => expect(refused, 'no query was refused').toBeGreaterThan(0))

/** Sums are taken in another order, so that their last digits may differ. */
function expectClose(actual: number, wanted: number, text: string): void {
  if (Number.isNaN(wanted) || !Number.isFinite(wanted)) expect(actual, text).toBe(wanted)
  else
    expect(Math.abs(actual - wanted), `${text}: ${actual} is not ${wanted}`).toBeLessThanOrEqual(
      1e-9 * Math.max(1, Math.abs(wanted)),
    )
}
