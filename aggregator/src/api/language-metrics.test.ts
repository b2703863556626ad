/** What metric queries do, end to end: through HTTP, on the embedded store. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { limitsConfig } from '../access/config.ts'
import { type Fixture, listen } from './fixture.ts'
import { ask, base, json, numbers, of, openLanguage, range, samples, second, values } from './language-fixture.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await openLanguage()
})
afterAll(() => fixture?.[Symbol.asyncDispose]())

const n = (rest: string) => of(numbers, `| logfmt ${rest}`)
const ok = '| __error__=""'

test.for([
  [`sum(count_over_time(${n('')} [1m1s]))`, { '': 6 }],
  [`sum by (k) (count_over_time(${n('')} [1m1s]))`, { 'k=a': 3, 'k=b': 3 }],
  [`sum by (k) (rate(${n('| k="a"')} [1m1s]))`, { 'k=a': 3 / 61 }],
  // A filter does not see what is found behind it.
  [
    `sum by (k) (count_over_time(${of(numbers, '| regexp "(?P<seen>v)" | k="" | logfmt')} [1m1s]))`,
    { 'k=a': 3, 'k=b': 3 },
  ],
  [`sum(bytes_over_time(${n('| line_format "xx"')} [1m1s]))`, { '': 12 }],
  [`sum(sum_over_time(${n(`| unwrap v ${ok}`)} [1m1s]))`, { '': 10.5 }],
  [`sum by (k) (sum_over_time(${n(`| unwrap v ${ok}`)} [1m1s]))`, { 'k=a': 8, 'k=b': 2.5 }],
  [`sum(rate(${n(`| unwrap v ${ok}`)} [1m1s]))`, { '': 10.5 / 61 }],
  [`max_over_time(${n(`| unwrap v ${ok}`)} [1m1s]) by (k)`, { 'k=a': 4, 'k=b': 2.5 }],
  [`min_over_time(${n(`| unwrap v ${ok}`)} [1m1s]) by ()`, { '': 1 }],
  [`avg_over_time(${n(`| unwrap v ${ok}`)} [1m1s]) by (k)`, { 'k=a': 8 / 3, 'k=b': 2.5 }],
  [`first_over_time(${n(`| unwrap v ${ok}`)} [1m1s]) by (k)`, { 'k=a': 1, 'k=b': 2.5 }],
  [`last_over_time(${n(`| unwrap v ${ok}`)} [1m1s]) by (k)`, { 'k=a': 3, 'k=b': 2.5 }],
  [`stdvar_over_time(${n(`| unwrap v ${ok}`)} [1m1s]) by (k)`, { 'k=a': 14 / 9, 'k=b': 0 }],
  [`stddev_over_time(${n(`| unwrap v ${ok}`)} [1m1s]) by (k)`, { 'k=a': Math.sqrt(14 / 9), 'k=b': 0 }],
  [`quantile_over_time(0.75, ${n(`| unwrap v ${ok}`)} [1m1s]) by (k)`, { 'k=a': 3.5, 'k=b': 2.5 }],
  [`quantile_over_time(1.5, ${n(`| unwrap v ${ok}`)} [1m1s]) by (k)`, { 'k=a': Infinity, 'k=b': Infinity }],
  [`sum(rate_counter(${n(`| k="a" | drop d, b | unwrap v ${ok}`)} [1m1s]))`, { '': 6 / 50 }],
  [`max_over_time(${n('| unwrap duration(d)')} [1m1s]) by ()`, { '': 1 }],
  [`sum(sum_over_time(${n('| unwrap duration_seconds(d)')} [1m1s]))`, { '': 3.75 }],
  [`sum(sum_over_time(${n('| unwrap bytes(b)')} [1m1s]))`, { '': 7002 }],
  [`max_over_time(${n(`| keep v, k | unwrap v ${ok}`)} [1m1s])`, { 'k=a': 4, 'k=b': 2.5 }],
  [`sum by (k) (count_over_time(${n('')} [30s]))`, { 'k=a': 1, 'k=b': 1 }],
  [`sum by (k) (count_over_time(${n('')} [30s] offset 20s))`, { 'k=a': 1, 'k=b': 2 }],
  [`sum(count_over_time(${n('')} [10s] offset -1m))`, {}],
  [`absent_over_time({case="nope", x="y"} [1m])`, { 'x=y': 1 }],
  [`absent_over_time(${of(numbers, '')} [2m])`, {}],
  [`sum by (__error__) (count_over_time(${of(json, '| json')} [2m]))`, { '': 2, '__error__=JSONParserErr': 2 }],
  [
    `max_over_time(${of(numbers, `| logfmt k="k", v="v", no="no" | unwrap v ${ok}`)} [2m])`,
    { 'k=a,no=': 4, 'k=b,no=': 2.5 },
  ],
] as [string, Record<string, number>][])('range aggregations: %s', async ([query, expected]) => {
  const found = await samples(query)
  expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort())
  for (const [key, value] of Object.entries(expected)) expectClose(found[key], value)
})

function expectClose(actual: number | undefined, wanted: number): void {
  if (Number.isFinite(wanted)) expect(actual).toBeCloseTo(wanted, 9)
  else expect(actual).toBe(wanted)
}

const byK = `sum by (k) (count_over_time(${n('')} [1m1s]))`
const byBoth = `sum by (k, d) (count_over_time(${n('| d != ""')} [1m1s]))`

test.for([
  [`max(${byBoth})`, { '': 2 }],
  [`min by (k) (${byBoth})`, { 'k=a': 1, 'k=b': 1 }],
  [`avg by (k) (${byBoth})`, { 'k=a': 1.5, 'k=b': 1 }],
  [`count by (k) (${byBoth})`, { 'k=a': 2, 'k=b': 2 }],
  [`stddev by (k) (${byBoth})`, { 'k=a': 0.5, 'k=b': 0 }],
  [`stdvar without (d) (${byBoth})`, { 'k=a': 0.25, 'k=b': 0 }],
  // Empty labels stay where labels are kept by name, and go where they are left out by name.
  [
    `sum by (k, no) (count_over_time(${of(numbers, '| logfmt k="k", no="no"')} [1m1s]))`,
    { 'k=a,no=': 3, 'k=b,no=': 3 },
  ],
  [`sum without (app) (count_over_time(${of(numbers, '| logfmt k="k", no="no"')} [1m1s]))`, { 'k=a': 3, 'k=b': 3 }],
  [`topk(1, ${byBoth})`, { 'd=1s,k=a': 2 }],
  [`bottomk by (k) (1, ${byBoth})`, { 'd=250ms,k=a': 1, 'd=1s,k=b': 1 }],
  [`approx_topk(1, ${byBoth})`, { 'd=1s,k=a': 2 }],
  [`${byK} + 1`, { 'k=a': 4, 'k=b': 4 }],
  [`2 * ${byK} - 1`, { 'k=a': 5, 'k=b': 5 }],
  [`${byK} % 2 ^ 2`, { 'k=a': 3, 'k=b': 3 }],
  [`${byK} / 0`, { 'k=a': Number.NaN, 'k=b': Number.NaN }],
  [`${byBoth} > 1`, { 'd=1s,k=a': 2 }],
  [`${byBoth} > bool 1`, { 'd=1s,k=a': 1, 'd=250ms,k=a': 0, 'd=1s,k=b': 0, 'd=500ms,k=b': 0 }],
  [
    `${byBoth} / on (k) group_left () ${byK}`,
    { 'd=1s,k=a': 2 / 3, 'd=250ms,k=a': 1 / 3, 'd=1s,k=b': 1 / 3, 'd=500ms,k=b': 1 / 3 },
  ],
  [
    `${byK} * ignoring (d) group_right () ${byBoth}`,
    { 'd=1s,k=a': 6, 'd=250ms,k=a': 3, 'd=1s,k=b': 3, 'd=500ms,k=b': 3 },
  ],
  [`sum(${byK}) + ignoring (k) sum(${byK})`, { '': 12 }],
  [`${byBoth} and on (k) (${byK} > 100)`, {}],
  [`${byBoth} unless ignoring (k) ${byBoth} > 1`, { 'd=250ms,k=a': 1, 'd=500ms,k=b': 1 }],
  [`(${byBoth} > 1) or vector(7)`, { 'd=1s,k=a': 2, '': 7 }],
  [`sum(vector(2)) ^ 2 ^ 3`, { '': 256 }],
  [`label_replace(${byK}, "z", "<$1>", "k", "(.)")`, { 'k=a,z=<a>': 3, 'k=b,z=<b>': 3 }],
  [`label_replace(${byK}, "k", "", "k", "a|b")`, 'vector cannot contain metrics with the same labelset'],
  [
    `${byK} + on () ${byK}`,
    'found duplicate series on the right hand-side;many-to-many matching not allowed: matching labels must be unique on one side',
  ],
  [
    `${byBoth} + on (k) ${byK}`,
    'multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)',
  ],
] as [string, Record<string, number> | string][])('aggregations and operators: %s', async ([query, expected]) => {
  if (typeof expected === 'string') {
    expect(await ask('query', { query, time: String(base + 60n * second) })).toMatchObject({
      status: 400,
      text: expected,
    })
    return
  }
  const found = await samples(query)
  expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort())
  for (const [key, value] of Object.entries(expected)) expectClose(found[key], value)
})

test('sort decides the order of an instant answer', async () => {
  const order = async (query: string) => {
    const { data } = await ask('query', { query, time: String(base + 60n * second) })
    return (data.result as { value: [number, string] }[]).map(({ value }) => value[1])
  }
  expect(await order(`sort(${byBoth})`)).toEqual(['1', '1', '1', '2'])
  expect(await order(`sort_desc(${byBoth})`)).toEqual(['2', '1', '1', '1'])
  expect(await order(byBoth)).toEqual(['2', '1', '1', '1'])
})

test.for([
  [
    `count_over_time(${of(json, '|= "not" | json')} [1m])`,
    /^pipeline error: 'JSONParserErr' for series: '\{__error__="JSONParserErr", __error_details__="Value looks like object, but can't find closing '}' symbol", app="web", case="json"}'\.\nUse a label filter to intentionally skip this error\. \(e\.g \| __error__!="JSONParserErr"\)\.\n/,
  ],
  [`sum(sum_over_time(${n('| unwrap v')} [1m]))`, /^pipeline error: 'SampleExtractionErr' for series/],
  [`sum by (z) (count_over_time(${of(values, '| lat > 1s')} [1m]))`, /^pipeline error: 'LabelFilterErr'/],
  [`topk(1, rate(${n('')}[1m])) by (k) > approx_topk(0, vector(1))`, /invalid parameter \(must be greater than 0\)/],
] as const)('a query over entries with errors is refused: %s', async ([query, expected]) => {
  const answer = await ask('query', { query, time: String(base + 60n * second) })
  expect(answer.status).toBe(400)
  expect(answer.text).toMatch(expected)
})

test('approx_topk is for one time only', async () => {
  const answer = await ask('query_range', { ...range, query: `approx_topk(1, ${byK})`, step: '60' })
  expect(answer).toMatchObject({ status: 400, text: 'count min sketches are only supported on instant queries' })
})

test.for([
  [
    { maxQuerySeries: 1 },
    `sum by (k) (count_over_time(${n('')} [1m]))`,
    'maximum of series (1) reached for a single query',
  ],
  [{ maxQueryRows: 1 }, `sum(count_over_time(${n('')} [1m]))`, /^the query needs more memory/],
  [{ maxQueryMemory: '1KiB' }, `sum(count_over_time(${n('')} [1m]))`, /^the query needs more memory/],
] as const)("a tenant's limits of queries hold: %j", async ([limits, query, expected]) => {
  await using stack = new AsyncDisposableStack()
  const url = await listen(stack, { store: fixture.client, tenantLimits: () => limitsConfig.parse(limits) })
  const parameters = new URLSearchParams({ query, time: String(base + 60n * second) })
  const response = await fetch(`${url}/loki/api/v1/query?${parameters}`)
  expect([response.status, await response.text()]).toEqual([
    400,
    typeof expected === 'string' ? expected : expect.stringMatching(expected),
  ])
})
