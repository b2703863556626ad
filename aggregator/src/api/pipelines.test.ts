import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LogExpression, RangeAggregation, Stage } from '../logql/ast.ts'
import { print } from '../logql/print.ts'
import { split } from '../logql/split.ts'
import { type Fixture, openFixture } from './fixture.ts'
import type { StoredEntry } from './oracle.ts'
import { passedEntries, samplesAt } from './pipeline-oracle.ts'

/** Stages that are done here, those that the store does, and what it leaves out ahead of them, on random data: all agree with a plain evaluation. */
let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
  await fixture.insert(datasets.flat())
})
afterAll(() => fixture?.[Symbol.asyncDispose]())

const origin = 1_700_006_400_000_000_000n
const second = 1_000_000_000n
const at = { line: 1, column: 1 }
const names = ['x', 'y', 'app', 'status', 'pod_uid', 'x_extracted', 'a_b']
const words = ['a', 'b', '7', '12.5', '-3', 'a b', 'err', '\\', 'é', '']

const word = fc.constantFrom(...words)
const json = fc
  .record(
    {
      x: word,
      y: fc.oneof(word, fc.integer({ min: -5, max: 20 }), fc.boolean(), fc.constant(null)),
      status: fc.integer({ min: 0, max: 20 }),
      app: word,
      pod_uid: word,
      a: fc.oneof(fc.record({ b: word, 'c d': fc.integer({ min: 0, max: 3 }) }), fc.array(word, { maxLength: 2 })),
    },
    { requiredKeys: [], noNullPrototype: true },
  )
  .map((value) => JSON.stringify(value))
const plainWord = fc.constantFrom('a', 'b', '7', '12.5', '-3', 'err', 'é')
const logfmt = fc
  .array(
    fc.oneof(
      fc.tuple(fc.constantFrom('x', 'y', 'app', 'status'), plainWord).map(([key, value]) => `${key}=${value}`),
      fc.constantFrom('flag', 'x="a b"', 'y=""', 'status=7'),
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((list) => list.join(' '))
const line = fc.oneof(json, logfmt, fc.constantFrom('', 'plain err', '[1]', 'err\nerr'))

const maybe = (value: fc.Arbitrary<string>) => fc.option(value, { nil: undefined })
const withoutAbsent = (pairs: Record<string, string | undefined>) =>
  Object.fromEntries(Object.entries(pairs).filter(([, value]) => value)) as Record<string, string>
const dataset = (run: string) =>
  fc
    .array(
      fc.record({
        stream: fc.record({ app: maybe(fc.constantFrom('web', 'db')), x: maybe(fc.constant('s')) }).map(withoutAbsent),
        meta: fc.record({ pod_uid: maybe(fc.constantFrom('u1', '7')), y: maybe(plainWord) }).map(withoutAbsent),
        level: fc.constantFrom('', 'info', 'error'),
        line,
      }),
      { minLength: 40, maxLength: 60 },
    )
    .map((items): StoredEntry[] =>
      items.map(({ stream, ...rest }, i) => ({
        ...rest,
        stream: { ...stream, run },
        time: origin + BigInt(i) * second,
        source: 'ab'.repeat(16),
        offset: i,
      })),
    )
const datasets = Array.from({ length: 8 }, (_, i) => fc.sample(dataset(`p${i}`), { numRuns: 1, seed: 500 + i })[0]!)

const name = fc.constantFrom(...names, 'detected_level', '__error__', 'none')
const plainName = name.filter((text) => text !== '__error__')
const matcher = fc.oneof(
  fc.record({ name, op: fc.constantFrom('=', '!='), value: fc.constantFrom('', 'info', 'web', 'u1', ...words) }),
  fc.record({ name, op: fc.constantFrom('=~', '!~'), value: fc.constantFrom('a|b', '.+', '.*', '[0-9]+', 'e.*', '') }),
)
const { filter } = fc.letrec((tie) => ({
  filter: fc.oneof(
    { maxDepth: 2 },
    fc.record({ kind: fc.constant('string'), matcher, at: fc.constant(at) }),
    fc.record({
      kind: fc.constant('number'),
      name: plainName,
      op: fc.constantFrom('=', '!=', '>', '>=', '<', '<='),
      value: fc.constantFrom(0, 7, 12.5, -3),
      at: fc.constant(at),
    }),
    fc.record({ kind: fc.constantFrom('and', 'or'), left: tie('filter'), right: tie('filter'), at: fc.constant(at) }),
  ),
}))
const choice = fc.oneof(
  plainName.map((text) => ({ name: text })),
  matcher.filter((item) => item.name !== '__error__').map((item) => ({ name: item.name, matcher: item })),
)
const choices = fc
  .tuple(
    fc.array(choice, { maxLength: 2 }),
    matcher.filter((item) => item.name !== '__error__'),
  )
  .map(([list, last]) => [...list, { name: last.name, matcher: last }])
const template = fc.constantFrom('{{.x}}', '{{.y}}-{{.status}}', 'err', '{"x":"{{.status}}"}', '')
const assignment = fc.oneof(
  fc.record({ name: plainName, from: plainName }).filter((item) => item.name !== item.from),
  fc.record({ name: plainName, template }),
)
const lineOp = (op: fc.Arbitrary<string>, value: fc.Arbitrary<string>) =>
  fc.record({
    kind: fc.constant('line'),
    op,
    alternatives: fc.array(fc.record({ value, ip: fc.constant(false) }), { minLength: 1, maxLength: 2 }),
    at: fc.constant(at),
  })
const stage = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('json'), extractions: fc.constant([]), at: fc.constant(at) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('logfmt'),
      strict: fc.constant(false),
      keepEmpty: fc.constant(false),
      extractions: fc.constant([]),
      at: fc.constant(at),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('label'), filter, at: fc.constant(at) }) },
  { weight: 1, arbitrary: lineOp(fc.constantFrom('|=', '!='), fc.constantFrom('err', 'a', '"x"', '=7 ', '')) },
  { weight: 1, arbitrary: lineOp(fc.constantFrom('|~', '!~'), fc.constantFrom('e.r', '^x=', '[0-9]$', 'a|b')) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('line_format'), template, at: fc.constant(at) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('label_format'),
      assignments: fc.uniqueArray(assignment, { minLength: 1, maxLength: 2, selector: (item) => item.name }),
      at: fc.constant(at),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('drop', 'keep'), choices, at: fc.constant(at) }) },
)
/** After these the line is no longer what the parsers of the oracle can read. */
const readable = (stages: readonly { kind: string }[]) =>
  !stages.some(
    ({ kind }, i) =>
      kind === 'line_format' && stages.slice(i).some((next) => next.kind === 'json' || next.kind === 'logfmt'),
  )
const log = (run: string, more: readonly unknown[] = []) =>
  fc
    .array(stage, { minLength: 1, maxLength: 5 })
    .filter(readable)
    .map((stages) => ({
      kind: 'log',
      matchers: [{ name: 'run', op: '=', value: run }],
      stages: [...stages, ...more],
      at,
    })) as unknown as fc.Arbitrary<LogExpression>

async function ask(path: string, parameters: Record<string, string>) {
  const response = await fetch(`${fixture.url}/loki/api/v1/${path}?${new URLSearchParams(parameters)}`)
  const text = await response.text()
  if (response.status !== 200) throw new Error(`${response.status}: ${text}`)
  return JSON.parse(text).data.result
}

const sorted = (labels: Record<string, string>) =>
  Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))
const anyDataset = fc.integer({ min: 0, max: datasets.length - 1 })
const withoutDetails = { kind: 'drop', choices: [{ name: '__error_details__' }], at }

test('entries are what a plain evaluation of each stage gives', { timeout: 120_000 }, async () => {
  const reached = { found: 0, errors: 0, process: 0, store: 0, prefiltered: 0 }
  const question = anyDataset.chain((i) =>
    fc.record({ i: fc.constant(i), log: log(`p${i}`, [withoutDetails]), limit: fc.constantFrom('5000', '3') }),
  )
  await fc.assert(
    fc.asyncProperty(question, async ({ i, log, limit }) => {
      const result: { stream: Record<string, string>; values: [string, string][] }[] = await ask('query_range', {
        query: print(log),
        start: String(origin),
        end: String(origin + 3600n * second),
        step: '3600',
        direction: 'forward',
        limit,
      })
      const actual = result
        .flatMap(({ stream, values }) => values.map(([time, line]) => ({ time: BigInt(time), line, labels: stream })))
        .sort((a, b) => Number(a.time - b.time))
      const plain = { ...log, stages: log.stages.filter((stage) => (stage as unknown) !== withoutDetails) }
      const expected = passedEntries(datasets[i]!, plain)
        .slice(0, Number(limit))
        .map(({ time, line, labels }) => ({ time, line, labels: sorted(labels) }))
      expect(actual, print(log)).toEqual(expected)
      if (expected.length > 0) reached.found++
      if (expected.some(({ labels }) => labels['__error__'])) reached.errors++
      const parts = split(log.stages)
      parts.breaks === undefined ? reached.store++ : reached.process++
      if (parts.rest.some(({ kind }: Stage) => kind === 'label')) reached.prefiltered++
    }),
    { numRuns: 250 },
  )
  for (const [what, count] of Object.entries(reached)) expect(count, `never reached: ${what}`).toBeGreaterThan(5)
})

const noErrors = {
  kind: 'label',
  filter: { kind: 'string', matcher: { name: '__error__', op: '=', value: '' }, at },
  at,
}
const unwrapped = fc.record({
  label: fc.constantFrom('status', 'y', 'x', 'pod_uid'),
  filters: fc.constant([noErrors.filter]),
  at: fc.constant(at),
})
const counting = fc.constantFrom('count_over_time', 'rate', 'bytes_over_time', 'bytes_rate')
const valuing = fc.constantFrom('sum_over_time', 'rate')
const grouped = fc.constantFrom(
  ...(['avg_over_time', 'min_over_time', 'max_over_time', 'stdvar_over_time', 'stddev_over_time'] as const),
  ...(['first_over_time', 'last_over_time', 'quantile_over_time'] as const),
)
const grouping = fc.record({ without: fc.boolean(), labels: fc.array(plainName, { maxLength: 2 }) })
const rangeOf = (run: string) => {
  const common = {
    kind: fc.constant('range'),
    log: log(run, [noErrors]),
    range: fc.constantFrom(5n, 13n, 40n).map((value) => value * second),
    offset: fc.constant(0n),
    at: fc.constant(at),
  }
  return fc.oneof(
    fc.record({ ...common, op: counting }),
    fc.record({ ...common, op: valuing, unwrap: unwrapped }),
    grouped.chain((op) =>
      fc.record(
        {
          ...common,
          op: fc.constant(op),
          unwrap: unwrapped,
          grouping,
          ...(op === 'quantile_over_time' && { parameter: fc.constantFrom(0, 0.5, 0.9) }),
        },
        {
          requiredKeys: [
            'kind',
            'log',
            'range',
            'offset',
            'at',
            'op',
            'unwrap',
            ...(op === 'quantile_over_time' ? (['parameter'] as never[]) : []),
          ],
        },
      ),
    ),
  ) as unknown as fc.Arbitrary<RangeAggregation>
}

test('range aggregations are what a plain evaluation of each window gives', { timeout: 120_000 }, async () => {
  const reached = { found: 0, several: 0, grouped: 0, summed: 0 }
  const question = anyDataset.chain((i) =>
    fc.record({ i: fc.constant(i), range: rangeOf(`p${i}`), sum: fc.boolean(), step: fc.constantFrom(3n, 10n, 50n) }),
  )
  await fc.assert(
    fc.asyncProperty(question, async ({ i, range, sum, step }) => {
      // A sum over all reaches the parsers: they have less to look for, and the result is the same.
      const summed =
        sum && !range.grouping && ['count_over_time', 'rate', 'bytes_over_time', 'sum_over_time'].includes(range.op)
      const query = summed ? `sum by (x, status) (${print(range)})` : print(range)
      const result: { metric: Record<string, string>; values: [number, string][] }[] = await ask('query_range', {
        query,
        start: String(origin),
        end: String(origin + 60n * second),
        step: `${step}`,
      })
      const actual = new Map<string, number>()
      for (const { metric, values } of result)
        for (const [time, value] of values)
          actual.set(`${time} ${JSON.stringify(Object.entries(metric))}`, Number(value))
      const expected = new Map<string, number>()
      for (let time = origin; time <= origin + 60n * second; time += step * second) {
        const samples = samplesAt(
          datasets[i]!,
          summed ? { ...range, grouping: { without: false, labels: ['x', 'status'] } } : range,
          time,
        )
        for (const [key, value] of samples) expected.set(`${time / second} ${key}`, value)
      }
      expect([...actual.keys()].sort(), query).toEqual([...expected.keys()].sort())
      for (const [key, value] of expected) expect(actual.get(key), `${query} at ${key}`).toBeCloseTo(value, 7)
      if (expected.size > 0) reached.found++
      if (result.length > 1) reached.several++
      if (range.grouping) reached.grouped++
      if (summed) reached.summed++
    }),
    { numRuns: 200 },
  )
  for (const [what, count] of Object.entries(reached)) expect(count, `never reached: ${what}`).toBeGreaterThan(5)
})
