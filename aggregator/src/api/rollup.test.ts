/** Counts and bytes that the rollup of volume serves, against the plainest evaluation, over HTTP on the embedded store. */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { MetricExpression } from '../logql/ast.ts'
import { countSource, rollupStatement } from '../logql/counts.ts'
import { parseQuery } from '../logql/parser.ts'
import { plan, type SamplePlan } from '../logql/plan.ts'
import { Reader } from '../logql/rows.ts'
import { findStreams } from '../logql/streams.ts'
import { TenantScope } from '../logql/tenant-scope.ts'
import { windowsOf } from '../logql/windows.ts'
import { type Fixture, openFixture } from './fixture.ts'
import { evaluateAt, type StoredEntry } from './oracle.ts'

const second = 1_000_000_000n
const minute = 60n * second
/** Two hours around midnight, so that there are two partitions. */
const midnight = 1_700_006_400n * second
const begin = midnight - 60n * minute
const end = midnight + 60n * minute

const web = (n: number) => ({ app: 'web', pod: `web-${n}`, namespace: 'shop' })
const selectors: { readonly text: string; readonly streams: readonly Record<string, string>[] }[] = [
  { text: '{namespace="shop"}', streams: [web(0), web(1), web(2)] },
  { text: '{pod="web-1"}', streams: [web(1)] },
  { text: '{namespace="old"}', streams: ['a', 'b'].map((level) => ({ namespace: 'old', level, app: 'old' })) },
  // Some of these have a label `level`, one has `detected_level`.
  { text: '{app=~".+"}', streams: [{ app: 'odd', detected_level: 'own' }] },
]

/** Seeded, so that each run sees the same. */
function makeEntries(count: number): StoredEntry[] {
  let state = 1
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  const pick = <T>(values: readonly T[]): T => values[random(values.length)]!
  const streams = selectors.flatMap((selector) => selector.streams)
  return Array.from({ length: count }, (_, i) => {
    const whole = begin + BigInt(random(120)) * minute
    const within = pick([
      0n,
      0n,
      1n,
      -1n,
      30n * second,
      BigInt(random(59_999)) * 1_000_000n + BigInt(random(1_000_000)),
    ])
    return {
      time: whole + within,
      stream: pick(streams),
      level: pick(['', 'info', 'warn', 'error']),
      meta: pick([{}, {}, { level: 'told' }, { level: 'warn', other: 'x' }]),
      line: pick(['a', 'größer', '', 'x'.repeat(random(300))]),
      source: 'ef'.repeat(16),
      offset: i,
    }
  })
}
const entries = makeEntries(1500)

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
  await fixture.insert(entries)
})
afterAll(() => fixture?.[Symbol.asyncDispose]())

async function ask(path: string, parameters: Record<string, string>) {
  const response = await fetch(`${fixture.url}/loki/api/v1/${path}?${new URLSearchParams(parameters)}`)
  const text = await response.text()
  expect(response.status, text).toBe(200)
  return JSON.parse(text)
}

const durations = ['1m', '2m', '5m', '90s', '10m', '1h', '1500ms'] as const
const seconds = { '1m': 60, '2m': 120, '5m': 300, '90s': 90, '10m': 600, '1h': 3600, '1500ms': 1.5 } as const
const instants = fc
  .tuple(
    fc.integer({ min: -70, max: 70 }),
    fc.oneof({ weight: 3, arbitrary: fc.constant(0n) }, fc.constantFrom(1n, -1n, 30n * second, 12_345_678_901n)),
  )
  .map(([minutes, more]) => midnight + BigInt(minutes) * minute + more)

const question = fc.record({
  selector: fc.constantFrom(...selectors.map(({ text }) => text)),
  by: fc.constantFrom('', 'detected_level', 'level, detected_level', 'level', 'pod', 'app, detected_level', 'other'),
  op: fc.constantFrom('count_over_time', 'rate', 'bytes_over_time', 'bytes_rate'),
  stages: fc.constantFrom('', '| drop __error__', '|= ``', '| detected_level="warn"', '| level=~"w.+|b"', '|= "x"'),
  range: fc.constantFrom(...durations),
  offset: fc.constantFrom('', '', ' offset 1m', ' offset 30s'),
  start: instants,
  step: fc.constantFrom(...durations),
  points: fc.integer({ min: 1, max: 15 }),
})

const from: Record<string, number> = { rollup: 0, rows: 0, both: 0 }

function expectSame(actual: Map<string, number>, expected: Map<string, number>, what: string): void {
  expect([...actual.keys()].sort(), what).toEqual([...expected.keys()].sort())
  // Sums of quotients and quotients of sums differ in their last bits.
  for (const [key, value] of expected) expect(actual.get(key), `${what} ${key}`).toBeCloseTo(value, 6)
}

const keyOf = (time: bigint | number, labels: Record<string, string>) =>
  `${time} ${JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))}`

test('whatever is counted, by whatever steps, is as if it were counted row by row', { timeout: 120_000 }, async () => {
  const countedEnough = () => Object.values(from).every((count) => count > 3)
  do await compareCounts()
  while (!countedEnough())
})

async function compareCounts(): Promise<void> {
  await fc.assert(
    fc.asyncProperty(question, async ({ selector, by, op, stages, range, offset, start, step, points }) => {
      const query = `sum by (${by}) (${op}(${selector} ${stages} [${range}]${offset}))`
      const nanoseconds = BigInt(seconds[step] * 1000) * 1_000_000n
      const steps = Array.from({ length: points }, (_, i) => start + BigInt(i) * nanoseconds)
      const parameters = { query, start: String(start), end: String(steps.at(-1)), step: String(seconds[step]) }
      const { data } = await ask('query_range', parameters)
      const actual = new Map<string, number>()
      for (const { metric, values } of data.result as { metric: Record<string, string>; values: [number, string][] }[])
        for (const [time, value] of values) actual.set(keyOf(Math.round(time * 1000), metric), Number(value))
      const expected = new Map<string, number>()
      const expression = parseQuery(query) as MetricExpression
      for (const time of steps)
        for (const { labels, value } of evaluateAt(entries, expression, time) as {
          labels: Record<string, string>
          value: number
        }[])
          expected.set(keyOf(time / 1_000_000n, labels), value)
      expectSame(actual, expected, query)
      const explained = await ask('query_range', { ...parameters, explain: '1' })
      const { of: samples } = explained.data.result
      from[samples.minutesFromRows ? 'both' : samples.from]!++
    }),
    { numRuns: 80 },
  )
}

test('volumes and stats are exact wherever they begin and end', { timeout: 60_000 }, async () => {
  const asked = fc.record({
    selector: fc.constantFrom(selectors[0]!, selectors[1]!),
    times: fc.tuple(instants, instants).filter(([a, b]) => a !== b),
    step: fc.constantFrom(60, 300, 45, 3600),
  })
  await fc.assert(
    fc.asyncProperty(asked, async ({ selector, times, step }) => {
      const [start, stop] = times[0] < times[1] ? times : [times[1], times[0]]
      const range = { start: String(start), end: String(stop), query: selector.text }
      const inside = entries.filter(
        ({ time, stream }) => time >= start && time < stop && selector.streams.some(({ pod }) => pod === stream['pod']),
      )
      const bytes = inside.reduce((sum, { line }) => sum + Buffer.byteLength(line), 0)
      expect(await ask('index/stats', range)).toMatchObject({ entries: inside.length, bytes })
      const expected = new Map<string, number>()
      const stretches = new Map<string, number>()
      const nanoseconds = BigInt(step) * second
      for (const { line, stream, time } of inside) {
        const pod = stream['pod']!
        expected.set(pod, (expected.get(pod) ?? 0) + Buffer.byteLength(line))
        // Stretches end at multiples of the step, the last one where the query does.
        const last = time - (time % nanoseconds) + nanoseconds
        const key = `${pod} ${last < stop ? last - 1_000_000n : stop}`
        stretches.set(key, (stretches.get(key) ?? 0) + Buffer.byteLength(line))
      }
      const asLabels = { ...range, targetLabels: 'pod' }
      const { data } = await ask('index/volume', asLabels)
      const volumes = new Map(
        (data.result as { metric: { pod: string }; value: [number, string] }[]).map(
          ({ metric, value }) => [metric.pod, Number(value[1])] as const,
        ),
      )
      expect(volumes).toEqual(expected)
      const ranged = await ask('index/volume_range', { ...asLabels, step: String(step) })
      const found = new Map<string, number>()
      for (const { metric, values, value } of ranged.data.result)
        for (const [time, size] of values ?? [value])
          found.set(`${metric.pod} ${Math.round(time * 1000)}`, Number(size))
      const rounded = [...stretches].map(([key, size]) => {
        const [pod, time] = key.split(' ') as [string, string]
        return [`${pod} ${BigInt(time) / 1_000_000n}`, size] as const
      })
      expect(found).toEqual(new Map(rounded))
    }),
    { numRuns: 25 },
  )
})

test("Grafana's histogram is read from the rollup alone, and the engine does so", async () => {
  const query = 'sum by (level, detected_level) (count_over_time({namespace="shop"} | drop __error__ [5m]))'
  const steps = { start: begin, step: 5n * minute, points: 24 }
  const explained = await ask('query_range', {
    query,
    start: String(begin),
    end: String(end),
    step: '300',
    explain: '1',
  })
  expect(explained.data.result.of).toMatchObject({ from: 'rollup', counted: 'store' })
  expect(explained.data.result.of).not.toHaveProperty('minutesFromRows')
  const scope = new TenantScope(['fake'])
  const reader = new Reader(fixture.client, scope, new AbortController().signal, performance.now() + 60_000)
  const planned = plan(parseQuery(query))
  const samples = (planned as { inner: SamplePlan }).inner
  const windows = windowsOf(samples.range, samples.offset, steps)
  const streams = await findStreams(reader, samples.log.matchers, windows.origin, windows.last)
  const source = countSource(samples, windows, streams)
  if (source.from !== 'rollup') throw new Error(source.because)
  const answers: string[] = []
  for (const density of [0, 1]) {
    const { sql, params } = rollupStatement(samples, windows, { ...streams, density }, source, true)
    expect(sql.includes('use_primary_key')).toBe(density === 1)
    const { rows } = await fixture.client.query<{ explain: string }>(`EXPLAIN ${sql}`, { ...params })
    const reads = rows.map((row) => row.explain).filter((line) => line.includes('ReadFrom'))
    expect(reads).toEqual([expect.stringContaining('(volume)')])
    answers.push(JSON.stringify((await fixture.client.query(sql, { ...params })).rows.map(inOrder).sort()))
  }
  expect(answers[0]).toMatch(/buckets/)
  expect(answers[1]).toBe(answers[0])
})

/** What the store gathers in an array comes in any order. */
function inOrder(row: unknown): string {
  const { buckets, entries, ...rest } = row as { buckets: string[]; entries: string[] }
  return JSON.stringify({ ...rest, buckets: buckets.map((bucket, i) => `${bucket}: ${entries[i]}`).sort() })
}

test('what is counted from rows is said, with the reason', async () => {
  const reasons = [
    ['sum(count_over_time({namespace="shop"}[10s]))', 'within too many of the minutes a bucket begins or ends'],
    ['sum by (pod) (count_over_time({namespace="shop"} |= "x" [1m]))', 'a stage asks for more than the level'],
    ['sum by (other) (count_over_time({namespace="shop"}[1m]))', 'the label other is not one of every stream'],
    ['count_over_time({namespace="shop"}[1m])', 'there are series for all labels of the rows'],
    ['sum(count_over_time({namespace="shop"}[1m5s]))', 'within too many of the minutes a bucket begins or ends'],
  ] as const
  for (const [query, notFromRollup] of reasons) {
    const range = { start: String(begin), end: String(end), explain: '1' }
    const { data } = await ask(query.includes('10s') ? 'query' : 'query_range', {
      ...range,
      time: String(midnight + 5n * second),
      query,
      step: '10',
    })
    expect(data.result.of ?? data.result).toMatchObject({ from: 'rows', notFromRollup })
  }
})
