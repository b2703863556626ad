/**
 * One case at least for each row of what "compatible with Loki" means: the endpoints, and the constructs of LogQL. Against a whole aggregator with
 * the embedded store: lines are pushed, and asked for over HTTP. The corner cases of each have tests of their own beside the code.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseConfig } from '@tributary/protocol/config-file.ts'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { startAggregator } from '../aggregator.ts'
import { aggregatorConfig } from '../config.ts'

const stack = new AsyncDisposableStack()
let url = ''
const second = 1_000_000_000n
/** A while ago, as pushed lines must be, and on a whole minute. */
const base = BigInt(Math.floor(Date.now() / 60_000) - 30) * 60n * second

const web = [
  '{"status":503,"msg":"two words","req":{"id":7},"list":[1,{"x":2}],"ip":"10.1.2.3"}',
  'level=info status=200 dur=12ms path="/a b" size=2KB',
  '1.2.3.4 - GET /x',
  '\u001b[31mred\u001b[0m end',
  '{"_entry":"packed line","pod":"p1"}',
  'level=warn status=404 dur=2s path=/b size=1KB',
]
const db = ['plain', 'Plain two', 'version 1.2.3']
const metadata = { lat: '250ms', size: '1.5KiB', code: '404', addr: '10.0.0.5' }

beforeAll(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tributary-specification-'))
  stack.defer(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))
  const text = `dataDir: ${directory}
forward: {listen: 127.0.0.1, port: 0}
http: {listen: 127.0.0.1, port: 0}
load: {blockDelay: 100ms}
labels: {discoverServiceName: false, detectLevel: false}`
  const aggregator = await startAggregator(parseConfig('test', text, aggregatorConfig), {
    log: pino({ level: 'fatal' }),
  })
  stack.defer(async () => void (await aggregator.close()))
  url = `http://127.0.0.1:${aggregator.httpPort}`
  await vi.waitFor(async () => expect((await fetch(`${url}/ready`)).status).toBe(200), { timeout: 30_000 })
  const time = (at: number): string => String(base + BigInt(at) * second)
  await push('/loki/api/v1/push', [
    {
      stream: { app: 'web', env: 'prod' },
      values: web.map((line, i) => [time(i), line, ...(i === 0 ? [metadata] : [])]),
    },
    { stream: { app: 'db' }, values: db.map((line, i) => [time(10 + i), line]) },
  ])
  await vi.waitFor(async () => expect(await lines('{app=~".+"}')).toHaveLength(9), { timeout: 30_000 })
})
afterAll(() => stack.disposeAsync())

async function push(path: string, streams: unknown): Promise<void> {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify({ streams }) })
  expect(response.status, await response.text()).toBe(204)
}

const range = { start: String(base - 60n * second), end: String(base + 120n * second) }

async function raw(path: string, parameters: Record<string, string> = {}, init: RequestInit = {}) {
  const response = await fetch(`${url}${path}?${new URLSearchParams(parameters)}`, init)
  return { status: response.status, text: await response.text() }
}

/** The answer of an endpoint of the API, within the time of the lines. */
async function ask(path: string, parameters: Record<string, string> = {}) {
  const { status, text } = await raw(`/loki/api/v1/${path}`, { ...range, ...parameters })
  expect(status, text).toBe(200)
  return JSON.parse(text)
}

interface Found {
  readonly stream: Record<string, string>
  readonly values: [time: string, line: string][]
}

async function found(query: string): Promise<{ line: string; labels: Record<string, string> }[]> {
  const { data } = await ask('query_range', { query, direction: 'forward' })
  return (data.result as Found[])
    .flatMap(({ stream, values }) => values.map(([time, line]) => ({ time, line, labels: stream })))
    .sort((a, b) => Number(BigInt(a.time) - BigInt(b.time)))
}

const lines = async (query: string): Promise<string[]> => (await found(query)).map(({ line }) => line)

/** Values by the labels in their text. At the end of the first minute. */
async function values(query: string): Promise<Record<string, number>> {
  const { data } = await ask('query', { query, time: String(base + 60n * second) })
  if (data.resultType === 'scalar') return { '': Number(data.result[1]) }
  const series = data.result as { metric: Record<string, string>; value: [number, string] }[]
  const name = (metric: Record<string, string>) =>
    Object.entries(metric)
      .map(([key, value]) => `${key}=${value}`)
      .join(' ')
  return Object.fromEntries(series.map(({ metric, value }) => [name(metric), Number(value[1])]))
}

async function refusal(query: string): Promise<string> {
  const { status, text } = await raw('/loki/api/v1/query_range', { ...range, query })
  expect(status, text).toBe(400)
  return text
}

type Rows = Record<string, () => Promise<void>>
const all = (rows: Rows) => test.for(Object.entries(rows))('%s', ([, check]) => check())
const gives = (query: string, expected: readonly string[]) => async () => expect(await lines(query)).toEqual(expected)
const counts = (query: string, expected: Record<string, number>) => async () =>
  expect(await values(query)).toEqual(expected)
const refused = (query: string, text: string) => async () => expect(await refusal(query)).toContain(text)
const labelled = (query: string, expected: Record<string, string>) => async () =>
  expect((await found(query))[0]?.labels).toMatchObject(expected)
const each =
  (...checks: (() => Promise<void>)[]) =>
  async () => {
    for (const check of checks) await check()
  }

describe('endpoints', () => {
  all({
    'query: a vector, and no log query': async () => {
      const { data } = await ask('query', { query: 'vector(1)+vector(1)', time: '4000000000' })
      expect(data).toMatchObject({ resultType: 'vector', result: [{ metric: {}, value: [4_000_000_000, '2'] }] })
      const { status, text } = await raw('/loki/api/v1/query', { query: '{app="web"}' })
      expect([status, text]).toEqual([
        400,
        expect.stringContaining('log queries are not supported as an instant query'),
      ])
    },
    'query_range: streams, a matrix, a scalar as a matrix': async () => {
      expect((await ask('query_range', { query: '{app="web"}' })).data.resultType).toBe('streams')
      expect((await ask('query_range', { query: 'rate({app="web"}[1m])', step: '60' })).data.resultType).toBe('matrix')
      const { data } = await ask('query_range', { query: '1+1', step: '60' })
      expect([data.resultType, data.result[0].metric]).toEqual(['matrix', {}])
    },
    'labels and label': async () => {
      for (const path of ['labels', 'label'])
        expect(await ask(path)).toEqual({ status: 'success', data: ['app', 'env'] })
    },
    'label/{name}/values': async () => expect((await ask('label/app/values')).data).toEqual(['db', 'web']),
    series: async () =>
      expect((await ask('series', { 'match[]': '{app="web"}' })).data).toEqual([{ app: 'web', env: 'prod' }]),
    'index/stats': async () =>
      expect(await ask('index/stats', { query: '{app="db"}' })).toMatchObject({ streams: 1, entries: 3 }),
    'index/volume': async () => {
      const { data } = await ask('index/volume', { query: '{app=~".+"}', targetLabels: 'app' })
      expect(data.resultType).toBe('vector')
      expect(data.result.map(({ metric }: { metric: object }) => metric)).toEqual([{ app: 'web' }, { app: 'db' }])
    },
    'index/volume_range': async () => {
      const { data } = await ask('index/volume_range', { query: '{app="web"}', step: '60' })
      expect(data.result).toHaveLength(1)
    },
    detected_fields: async () => {
      const { fields } = await ask('detected_fields', { query: '{app="web"}' })
      expect(fields).toContainEqual({
        label: 'req_id',
        type: 'int',
        cardinality: 1,
        parsers: ['json'],
        jsonPath: ['req', 'id'],
      })
    },
    'detected_field/{name}/values': async () =>
      expect((await ask('detected_field/status/values', { query: '{app="web"}' })).values).toEqual([
        '200',
        '404',
        '503',
      ]),
    detected_labels: async () =>
      expect((await ask('detected_labels', { query: '{app="web"}' })).detectedLabels).toContainEqual({
        label: 'app',
        cardinality: 1,
      }),
    patterns: async () =>
      expect(await ask('patterns', { query: '{app="web"}' })).toEqual({ status: 'success', data: [] }),
    'drilldown-limits': async () => expect((await ask('drilldown-limits')).limits.volume_enabled).toBe(true),
    'status/buildinfo': async () => expect((await ask('status/buildinfo')).version).toMatch(/^3\./),
    format_query: async () => {
      expect(await ask('format_query', { query: '{ app = "web" }' })).toEqual({
        status: 'success',
        data: '{app="web"}',
      })
      const { status, text } = await raw('/loki/api/v1/format_query', { query: '{' })
      expect([status, JSON.parse(text).status]).toEqual([400, 'invalid-query'])
    },
    'tail over a WebSocket': async () => {
      const parameters = new URLSearchParams({ query: '{app="db"}', start: range.start })
      const socket = new WebSocket(`${url.replace('http', 'ws')}/loki/api/v1/tail?${parameters}`)
      const message = await new Promise((resolve, reject) => socket.once('message', resolve).once('error', reject))
      socket.terminate()
      const { streams } = JSON.parse(String(message)) as { streams: Found[] }
      expect(streams.flatMap((stream) => stream.values.map(([, line]) => line))).toEqual(db)
    },
    "index/shards, which is Loki's own, is not there": async () =>
      expect((await raw('/loki/api/v1/index/shards', { query: '{app="web"}' })).status).toBe(404),
    'ready and metrics': async () => {
      expect(await raw('/ready')).toEqual({ status: 200, text: 'ready\n' })
      expect((await raw('/metrics')).text).toContain('aggregator_')
    },
    'delete is not there': async () =>
      expect((await raw('/loki/api/v1/delete', { query: '{app="web"}', start: '1' }, { method: 'POST' })).status).toBe(
        404,
      ),
    'of the legacy paths, push': async () => {
      await push('/api/prom/push', [{ stream: { app: 'old' }, values: [[String(base + 1200n * second), 'x']] }])
      expect((await raw('/api/prom/query', { query: '{app="old"}' })).status).toBe(404)
    },
    'rules, none': async () => {
      expect(await raw('/loki/api/v1/rules')).toEqual({ status: 404, text: 'no rule groups found\n' })
      expect(JSON.parse((await raw('/prometheus/api/v1/rules')).text).data).toEqual({ groups: [] })
    },
    'POST with a form': async () => {
      const body = new URLSearchParams({ ...range, query: '{app="db"}' })
      const { text } = await raw('/loki/api/v1/query_range', {}, { method: 'POST', body })
      expect(JSON.parse(text).data.result).toHaveLength(1)
    },
  })
})

const [jsonLine, logfmtLine, accessLine, , packedLine, warnLine] = web as [
  string,
  string,
  string,
  string,
  string,
  string,
]

describe('selectors and line filters', () => {
  all({
    '= and !=, where an absent label is empty': each(
      gives('{app="db"}', db),
      gives('{app=~".+", env!="prod"}', db),
      gives('{app=~".+", env=""}', db),
    ),
    '=~ and !~, anchored': each(
      gives('{app=~"d.|x"}', db),
      gives('{app=~".+", app!~"w.*"}', db),
      gives('{app=~"w"}', []),
    ),
    'a matcher that cannot be empty': refused('{env=~".*"}', 'queries require at least one regexp or equality matcher'),
    '|= and !=': each(gives('{app="db"} |= "Plain"', ['Plain two']), gives('{app="db"} != "lain"', ['version 1.2.3'])),
    '|~ and !~': each(
      gives('{app="db"} |~ "^.?lain$"', ['plain']),
      gives('{app="db"} !~ "(?i)PLAIN"', ['version 1.2.3']),
    ),
    'or within a filter': each(
      gives('{app="db"} |= "two" or "1.2"', ['Plain two', 'version 1.2.3']),
      gives('{app="db"} != "two" or "1.2"', ['plain']),
    ),
    '|> and !>': each(gives('{app="db"} |> "<_> two"', ['Plain two']), gives('{app="db"} !> "<_> <_>"', ['plain'])),
    'ip()': each(gives('{app="web"} |= ip("1.2.3.0/24")', [accessLine]), gives('{app="db"} |= ip("1.2.3.4")', [])),
  })
})

describe('parsers', () => {
  all({
    'a label that clashes': labelled(
      '{app="web"} |= "503" | json | label_format x="{{.size}}" | line_format `{"size":1}` | json',
      {
        size: '1.5KiB',
        size_extracted: '1',
      },
    ),
    json: each(
      labelled('{app="web"} |= "503" | json', { status: '503', req_id: '7', msg: 'two words' }),
      labelled('{app="db"} |= "plain" | json', { __error__: 'JSONParserErr' }),
    ),
    'json with paths': labelled('{app="web"} |= "503" | json x="list[1].x", id="req.id", none="no"', {
      x: '2',
      id: '7',
    }),
    'logfmt with flags and names': each(
      labelled('{app="web"} |= "200" | logfmt', { status: '200', path: '/a b' }),
      labelled('{app="web"} |= "200" | logfmt --strict --keep-empty p="path"', { p: '/a b' }),
    ),
    regexp: labelled('{app="web"} |= "GET" | regexp `(?P<method>[A-Z]+) (?P<path>\\S+)`', {
      method: 'GET',
      path: '/x',
    }),
    pattern: labelled('{app="web"} |= "GET" | pattern "<ip> - <method> <_>"', { ip: '1.2.3.4', method: 'GET' }),
    unpack: each(
      gives('{app="web"} |= "_entry" | unpack', ['packed line']),
      labelled('{app="web"} |= "_entry" | unpack', { pod: 'p1' }),
    ),
  })
})

describe('label filters', () => {
  all({
    'text: = != =~ !~': each(
      gives('{app="web"} | logfmt | level="warn"', [warnLine]),
      gives('{app="web"} | logfmt | level=~"w.*|x"', [warnLine]),
      gives('{app="web"} |= "level" | logfmt | level!="warn"', [logfmtLine]),
      gives('{app="web"} |= "level" | logfmt | level!~"w.*"', [logfmtLine]),
    ),
    'numbers: > >= < <= == = !=': each(
      gives('{app="web"} | json | status >= 500', [jsonLine]),
      gives('{app="web"} |= "dur" | logfmt | status > 200', [warnLine]),
      gives('{app="web"} | logfmt | status < 300', [logfmtLine]),
      gives('{app="web"} | logfmt | status <= 404 | status != 200', [warnLine]),
      gives('{app="web"} | logfmt | status == 404 | status = 404', [warnLine]),
      gives('{app="web"} | code = 404', [jsonLine]),
    ),
    durations: each(
      gives('{app="web"} | logfmt | dur > 1s', [warnLine]),
      gives('{app="web"} | lat <= 250ms', [jsonLine]),
    ),
    bytes: each(
      gives(
        '{app="web"} | logfmt | size > 1500B',
        [logfmtLine, jsonLine].sort((a, b) => web.indexOf(a) - web.indexOf(b)),
      ),
    ),
    ip: each(
      gives('{app="web"} | addr = ip("10.0.0.0/8")', [jsonLine]),
      gives('{app="web"} | addr != ip("10.0.0.0/8")', []),
    ),
    'and, or, comma': each(
      gives('{app="web"} | logfmt | level="warn" and status=404', [warnLine]),
      gives('{app="web"} | logfmt | level="warn" or level="info"', [logfmtLine, warnLine]),
      gives('{app="web"} | logfmt | status=404, level="warn" or level="info"', [warnLine]),
    ),
    __error__: each(
      gives('{app="web"} | json | __error__=""', [jsonLine, packedLine]),
      gives('{app="db"} | json | __error__="JSONParserErr"', db),
    ),
  })
})

describe('formatting and label stages', () => {
  all({
    line_format: gives('{app="web"} | logfmt | level="warn" | line_format "{{.status}} {{.none}}!"', ['404 !']),
    label_format: labelled('{app="web"} |= "warn" | logfmt | label_format code=status, x="{{.level}}"', {
      code: '404',
      x: 'warn',
    }),
    'functions of templates': gives(
      '{app="db"} |= "two" | line_format `{{ __line__ | ToUpper | trunc 5 }}{{ add 1 2 }}`',
      ['PLAIN3'],
    ),
    'drop and keep': each(labelled('{app="web"} |= "warn" | logfmt | keep level', { level: 'warn' }), async () =>
      expect((await found('{app="web"} |= "warn" | drop env, app="x"'))[0]?.labels).toEqual({ app: 'web' }),
    ),
    decolorize: gives('{app="web"} |= "red" | decolorize', ['red end']),
    unwrap: each(
      counts('sum(sum_over_time({app="web"} | logfmt | unwrap status [1m]))', { '': 604 }),
      counts('sum(sum_over_time({app="web"} | logfmt | unwrap duration(dur) [1m]))', { '': 2.012 }),
      counts('sum(sum_over_time({app="web"} |= "level" | logfmt | unwrap bytes(size) [1m]))', { '': 3000 }),
    ),
  })
})

const unwrapped = '{app="web"} |= "dur" | logfmt | unwrap status [1m]'
describe('range aggregations', () => {
  all({
    rate: each(
      counts('rate({app="db"}[1m])', { 'app=db': 0.05 }),
      counts('sum(rate({app="web"} |= "dur" | logfmt | unwrap status [1m]))', { '': 604 / 60 }),
    ),
    count_over_time: counts('count_over_time({app="db"}[1m])', { 'app=db': 3 }),
    'bytes_over_time and bytes_rate': each(
      counts('bytes_over_time({app="db"} |= "plain" [1m])', { 'app=db': 5 }),
      counts('bytes_rate({app="db"} |= "plain" [1m])', { 'app=db': 5 / 60 }),
    ),
    rate_counter: counts('sum(rate_counter({app="db"} |= "plain" | label_format n="5" | unwrap n [1m]))', { '': 0 }),
    sum_over_time: counts(`sum(sum_over_time(${unwrapped}))`, { '': 604 }),
    'avg, min and max': each(
      counts(`avg_over_time(${unwrapped}) by (app)`, { 'app=web': 302 }),
      counts(`min_over_time(${unwrapped}) by (app)`, { 'app=web': 200 }),
      counts(`max_over_time(${unwrapped}) by (app)`, { 'app=web': 404 }),
    ),
    'first and last': each(
      counts(`first_over_time(${unwrapped}) by (app)`, { 'app=web': 200 }),
      counts(`last_over_time(${unwrapped}) by (app)`, { 'app=web': 404 }),
    ),
    'stddev and stdvar': each(
      counts(`stddev_over_time(${unwrapped}) by (app)`, { 'app=web': 102 }),
      counts(`stdvar_over_time(${unwrapped}) by (app)`, { 'app=web': 10_404 }),
    ),
    quantile_over_time: counts(`quantile_over_time(0.5, ${unwrapped}) by (app)`, { 'app=web': 302 }),
    absent_over_time: each(
      counts('absent_over_time({app="none"}[1m])', { 'app=none': 1 }),
      counts('absent_over_time({app="db"}[1m])', {}),
    ),
    'what does not fit together': each(
      refused('sum_over_time({app="web"}[1m])', 'invalid aggregation sum_over_time without unwrap'),
      refused('rate({app="web"}[1m]) by (app)', 'grouping not allowed for rate aggregation'),
    ),
    'errors fail the query, unless nothing is parsed': each(
      refused('count_over_time({app="db"} | json [1m])', "pipeline error: 'JSONParserErr'"),
      counts('sum(count_over_time({app="db"} | json [1m]))', { '': 3 }),
    ),
    'the window is (t - range, t]': counts('count_over_time({app="db"}[50s])', { 'app=db': 2 }),
    offset: counts('count_over_time({app="db"}[1m] offset 49s)', { 'app=db': 2 }),
  })
})

const perApp = 'count_over_time({app=~".+"}[1m])'
describe('vector aggregations, operators and functions', () => {
  all({
    'sum avg min max count stddev stdvar by and without': each(
      counts(`sum by (app) (${perApp})`, { 'app=db': 3, 'app=web': 5 }),
      counts(`avg without (app, env) (sum by (app) (${perApp}))`, { '': 4 }),
      counts(`min(sum by (app) (${perApp}))`, { '': 3 }),
      counts(`max(sum by (app) (${perApp}))`, { '': 5 }),
      counts(`count(sum by (app) (${perApp}))`, { '': 2 }),
      counts(`stddev(sum by (app) (${perApp}))`, { '': 1 }),
      counts(`stdvar(sum by (app) (${perApp}))`, { '': 1 }),
    ),
    'topk and bottomk': each(
      counts(`topk(1, sum by (app) (${perApp}))`, { 'app=web': 5 }),
      counts(`bottomk(1, sum by (app) (${perApp}))`, { 'app=db': 3 }),
      refused(`topk(0, ${perApp})`, 'topk'),
    ),
    approx_topk: counts(`approx_topk(1, sum by (app) (${perApp}))`, { 'app=web': 5 }),
    'sort and sort_desc': async () => {
      expect(Object.keys(await values(`sort(sum by (app) (${perApp}))`))).toEqual(['app=db', 'app=web'])
      expect(Object.keys(await values(`sort_desc(sum by (app) (${perApp}))`))).toEqual(['app=web', 'app=db'])
    },
    'arithmetic and its precedence': each(
      counts('1 + 2 * 3 ^ 2 % 5', { '': 4 }),
      counts('-2 ^ 2', { '': 4 }),
      counts(`sum(${perApp}) / 0`, { '': Number.NaN }),
    ),
    'comparisons and bool': each(
      counts(`sum by (app) (${perApp}) > 3`, { 'app=web': 5 }),
      counts(`sum by (app) (${perApp}) > bool 3`, { 'app=db': 0, 'app=web': 1 }),
    ),
    'and or unless': each(
      counts(`sum by (app) (${perApp}) and sum by (app) (count_over_time({app="db"}[1m]))`, { 'app=db': 3 }),
      counts(`sum by (app) (${perApp}) unless sum by (app) (count_over_time({app="db"}[1m]))`, { 'app=web': 5 }),
      counts(`sum by (app) (count_over_time({app="db"}[1m])) or vector(7)`, { 'app=db': 3, '': 7 }),
    ),
    'on, ignoring, group_left and group_right': each(
      counts(`sum by (app) (${perApp}) / on() group_left sum(${perApp})`, { 'app=db': 3 / 8, 'app=web': 5 / 8 }),
      counts(`sum(${perApp}) - ignoring(app) group_right sum by (app) (${perApp})`, { 'app=db': 5, 'app=web': 3 }),
      async () =>
        expect(await refusal(`sum by (app) (${perApp}) + on() sum(${perApp})`)).toContain(
          'many-to-one matching must be explicit',
        ),
    ),
    'literals and vector()': each(counts('1+1', { '': 2 }), counts('vector(3)', { '': 3 })),
    label_replace: counts(
      `label_replace(sum by (app) (count_over_time({app="db"}[1m])), "x", "\${1}y", "app", "(d).*")`,
      {
        'app=db x=dy': 3,
      },
    ),
    'offset behind unwrap': counts('sum(sum_over_time({app="web"} | logfmt | unwrap status [1m] offset -1s))', {
      '': 404,
    }),
    'what is not LogQL': each(
      refused('rate({app="web"}[1m] @ 5)', 'parse error'),
      refused('max_over_time(rate({app="web"}[1m])[5m:1m])', 'parse error'),
      refused('count_values("x", rate({app="web"}[1m]))', 'parse error'),
    ),
    'comments and the case of keywords': counts('SUM(Count_Over_Time({app="db"}[1m])) # all', { '': 3 }),
  })
})
