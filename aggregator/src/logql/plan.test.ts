import { expect, test } from 'vitest'
import { firstSlice, slices } from './logs.ts'
import { parseQuery } from './parser.ts'
import { plan, type SamplePlan } from './plan.ts'

test.for([
  ['rate({a="b"} |= "x" | y="1" | drop z [1m])', 'store'],
  ['rate({a="b"} | y > 5 [1m])', 'process'],
  ['rate({a="b"} |> "x" [1m])', 'process'],
  ['rate({a="b"} != ip("1.1.1.1") [1m])', 'process'],
  ['rate({a="b"} | json [1m])', 'process'],
  ['sum(rate({a="b"} | json [1m]))', 'store'],
  ['sum(rate({a="b"} | json | __error__="" [1m]))', 'process'],
  ['sum by (x) (rate({a="b"} | json [1m]))', 'process'],
  ['absent_over_time({a="b"} | logfmt [1m])', 'store'],
  ['sum_over_time({a="b"} | unwrap x [1m])', 'process'],
  ['rate({a="b"} | keep x [1m])', 'process'],
] as const)('%s is counted in: %s', ([query, where]) => {
  const planned = plan(parseQuery(query))
  const samples = planned.kind === 'aggregate' ? planned.inner : planned
  expect(samples).toMatchObject({ kind: 'samples', where })
})

test('a sum gives its labels down to the samples, other aggregations do not', () => {
  const hintsOf = (query: string) => (plan(parseQuery(query)) as { inner: SamplePlan }).inner.hints.required
  expect(hintsOf('sum by (x) (rate({a="b"} | json | y="1" [1m]))')).toEqual(new Set(['y', 'x']))
  expect(hintsOf('sum by (x_extracted) (rate({a="b"} | json [1m]))')).toEqual(new Set(['x_extracted', 'x']))
  expect(hintsOf('max by (x) (rate({a="b"} | json [1m]))')).toBeUndefined()
  expect(hintsOf('sum without (x) (rate({a="b"} | json [1m]))')).toBeUndefined()
  expect(hintsOf('sum by (x) (rate({a="b"} | json | label_format y="{{.z}}" [1m]))')).toEqual(new Set(['z', 'x']))
})

test.for([
  ['sum(count_over_time({a="b"} | json | line_format "{{.z}}" [1m]))', []],
  ['max_over_time({a="b"} | logfmt | line_format "{{.z}}" | y="1" | unwrap x [1m])', ['logfmt', 'label']],
  ['rate({a="b"} | line_format "{{.y}}" | json | line_format "{{.z}}" [1m])', ['line_format', 'json']],
  ['rate({a="b"} | line_format "{{.y}}" |= "z" [1m])', ['line_format', 'line']],
  ['rate({a="b"} | line_format "{{.y}}" | label_format x="{{ __line__ }}" [1m])', ['line_format', 'label_format']],
  ['bytes_rate({a="b"} | line_format "{{.y}}" [1m])', ['line_format']],
] as const)('%s formats lines only where they are read: %s', ([query, kinds]) => {
  const planned = plan(parseQuery(query))
  const { log } = (planned.kind === 'aggregate' ? planned.inner : planned) as SamplePlan
  expect(log.stages.map(({ kind }) => kind)).toEqual(kinds)
})

test('series that equality matchers name once are said to be absent', () => {
  const planned = plan(parseQuery('absent_over_time({a="b", c=~"d", e="f", e!="g", h="i"}[1m])')) as SamplePlan
  expect([...planned.absent!]).toEqual([
    ['a', 'b'],
    ['h', 'i'],
  ])
})

test('counts are added up in the store when a sum needs only some labels', () => {
  const keysOf = (query: string) => (plan(parseQuery(query)) as { inner: { keys?: readonly string[] } }).inner.keys
  expect(keysOf('sum(rate({a="b"}[1m]))')).toEqual([])
  expect(keysOf('sum by (x, y, x) (rate({a="b"}[1m]))')).toEqual(['x', 'y'])
  expect(keysOf('sum without (x) (rate({a="b"}[1m]))')).toBeUndefined()
  expect(keysOf('max by (x) (rate({a="b"}[1m]))')).toBeUndefined()
})

test('slices tile a stretch of time in the order in which entries are wanted, and grow', () => {
  const [first, last] = [1_000n, 100_000_000_000_000n]
  const forward = [...slices(first, last, 'forward')]
  const backward = [...slices(first, last, 'backward')]
  expect([forward[0]!.first, forward.at(-1)!.last]).toEqual([first, last])
  expect([backward[0]!.last, backward.at(-1)!.first]).toEqual([last, first])
  for (let i = 1; i < forward.length; i++) expect(forward[i]!.first).toBe(forward[i - 1]!.last + 1n)
  for (let i = 1; i < backward.length; i++) expect(backward[i]!.last).toBe(backward[i - 1]!.first - 1n)
  expect(forward.length).toBe(5)
  // The sort key's buckets are read whole.
  for (const { last: end } of forward.slice(0, -1)) expect((end + 1n) % 300_000_000_000n).toBe(0n)
  for (const { first: start } of backward.slice(0, -1)) expect(start % 300_000_000_000n).toBe(0n)
  expect([...slices(5n, 5n, 'backward')]).toEqual([{ first: 5n, last: 5n }])
  expect([...slices(6n, 5n, 'backward')]).toEqual([])
})

test('the first slice is as long as the wanted entries take, three times over, where nothing is filtered out', () => {
  const second = 1_000_000_000n
  // 200 entries a second.
  expect(firstSlice(1000, 200 / 1e9, false)).toBe(15n * second)
  expect(firstSlice(1000, 200 / 1e9, true)).toBe(600n * second)
  expect(firstSlice(1000, 0, false)).toBe(600n * second)
  expect(firstSlice(5000, 1e-15, false)).toBe(86_400n * second)
  const [newest, before] = slices(0n, 1_700_000_123n * second, 'backward', 10n * second)
  expect(newest).toEqual({ first: 1_700_000_113n * second + 1n, last: 1_700_000_123n * second })
  expect(before).toEqual({ first: 1_699_998_900n * second, last: 1_700_000_113n * second })
  const [oldest, behind] = slices(5n, 1_700_000_123n * second, 'forward', 10n * second)
  expect(oldest).toEqual({ first: 5n, last: 10n * second + 4n })
  expect(behind).toEqual({ first: 10n * second + 5n, last: 1500n * second - 1n })
})
