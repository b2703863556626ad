/** What Grafana's explorers and `logcli volume` ask, over HTTP on the embedded store. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { type Fixture, openFixture } from './fixture.ts'
import type { StoredEntry } from './oracle.ts'

const second = 1_000_000_000n
const day = 86_400n * second
/** Noon of a day, so that whole days and parts of days are asked for. */
const noon = (1_700_000_000n / 86_400n) * day + day / 2n

const entry = (
  seconds: bigint,
  stream: Record<string, string>,
  line: string,
  meta: Record<string, string> = {},
): StoredEntry => ({
  time: noon + seconds * second,
  stream,
  level: '',
  meta,
  line,
  source: 'cd'.repeat(16),
  offset: Number(seconds),
})
const web = { namespace: 'shop', pod: 'web-1', app: 'web', shard: '0' }
const web2 = { namespace: 'shop', pod: 'web-2', app: 'web', shard: '1' }
const db = { namespace: 'shop', pod: 'db-1', build: '4711' }
const ids = ['6f9619ff-8b86-d011-b42d-00cf4fc964ff', '12', '13']
const entries = [
  entry(
    0n,
    web,
    '{"status": 200, "took": "1.5ms", "user": {"id": 7, "name": "x"}, "ok": true, "size": "3KB", "app": "y", "list": [1]}',
  ),
  entry(1n, web, '{"status": 404, "took": "2ms", "user": {"id": 8}, "rate": 0.5}', { trace_id: 'abc' }),
  entry(2n, web2, 'level=info msg="two words" took=3s'),
  entry(70n, web2, 'x'.repeat(40)),
  entry(3n, db, 'y'.repeat(100)),
  // Two whole days later, and at the edges of the first one.
  entry(2n * 86_400n, db, 'z'.repeat(1000)),
  ...ids.map((id, i) => entry(3n * 86_400n + BigInt(i), { namespace: 'shop', pod: 'job', run: id }, 'r'.repeat(10))),
]
const bytes = (labels: object) =>
  entries
    .filter(({ stream }) => JSON.stringify(stream) === JSON.stringify(labels))
    .reduce((sum, { line }) => sum + line.length, 0)

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture({ retentionMs: 86_400_000 })
  await fixture.insert(entries)
})
afterAll(() => fixture?.[Symbol.asyncDispose]())

const minutes = { start: String(noon), end: String(noon + 120n * second) }
const days = { start: String(noon - 3n * day), end: String(noon + 5n * day) }

async function raw(path: string, parameters: Record<string, string> = {}, init: RequestInit = {}) {
  const response = await fetch(`${fixture.url}${path}?${new URLSearchParams(parameters)}`, init)
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() }
}
async function ask(path: string, parameters: Record<string, string> = {}) {
  const { status, text, type } = await raw(`/loki/api/v1/${path}`, parameters)
  expect([status, type?.toLowerCase()], text).toEqual([200, 'application/json; charset=utf-8'])
  return JSON.parse(text)
}
const sample = (metric: object, time: bigint, value: number) => ({
  metric,
  value: [Number(time / 1_000_000n) / 1000, String(value)],
})

test.for([
  [
    'the labels that the selector names',
    { query: '{namespace="shop", pod=~".+"}' },
    [
      [{ namespace: 'shop', pod: 'web-1' }, bytes(web)],
      [{ namespace: 'shop', pod: 'db-1' }, 100],
      [{ namespace: 'shop', pod: 'web-2' }, bytes(web2)],
    ],
  ],
  ['target labels', { query: '{namespace="shop"}', targetLabels: 'app' }, [[{ app: 'web' }, bytes(web) + bytes(web2)]]],
  [
    'everything',
    { query: '{}' },
    [
      [web, bytes(web)],
      [db, 100],
      [web2, bytes(web2)],
    ],
  ],
  [
    'a limit',
    { query: '{namespace="shop", pod=~".+"}', limit: '1' },
    [[{ namespace: 'shop', pod: 'web-1' }, bytes(web)]],
  ],
  [
    'labels',
    { query: '{namespace="shop"}', aggregateBy: 'labels' },
    [
      [{ namespace: '' }, bytes(web) + bytes(web2) + 100],
      [{ pod: '' }, bytes(web) + bytes(web2) + 100],
      [{ app: '' }, bytes(web) + bytes(web2)],
      [{ shard: '' }, bytes(web) + bytes(web2)],
      [{ build: '' }, 100],
    ],
  ],
  [
    'target labels as labels',
    { query: '{}', aggregateBy: 'labels', targetLabels: 'pod,build' },
    [
      [{ build: '' }, 100],
      [{ pod: '' }, 100],
    ],
  ],
  ['nothing', { query: '{app="none"}' }, []],
] as const)('volume by %s', async ([, parameters, expected]) => {
  const { data } = await ask('index/volume', { ...minutes, ...parameters })
  expect(data.resultType).toBe('vector')
  expect(data.result).toEqual(expected.map(([metric, value]) => sample(metric, noon + 120n * second, value)))
})

test('volume over days is exact at both edges', async () => {
  const inside = (start: bigint, end: bigint) =>
    entries
      .filter(({ time, stream }) => stream['pod'] === 'db-1' && time >= start && time < end)
      .reduce((sum, { line }) => sum + line.length, 0)
  for (const [start, end] of [
    [noon - 3n * day, noon + 5n * day],
    [noon + 3n * second, noon + 2n * day],
    [noon + 3n * second, noon + 2n * day + 1n],
    [noon + 3n * second + 1n, noon + 2n * day + 1n],
    [noon + 4n * second, noon + 5n * second],
  ] as const) {
    const { data } = await ask('index/volume', { query: '{pod="db-1"}', start: String(start), end: String(end) })
    expect(data.result.map(({ value }: { value: [number, string] }) => Number(value[1]))).toEqual(
      inside(start, end) > 0 ? [inside(start, end)] : [],
    )
  }
})

test('volume_range gives stretches by their ends; one sample for each series makes a vector', async () => {
  const asked = { ...minutes, query: '{pod=~"web.*"}', targetLabels: 'app', step: '60' }
  const { data } = await ask('index/volume_range', asked)
  expect(data).toMatchObject({
    resultType: 'matrix',
    result: [
      {
        metric: { app: 'web' },
        values: [
          [Number((noon + 60n * second) / second) - 0.001, String(bytes(web) + bytes(web2) - 40)],
          [Number((noon + 120n * second) / second), '40'],
        ],
      },
    ],
  })
  const whole = await ask('index/volume_range', { ...asked, step: '1h' })
  expect(whole.data).toMatchObject({
    resultType: 'vector',
    result: [sample({ app: 'web' }, noon + 120n * second, bytes(web) + bytes(web2))],
  })
  expect(whole.data.stats.summary.totalLinesProcessed).toBeGreaterThan(0)
})

test('detected labels are those that tell streams apart; ids are none', async () => {
  expect(await ask('detected_labels', days)).toEqual({
    detectedLabels: [
      { label: 'app', cardinality: 1 },
      { label: 'namespace', cardinality: 1 },
      { label: 'pod', cardinality: 4 },
      { label: 'shard', cardinality: 2 },
    ],
  })
  expect(await ask('detected_labels', { ...days, query: '{app="none"}' })).toEqual({ detectedLabels: [] })
})

test('detected fields have type, cardinality, parser and path', async () => {
  const field = (label: string, type: string, cardinality: number, parsers: string[] | null, jsonPath?: string[]) => ({
    label,
    type,
    cardinality,
    parsers,
    ...(jsonPath && { jsonPath }),
  })
  const json = ['json']
  expect(await ask('detected_fields', { ...minutes, query: '{app="web"}' })).toEqual({
    fields: [
      field('app_extracted', 'string', 1, json, ['app']),
      field('level', 'string', 1, ['logfmt']),
      field('msg', 'string', 1, ['logfmt']),
      field('ok', 'boolean', 1, json, ['ok']),
      field('rate', 'float', 1, json, ['rate']),
      field('size', 'bytes', 1, json, ['size']),
      field('status', 'int', 2, json, ['status']),
      field('took', 'duration', 3, ['logfmt', 'json'], ['took']),
      field('trace_id', 'string', 1, null),
      field('user_id', 'int', 2, json, ['user', 'id']),
      field('user_name', 'string', 1, json, ['user', 'name']),
    ],
    limit: 1000,
  })
  const few = await ask('detected_fields', {
    ...minutes,
    query: '{app="web"} |= "status"',
    limit: '2',
    line_limit: '1',
  })
  expect([few.fields.length, few.limit]).toEqual([2, 2])
  expect(await ask('detected_fields', { ...minutes, query: '{app="none"}' })).toEqual({ fields: [], limit: 1000 })
})

test('a detected field that the query parsed has the parser of its line', async () => {
  const { fields } = await ask('detected_fields', {
    ...minutes,
    query: '{app="web"} | json | logfmt | drop __error__, __error_details__ | keep app_extracted, level',
  })
  expect(fields).toContainEqual(expect.objectContaining({ label: 'app_extracted', parsers: ['json'] }))
  const labelled = await ask('detected_fields', { ...minutes, query: '{pod="db-1"} | pattern "<first>y<_>"' })
  expect(labelled.fields).toEqual([{ label: 'first', type: 'string', cardinality: 1, parsers: ['logfmt'] }])
})

test('values of one detected field', async () => {
  const asked = { ...minutes, query: '{app="web"}' }
  expect(await ask('detected_field/status/values', asked)).toEqual({ values: ['200', '404'], limit: 1000 })
  expect(await ask('detected_field/took/values', { ...asked, limit: '2' })).toEqual({
    values: ['1.5ms', '2ms'],
    limit: 2,
  })
  expect(await ask('detected_field/none/values', asked)).toEqual({ values: [], limit: 1000 })
})

test('times as Drilldown sends them, POST forms, and everything in the URL', async () => {
  const iso = {
    start: new Date(Number(noon / 1_000_000n)).toISOString(),
    end: new Date(Number(noon / 1_000_000n) + 120_000).toISOString(),
  }
  const expected = await ask('detected_field/status/values', { ...minutes, query: '{app="web"}' })
  expect(await ask('detected_field/status/values', { ...iso, query: '{app="web"}' })).toEqual(expected)
  for (const path of [
    'index/volume',
    'index/volume_range',
    'index/stats',
    'detected_labels',
    'detected_fields',
    'patterns',
    'labels',
    'series',
    'format_query',
  ]) {
    const parameters = { ...minutes, query: '{app="web"}', step: '60' }
    const got = await raw(`/loki/api/v1/${path}`, parameters)
    const form = await raw(`/loki/api/v1/${path}`, {}, { method: 'POST', body: new URLSearchParams(parameters) })
    const comparable = ({ text, ...rest }: typeof got) => ({ ...rest, text: text.replace(/"stats":.*/, '') })
    expect(comparable(form), path).toEqual(comparable(got))
  }
})

test('patterns are empty, in their shape', async () => {
  expect(await ask('patterns', { ...minutes, query: '{app="web"}', step: '60' })).toEqual({
    status: 'success',
    data: [],
  })
})

test('drilldown-limits', async () => {
  const { limits, ...rest } = await ask('drilldown-limits')
  expect(rest).toEqual({ pattern_ingester_enabled: false, version: expect.stringMatching(/^3\./) })
  expect(Object.keys(limits).sort()).toEqual(
    [
      'discover_log_levels',
      'discover_service_name',
      'log_level_fields',
      'max_entries_limit_per_query',
      'max_line_size_truncate',
      'max_query_bytes_read',
      'max_query_length',
      'max_query_lookback',
      'max_query_range',
      'max_query_series',
      'metric_aggregation_enabled',
      'otlp_config',
      'pattern_persistence_enabled',
      'query_timeout',
      'retention_period',
      'retention_stream',
      'volume_enabled',
      'volume_max_series',
    ].sort(),
  )
  expect(limits).toMatchObject({
    retention_period: '86400s',
    query_timeout: '60s',
    volume_enabled: true,
    max_entries_limit_per_query: 5000,
  })
})

test('config/tenant/v1/limits is the same as YAML', async () => {
  const { limits } = await ask('drilldown-limits')
  const { status, type, text } = await raw('/config/tenant/v1/limits')
  expect([status, type]).toEqual([200, 'text/plain; charset=utf-8'])
  expect(parse(text)).toEqual(limits)
  expect(text).toMatch(/^discover_log_levels: true\n/)
})

test('format_query lays out what is long and leaves what is short', async () => {
  const long =
    'sum by (namespace) (rate({namespace="shop", pod=~"web.*"} |= "error" | json | status >= 500 [5m])) / on(namespace) group_left sum by (namespace) (rate({namespace="shop"}[5m]))'
  const formatted = await ask('format_query', { query: long })
  expect(formatted).toEqual({
    status: 'success',
    data: [
      '  sum by (namespace)(rate({namespace="shop", pod=~"web.*"} |= "error" | json | status>=500[5m]))',
      '/ on (namespace) group_left',
      '  sum by (namespace)(rate({namespace="shop"}[5m]))',
    ].join('\n'),
  })
  // What it gives is the same query.
  expect(await ask('format_query', { query: formatted.data })).toEqual(formatted)
  expect((await ask('format_query', { query: '{ app = "web" }|="x"' })).data).toBe('{app="web"} |= "x"')
  const stages = `{app="web"} ${'| json | line_format "{{.message}}" '.repeat(3)}`
  expect((await ask('format_query', { query: stages })).data.split('\n')).toHaveLength(7)
  const wrong = await raw('/loki/api/v1/format_query', { query: '{app=' })
  expect([wrong.status, JSON.parse(wrong.text)]).toEqual([
    400,
    { status: 'invalid-query', error: expect.stringMatching(/^parse error at line 1, col 6: /) },
  ])
})

test.for([
  ['/loki/api/v1/rules', 404, 'no rule groups found\n'],
  ['/api/prom/rules', 404, 'no rule groups found\n'],
  ['/loki/api/v1/rules/ns', 404, 'no rule groups found\n'],
  ['/api/prom/rules/test/test', 404, '404 page not found\n'],
  ['/prometheus/api/v1/rules', 200, '{"status":"success","data":{"groups":[]},"errorType":"","error":""}'],
  ['/prometheus/api/v1/alerts', 200, '{"status":"success","data":{"alerts":[]},"errorType":"","error":""}'],
] as const)('%s', async ([path, status, text]) => {
  expect(await raw(path)).toMatchObject({ status, text })
})

test.for([
  ['index/volume', { query: '{a="b"} |= "x"' }, /^only label matchers are supported$/],
  ['series', { 'match[]': 'rate({a="b"}[1m])' }, /^only label matchers are supported$/],
  ['labels', { query: '{a="b"} | json |' }, 'parse error at line 1, col 17: syntax error: unexpected $end'],
  ['index/volume', { query: '{a="b"}', aggregateBy: 'pods' }, 'invalid aggregation option'],
  ['index/volume', { query: '{a="b"}', limit: '-1' }, 'limit must be a positive value'],
  [
    'index/volume_range',
    { query: '{a="b"}', step: '0' },
    'zero or negative query resolution step widths are not accepted',
  ],
  [
    'index/volume_range',
    { query: '{a="b"}', start: '1', end: '1000000', step: '1' },
    'exceeded maximum resolution of 11,000 points',
  ],
  ['index/stats', { query: '{a="b"', start: '2', end: '3' }, 'parse error at line 1, col 7'],
  ['detected_fields', { query: 'rate({a="b"}[1m])' }, /^only log selector is supported$/],
  ['detected_fields', { query: '{a="b"}', line_limit: '0' }, /^limit must be a positive value$/],
  ['detected_fields', { query: '{a="b"}', line_limit: '6000' }, 'max entries limit per query exceeded'],
  [
    'detected_labels',
    { query: '{a="b"}', start: '3', end: '2' },
    'end timestamp must not be before or equal to start time',
  ],
  ['patterns', { query: '{a=}' }, 'parse error'],
  ['labels', { start: 'then' }, `could not parse 'start' parameter: strconv.ParseInt: parsing "then": invalid syntax`],
] as const)('%s of %j is refused in plain text', async ([path, parameters, message]) => {
  expect(await raw(`/loki/api/v1/${path}`, parameters)).toEqual({
    status: 400,
    type: 'text/plain; charset=utf-8',
    text: typeof message === 'string' ? expect.stringContaining(message) : expect.stringMatching(message),
  })
})
