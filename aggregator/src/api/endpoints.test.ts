import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Fixture, openFixture } from './fixture.ts'
import type { StoredEntry } from './oracle.ts'

const day = 86_400_000_000_000n
const base = 1_700_000_000_000_000_000n
const hostile = `'"\\{p0:String}%_--/*\n\t') OR 1=1 #`

const entry = (nanoseconds: bigint, stream: Record<string, string>, line: string, offset: number): StoredEntry => ({
  time: base + nanoseconds,
  stream,
  level: offset % 2 === 0 ? 'error' : '',
  meta: { pod_uid: 'u1', "it's": hostile },
  line,
  source: 'ab'.repeat(16),
  offset,
})
const web = { namespace: 'shop', pod: 'web-1', app: 'web', stream: 'stdout' }
const db = { namespace: 'shop', pod: 'db-1', tier: 'data' }
const odd = { namespace: hostile, pod: 'web-2', 'its"': 'x' }
const entries = [
  entry(1n, web, 'one', 0),
  entry(2n, web, 'two', 1),
  entry(2n, db, 'three', 2),
  entry(2n, web, 'four', 3),
  entry(3n, odd, hostile, 4),
  entry(3n * day, db, 'later', 5),
]

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
  await fixture.insert(entries)
  // 0xff is never UTF-8.
  await fixture.insert([{ ...entry(4n, db, 'a\xffb', 9), level: '', meta: {} }], 'latin1')
})
afterAll(() => fixture?.[Symbol.asyncDispose]())

const hour = { start: String(base - 10n), end: String(base + 3_600_000_000_000n) }

async function ask(path: string, parameters: Record<string, string> | [string, string][] = {}) {
  const response = await fetch(`${fixture.url}/loki/api/v1/${path}?${new URLSearchParams(parameters)}`)
  const text = await response.text()
  expect(response.status, text).toBe(200)
  return JSON.parse(text)
}

test.for([
  ['labels', hour, ['app', 'its"', 'namespace', 'pod', 'stream', 'tier']],
  ['label', { ...hour, query: '{app="web"}' }, ['app', 'namespace', 'pod', 'stream']],
  ['labels', { start: String(base + day), end: String(base + 2n * day) }, undefined],
  ['labels', { start: String(base + day), end: String(base + 4n * day) }, ['namespace', 'pod', 'tier']],
  ['label/pod/values', hour, ['db-1', 'web-1', 'web-2']],
  ['label/pod/values', { ...hour, query: '{pod=~"web.*"}' }, ['web-1', 'web-2']],
  ['label/pod/values', { ...hour, query: '{app!="web"}' }, ['db-1', 'web-2']],
  ['label/pod/values', { ...hour, query: `{namespace=${JSON.stringify(hostile)}}` }, ['web-2']],
  ['label/namespace/values', { ...hour, query: '{pod="web-2"}' }, [hostile]],
  ['label/none/values', hour, undefined],
  [`label/${encodeURIComponent("x'] OR 1=1 --")}/values`, hour, undefined],
] as const)('%s of %j', async ([path, parameters, expected]) => {
  expect(await ask(path, parameters)).toEqual({ status: 'success', ...(expected && { data: expected }) })
})

test('series are the label sets that any of the selectors chooses, in order', async () => {
  expect((await ask('series', hour)).data).toEqual([db, odd, web].map(sorted).sort(byText))
  expect((await ask('series', { ...hour, match: '{}' })).data).toHaveLength(3)
  const either: [string, string][] = [
    ['match[]', '{app="web"}'],
    ['match[]', '{namespace="shop"}'],
    ...Object.entries(hour),
  ]
  expect((await ask('series', either)).data).toEqual([sorted(web), sorted(db)])
})

const sorted = (labels: Record<string, string>) =>
  Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))
const byText = (a: object, b: object) =>
  JSON.stringify(Object.entries(a)) < JSON.stringify(Object.entries(b)) ? -1 : 1

test('index stats count streams, entries and bytes', async () => {
  expect(await ask('index/stats', { ...hour, query: '{app="web"}' })).toEqual({
    streams: 1,
    chunks: 1,
    entries: 3,
    bytes: 10,
  })
  expect(await ask('index/stats', { ...hour, query: '{app="none"}' })).toEqual({
    streams: 0,
    chunks: 0,
    entries: 0,
    bytes: 0,
  })
})

test('equal times keep the order of the source, and nanoseconds are exact', async () => {
  const { data } = await ask('query_range', {
    ...hour,
    query: '{app="web"} | drop detected_level',
    direction: 'forward',
  })
  expect(data.result[0].values).toEqual([
    [String(base + 1n), 'one'],
    [String(base + 2n), 'two'],
    [String(base + 2n), 'four'],
  ])
})

test('a batch ends where the next begins: nothing is skipped or repeated among equal times', async () => {
  const seen: string[] = []
  for (let end = base + 10n; ; ) {
    const { data } = await ask('query_range', {
      query: '{namespace="shop"}',
      start: String(base),
      end: String(end),
      limit: '4',
    })
    const batch = (data.result as { values: [string, string][] }[]).flatMap(({ values }) => values)
    const fresh = batch.filter(([, line]) => !seen.includes(line))
    if (fresh.length === 0) break
    seen.push(...fresh.map(([, line]) => line))
    end = batch.map(([time]) => BigInt(time)).sort((a, b) => Number(a - b))[0]! + 1n
  }
  expect(seen.sort()).toEqual(['a\ufffdb', 'four', 'one', 'three', 'two'])
})

test('a line that is not UTF-8 is found by its bytes and shown with replacement characters', async () => {
  const { data } = await ask('query_range', { ...hour, query: '{pod="db-1"} |= "a" |~ "^a"', limit: '1' })
  expect(data.result).toEqual([{ stream: sorted(db), values: [[String(base + 4n), 'a\ufffdb']] }])
  const counted = await ask('query', { query: 'bytes_over_time({pod="db-1"} |= "a" [1h])', time: String(base + 4n) })
  expect(counted.data.result[0].value[1]).toBe('3')
})

test.for([
  `{namespace=${JSON.stringify(hostile)}}`,
  '{pod="web-2"} |= `{p0:String}%_--/*`',
  `{pod="web-2"} | namespace=${JSON.stringify(hostile)}`,
  `{pod=~"web-2|x'\\\\) OR 1=1 --"}`,
  '{pod="web-2"} |~ "\\\\{p0:String\\\\}%_--"',
  '{pod="web-2"} |~ "\'\\"" or "x\'\\\\) UNION ALL SELECT 1 --"',
])('what would break a statement is found as it is: %s', async (query) => {
  const { data } = await ask('query_range', { ...hour, query })
  expect(data.result.map(({ values }: { values: [string, string][] }) => values.map(([, line]) => line))).toEqual([
    [hostile],
  ])
})

test.for([
  `{pod="x' OR 1=1 --"}`,
  `{pod="\\\\' OR 1=1 --"}`,
  `{pod="web-2"} |= "') OR (1=1"`,
  `{pod="web-2"} |= "\\\\' OR 1=1 #"`,
  `{pod="web-2"} | pod_uid="u1' OR '1'='1"`,
  '{pod=~"{p0:String}.+"}',
])('what is meant to break a statement finds nothing: %s', async (query) => {
  expect((await ask('query_range', { ...hour, query })).data.result).toEqual([])
})

test("a regular expression that is too large for the store's RE2 is the query's fault", async () => {
  const query = `{pod="web-2"} |~ "${'.{1000}'.repeat(60)}"`
  const response = await fetch(`${fixture.url}/loki/api/v1/query_range?${new URLSearchParams({ ...hour, query })}`)
  expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('regular expression')])
})

test("Grafana's log volume query counts by level", async () => {
  const query = 'sum by (level, detected_level) (count_over_time({namespace="shop"} |= "" | drop __error__ [1m]))'
  const { data } = await ask('query_range', {
    query,
    start: String(base),
    end: String(base + 60_000_000_000n),
    step: '60000ms',
  })
  expect(data).toMatchObject({
    resultType: 'matrix',
    result: [
      { metric: {}, values: [[1_700_000_060, '3']] },
      { metric: { detected_level: 'error' }, values: [[1_700_000_060, '2']] },
    ],
  })
  expect(data.stats.summary.totalLinesProcessed).toBeGreaterThan(0)
})

test('far times are answered, as empty as they are', async () => {
  expect(
    (await ask('query_range', { query: '{app="web"}', start: '0', end: '4000000000', step: '1000000' })).data.result,
  ).toHaveLength(2)
  expect(
    (
      await ask('query_range', {
        query: '{app="web"}',
        start: '-9223372036854775808',
        end: '9223372036854775807',
        step: '1000000000',
      })
    ).data.result,
  ).toHaveLength(2)
  expect((await ask('query', { query: 'count_over_time({app="web"}[5m])', time: '4000000000' })).data.result).toEqual(
    [],
  )
  expect(
    (await ask('query', { query: 'count_over_time({app="web"}[200y])', time: '4000000000' })).data.result,
  ).toHaveLength(2)
  expect((await ask('query', { query: 'count_over_time({app="web"}[0s])', time: '1700000000' })).data.result).toEqual(
    [],
  )
})

test('a selector with thousands of streams is read by a subquery', { timeout: 30_000 }, async () => {
  const many = Array.from({ length: 5200 }, (_, i) =>
    entry(5n * day + BigInt(i), { many: 'yes', n: String(i) }, 'x', i),
  )
  await fixture.insert(many)
  const range = { start: String(base + 5n * day), end: String(base + 5n * day + 3_600_000_000_000n) }
  const { data } = await ask('query_range', { ...range, query: '{many="yes"}', limit: '3' })
  expect(data.result.map(({ stream }: { stream: Record<string, string> }) => stream['n']).sort()).toEqual([
    '5197',
    '5198',
    '5199',
  ])
  const time = String(base + 5n * day + 3_000_000_000_000n)
  const total = await ask('query', { query: 'sum(count_over_time({many="yes"}[1h]))', time })
  expect(total.data.result[0].value[1]).toBe('5200')
  const response = await fetch(
    `${fixture.url}/loki/api/v1/query?${new URLSearchParams({ query: 'count_over_time({many="yes"}[1h])', time })}`,
  )
  expect([response.status, await response.text()]).toEqual([400, 'maximum of series (500) reached for a single query'])
})
