import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Expression, LogExpression } from '../logql/ast.ts'
import { print } from '../logql/print.ts'
import { type Fixture, openFixture } from './fixture.ts'
import { evaluateAt, type Found, findEntries, type StoredEntry } from './oracle.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
  await fixture.insert(datasets.flatMap(({ entries }) => entries))
})
afterAll(() => fixture?.[Symbol.asyncDispose]())

/** Midnight: partitions and five-minute buckets change here. */
const origin = 1_700_006_400_000_000_000n
const at = { line: 1, column: 1 }

/** What breaks statements that are put together from text, patterns of LIKE and of regular expressions, and the escapes between. */
const hostile = [
  "'",
  '"',
  '\\',
  '%',
  '_',
  '{x:String}',
  '--',
  '/*',
  '\n',
  '\t',
  "') OR 1=1 --",
  '\\n',
  '$',
  '`',
  'é',
  '{p0:String}',
]
const words = ['a', 'b', 'A', 'ab', 'error', 'line 7', ...hostile]
const labelNames = ['namespace', 'pod', 'app', 'x', 'stream', 'x_extracted']
const metaNames = ['pod_uid', 'x', 'namespace', 'trace', "we'ird", 'x_extracted']
const values = ['a', 'b', 'ab', 'a\nb', ...hostile]
const regexes = [
  'a',
  'a|b',
  '.*',
  '.+',
  'a.',
  'a.b',
  '.',
  '[ab]+',
  '\\\\',
  "'",
  '^a',
  'b$',
  'a?',
  '%',
  '_',
  '\\d',
  'a\\nb',
  '',
  '(?:)',
  '\\{x:String\\}',
]

const sometimes = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })
const record = (names: string[]) =>
  fc
    .record(Object.fromEntries(names.map((name) => [name, sometimes(fc.constantFrom(...values))])))
    .map(
      (pairs) =>
        Object.fromEntries(Object.entries(pairs).filter(([, value]) => value !== undefined)) as Record<string, string>,
    )

/** Times in which things happen: a dataset's unit decides whether it lies within a bucket or over days. */
const units = [1_000_000n, 1_000_000_000n, 60_000_000_000n, 7_200_000_000_000n]

interface Dataset {
  readonly run: string
  readonly unit: bigint
  readonly entries: readonly StoredEntry[]
}

const moment = fc.tuple(fc.integer({ min: -20, max: 20 }), fc.constantFrom(-1n, 0n, 0n, 0n, 1n))

const dataset = (run: string, unit: bigint): fc.Arbitrary<Dataset> =>
  fc
    .tuple(
      fc.array(record(labelNames), { minLength: 1, maxLength: 4 }),
      fc.array(record(metaNames), { minLength: 1, maxLength: 3 }),
    )
    .chain(([streams, metas]) =>
      fc.array(
        fc.record({
          moment,
          stream: fc.constantFrom(...streams),
          level: fc.constantFrom('', 'info', 'error'),
          meta: fc.constantFrom(...metas),
          line: fc.array(fc.constantFrom(...words), { maxLength: 4 }).map((list) => list.join('')),
          source: fc.constantFrom('0'.repeat(32), 'f'.repeat(32)),
        }),
        { minLength: 30, maxLength: 60 },
      ),
    )
    .map((items) => ({
      run,
      unit,
      entries: items.map(({ moment: [steps, nudge], stream, ...rest }, offset) => ({
        ...rest,
        time: origin + BigInt(steps) * unit + nudge,
        stream: { ...stream, run },
        offset,
      })),
    }))

const datasets: readonly Dataset[] = Array.from({ length: 16 }, (_, i) => {
  const [sample] = fc.sample(dataset(`r${i}`, units[i % units.length]!), { numRuns: 1, seed: 1000 + i })
  return sample!
})

const name = fc.constantFrom(
  ...labelNames,
  ...metaNames,
  'detected_level',
  'x_extracted',
  'pod_extracted',
  '__error__',
  'none',
)
const identifier = name.map((text) => text.replace("'", '_'))
const matcher = fc.oneof(
  fc.record({ name: identifier, op: fc.constantFrom('=', '!='), value: fc.constantFrom('', 'info', ...values) }),
  fc.record({ name: identifier, op: fc.constantFrom('=~', '!~'), value: fc.constantFrom(...regexes) }),
)
const { filter } = fc.letrec((tie) => ({
  filter: fc.oneof(
    { maxDepth: 2 },
    fc.record({ kind: fc.constant('string'), matcher, at: fc.constant(at) }),
    fc.record({ kind: fc.constantFrom('and', 'or'), left: tie('filter'), right: tie('filter'), at: fc.constant(at) }),
  ),
}))
const alternatives = (value: fc.Arbitrary<string>) =>
  fc.array(fc.record({ value, ip: fc.constant(false) }), { minLength: 1, maxLength: 2 })
const choice = fc.oneof(
  identifier.map((text) => ({ name: text })),
  matcher.map((item) => ({ name: item.name, matcher: item })),
)
/** A matcher in the last place, as a bare name there would take the operator of a line filter behind it. */
const choices = fc
  .tuple(fc.array(choice, { maxLength: 1 }), matcher)
  .map(([list, last]) => [...list, { name: last.name, matcher: last }])
const stage = fc.oneof(
  fc.record({
    kind: fc.constant('line'),
    op: fc.constantFrom('|=', '!='),
    alternatives: alternatives(fc.constantFrom('', ...words)),
    at: fc.constant(at),
  }),
  fc.record({
    kind: fc.constant('line'),
    op: fc.constantFrom('|~', '!~'),
    alternatives: alternatives(fc.constantFrom(...regexes)),
    at: fc.constant(at),
  }),
  fc.record({ kind: fc.constant('label'), filter, at: fc.constant(at) }),
  fc.record({
    kind: fc.constant('drop'),
    choices: fc.oneof(
      choices,
      fc.constant([{ name: '__error__', matcher: { name: '__error__', op: '=', value: '' } }]),
    ),
    at: fc.constant(at),
  }),
)
const anyDataset = fc.constantFrom(...datasets)
const log = (run: string) =>
  fc.record({
    kind: fc.constant('log'),
    matchers: fc.array(matcher, { maxLength: 2 }).map((list) => [{ name: 'run', op: '=', value: run }, ...list]),
    stages: fc.array(stage, { maxLength: 3 }),
    at: fc.constant(at),
  }) as unknown as fc.Arbitrary<LogExpression>

async function ask(path: string, parameters: Record<string, string>, headers: Record<string, string> = {}) {
  const response = await fetch(`${fixture.url}/loki/api/v1/${path}?${new URLSearchParams(parameters)}`, { headers })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`${response.status}: ${text}`)
  return JSON.parse(text)
}

const sorted = (labels: Record<string, string>) =>
  Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))
const labelText = (labels: Record<string, string>) =>
  `{${Object.entries(sorted(labels))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join(', ')}}`

function expectedStreams(found: readonly Found[], categorized: boolean) {
  const streams = new Map<string, { stream: Record<string, string>; values: unknown[] }>()
  for (const { entry, stream, metadata } of found) {
    const labels = sorted(categorized ? stream : { ...metadata, ...stream })
    const item = streams.get(labelText(labels)) ?? { stream: labels, values: [] }
    streams.set(labelText(labels), item)
    const structured = Object.keys(metadata).length > 0 ? { structuredMetadata: sorted(metadata) } : {}
    item.values.push([String(entry.time), entry.line, ...(categorized ? [structured] : [])])
  }
  return [...streams].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, item]) => item)
}

test('log queries give what a search through all entries gives', { timeout: 60_000 }, async () => {
  const reached = { none: 0, limited: 0, interval: 0, several: 0 }
  const question = anyDataset.chain((data) =>
    fc.record({
      data: fc.constant(data),
      log: log(data.run),
      start: moment,
      length: fc.integer({ min: 0, max: 45 }),
      nudge: fc.constantFrom(-1n, 0n, 1n),
      limit: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant(5000)),
      direction: fc.constantFrom('forward', 'backward'),
      interval: fc.oneof(
        { weight: 2, arbitrary: fc.constant(0) },
        { weight: 1, arbitrary: fc.integer({ min: 1, max: 9 }) },
      ),
      categorized: fc.boolean(),
    }),
  )
  await fc.assert(
    fc.asyncProperty(question, async ({ data, log, start: [steps, startNudge], length, nudge, ...rest }) => {
      const start = origin + BigInt(steps) * data.unit + startNudge
      const end = start + BigInt(length) * data.unit + (length === 0 ? 0n : nudge)
      const interval = BigInt(rest.interval) * data.unit
      const answer = await ask(
        'query_range',
        {
          query: print(log),
          start: String(start),
          end: String(end),
          limit: String(rest.limit),
          direction: rest.direction,
          interval: `${interval / 1_000_000n}ms`,
          step: '1000000s',
        },
        rest.categorized ? { 'x-loki-response-encoding-flags': 'categorize-labels' } : {},
      )
      const found = findEntries(data.entries, log, { start, end, ...rest, interval })
      const expected = expectedStreams(found, rest.categorized)
      expect(answer.data.result, print(log)).toEqual(expected)
      expect(answer.data.encodingFlags).toEqual(rest.categorized ? ['categorize-labels'] : undefined)
      if (found.length === 0) reached.none++
      if (found.length === rest.limit) reached.limited++
      if (interval > 0n && found.length > 1) reached.interval++
      if (expected.length > 1) reached.several++
    }),
    { numRuns: 150 },
  )
  for (const [what, count] of Object.entries(reached)) expect(count, `never reached: ${what}`).toBeGreaterThan(0)
})

const grouping = fc.record({ without: fc.boolean(), labels: fc.array(identifier, { maxLength: 2 }) })
const literal = fc.record({
  kind: fc.constant('literal'),
  value: fc.constantFrom(0, 1, 2, -0.5, 3),
  at: fc.constant(at),
})
const metric = (data: Dataset) => {
  const duration = fc.integer({ min: 1, max: 12 }).map((count) => BigInt(count) * data.unit)
  const rangeOf = (...ops: string[]) => ({
    kind: fc.constant('range'),
    op: fc.constantFrom(...ops),
    log: log(data.run),
    range: duration,
    offset: fc.oneof(
      fc.constant(0n),
      duration,
      duration.map((value) => -value),
    ),
    at: fc.constant(at),
  })
  const range = fc.record(rangeOf('count_over_time', 'rate', 'bytes_over_time', 'bytes_rate'))
  const whole = fc.record(rangeOf('count_over_time', 'bytes_over_time'))
  const aggregationOf = (inner: fc.Arbitrary<unknown>) =>
    fc.record(
      {
        kind: fc.constant('vector aggregation'),
        op: fc.constantFrom('sum', 'sum', 'min', 'max', 'avg', 'count'),
        grouping,
        inner,
        at: fc.constant(at),
      },
      { requiredKeys: ['kind', 'op', 'inner', 'at'] },
    )
  const aggregated = aggregationOf(range)
  const vector = fc.oneof(range, aggregated)
  const binary = (...ops: string[]) => ({
    kind: fc.constant('binary'),
    op: fc.constantFrom(...ops),
    bool: fc.boolean(),
    at: fc.constant(at),
  })
  const smooth = binary('+', '-', '*', '/', '^')
  // They jump where the last digit of a sum differs: only of whole numbers.
  const jumping = binary('%', '==', '!=', '>', '>=', '<', '<=')
  return fc.oneof(
    vector,
    vector,
    fc.record({ ...smooth, left: vector, right: literal }),
    fc.record({ ...smooth, left: literal, right: aggregated }),
    fc.record({ ...jumping, left: fc.oneof(range, aggregationOf(whole)), right: literal }),
    fc.record({ ...jumping, left: literal, right: aggregationOf(whole) }),
    fc.record({ ...smooth, left: literal, right: literal }),
    fc.record({ ...jumping, left: literal, right: literal }),
    fc.record({
      kind: fc.constant('vector aggregation'),
      op: fc.constantFrom('sum', 'max'),
      inner: aggregated,
      at: fc.constant(at),
    }),
  ) as unknown as fc.Arbitrary<Expression>
}

function expectedMatrix(data: Dataset, expression: Expression, start: bigint, step: bigint, points: number) {
  const series = new Map<string, { metric: Record<string, string>; values: [number, number][] }>()
  for (let i = 0; i < points; i++) {
    const time = start + BigInt(i) * step
    const samples = evaluateAt(data.entries, expression, time)
    for (const { labels, value } of typeof samples === 'number' ? [{ labels: {}, value: samples }] : samples) {
      const key = JSON.stringify(Object.entries(sorted(labels)))
      const item = series.get(key) ?? { metric: sorted(labels), values: [] }
      series.set(key, item)
      item.values.push([Number(time / 1_000_000n) / 1000, value])
    }
  }
  return series
}

test('metric queries give what counting in every window gives', { timeout: 60_000 }, async () => {
  const reached = { points: 0, gaps: 0, several: 0, empty: 0 }
  const question = anyDataset.chain((data) =>
    fc.record({
      data: fc.constant(data),
      expression: metric(data),
      start: moment,
      step: fc.integer({ min: 1, max: 7 }),
      half: fc.boolean(),
      points: fc.integer({ min: 1, max: 15 }),
    }),
  )
  await fc.assert(
    fc.asyncProperty(question, async ({ data, expression, start: [steps, nudge], step, half, points }) => {
      const start = origin + BigInt(steps) * data.unit + nudge
      const stepLength = half && data.unit > 1_000_000n ? (BigInt(step) * data.unit) / 2n : BigInt(step) * data.unit
      const answer = await ask('query_range', {
        query: print(expression),
        start: String(start),
        end: String(start + BigInt(points - 1) * stepLength + (points > 1 ? 1n : 0n)),
        step: `${stepLength / 1_000_000n}ms`,
      })
      const expected = expectedMatrix(data, expression, start, stepLength, points)
      const actual = answer.data.result as { metric: Record<string, string>; values: [number, string][] }[]
      const text = print(expression)
      expect(actual.map(({ metric }) => JSON.stringify(Object.entries(metric))).sort(), text).toEqual(
        [...expected.keys()].sort(),
      )
      for (const { metric, values } of actual) {
        const wanted = expected.get(JSON.stringify(Object.entries(metric)))!.values
        expect(
          values.map(([time]) => time),
          text,
        ).toEqual(wanted.map(([time]) => time))
        for (const [i, [, value]] of values.entries())
          expectClose(Number(value.replace('Inf', 'Infinity')), wanted[i]![1], text)
      }
      if (expected.size === 0) reached.empty++
      if (expected.size > 1) reached.several++
      for (const { values } of expected.values()) values.length === points ? reached.points++ : reached.gaps++
    }),
    { numRuns: 150 },
  )
  for (const [what, count] of Object.entries(reached)) expect(count, `never reached: ${what}`).toBeGreaterThan(0)
})

/** Sums are taken in another order, so that their last digits may differ. */
function expectClose(actual: number, wanted: number, text: string): void {
  if (Number.isNaN(wanted) || !Number.isFinite(wanted)) expect(actual, text).toBe(wanted)
  else
    expect(Math.abs(actual - wanted), `${text}: ${actual} is not ${wanted}`).toBeLessThanOrEqual(
      1e-9 * Math.max(1, Math.abs(wanted)),
    )
}
