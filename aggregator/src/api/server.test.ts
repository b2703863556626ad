import { Readable } from 'node:stream'
import { Registry } from 'prom-client'
import { afterEach, expect, test } from 'vitest'
import { Access } from '../access/access.ts'
import { authConfig } from '../access/config.ts'
import { Credentials } from '../access/credentials.ts'
import type { QueryOptions, QueryResult, RowStore } from '../logql/rows.ts'
import { StoreError } from '../store/error.ts'
import { listen } from './fixture.ts'

let stack = new AsyncDisposableStack()
afterEach(async () => {
  await stack.disposeAsync()
  stack = new AsyncDisposableStack()
})

const result = <Row>(rows: unknown[]): QueryResult<Row> => ({
  rows: rows as Row[],
  readRows: rows.length,
  readBytes: 10,
  elapsedSeconds: 0.001,
})

/** A store with no streams. */
const emptyStore: RowStore = { query: async () => result([]), queryBytes: () => Readable.from([]) }

const failingStore = (error: Error): RowStore => ({
  query: () => Promise.reject(error),
  queryBytes: () => Readable.from([]),
})

const start = (options: Partial<Parameters<typeof listen>[1]> = {}) => listen(stack, { store: emptyStore, ...options })

const path = (name: string, parameters: Record<string, string>) =>
  `/loki/api/v1/${name}?${new URLSearchParams(parameters)}`

async function get(url: string, init?: RequestInit) {
  const response = await fetch(url, init)
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() }
}

test("Grafana's health check gives one sample, 2, at the time it asked for", async () => {
  const url = await start()
  const answer = await get(url + path('query', { query: 'vector(1)+vector(1)', time: '4000000000', limit: '1' }))
  expect([answer.status, answer.type]).toEqual([200, 'application/json; charset=UTF-8'])
  expect(JSON.parse(answer.text)).toMatchObject({
    status: 'success',
    data: { resultType: 'vector', result: [{ metric: {}, value: [4_000_000_000, '2'] }] },
  })
})

test('what fails unexpectedly is no internal error as long as the aggregator is not ready', async () => {
  const state = { ready: false, reason: 'the store is not open yet' }
  const store = failingStore(new Error('Unknown table expression identifier streams'))
  const url = await start({ store, ready: () => state })
  const labels = url + path('labels', {})
  expect(await get(labels)).toMatchObject({ status: 503, text: 'not ready: the store is not open yet\n' })
  state.ready = true
  expect(await get(labels)).toMatchObject({ status: 500 })
})

test.for([
  ['query', { query: '1 + 1', time: '5' }, { resultType: 'scalar', result: [5, '2'] }],
  ['query', { query: 'vector(3) > 4', time: '5' }, { resultType: 'vector', result: [] }],
  [
    'query_range',
    { query: '2 ^ 3', start: '0', end: '2', step: '1' },
    {
      resultType: 'matrix',
      result: [
        {
          metric: {},
          values: [
            [0, '8'],
            [1, '8'],
            [2, '8'],
          ],
        },
      ],
    },
  ],
  [
    'query_range',
    { query: 'sum(vector(1)) / 0', start: '1.5', end: '2', step: '0.5' },
    {
      resultType: 'matrix',
      result: [
        {
          metric: {},
          values: [
            [1.5, 'NaN'],
            [2, 'NaN'],
          ],
        },
      ],
    },
  ],
  ['query_range', { query: '{a="b"}' }, { resultType: 'streams', result: [] }],
] as const)('%s of %j', async ([name, parameters, expected]) => {
  const answer = await get((await start()) + path(name, parameters))
  const { data } = JSON.parse(answer.text)
  expect({ ...data, stats: undefined }).toEqual({ ...expected, stats: undefined })
  expect(data.stats.summary.execTime).toBeTypeOf('number')
})

test.for([
  ['query_range', { query: '{a="b"' }, 'parse error at line 1, col 7: syntax error: unexpected $end, expecting } or ,'],
  ['query_range', {}, 'parse error : syntax error: unexpected $end'],
  [
    'query_range',
    { query: '{a="b"}', start: '2', end: '1' },
    'end timestamp must not be before or equal to start time',
  ],
  [
    'query_range',
    { query: '{a="b"}', limit: '5001' },
    'max entries limit per query exceeded, limit > max_entries_limit_per_query (5001 > 5000)',
  ],
  ['query_range', { query: '{a="b"}', limit: '0' }, 'limit must be a positive value'],
  [
    'query_range',
    { query: '{a="b"}', start: '0', end: '100000', step: '1' },
    'exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter',
  ],
  [
    'query',
    { query: '{a="b"}' },
    'log queries are not supported as an instant query type, please change your query to a range query type',
  ],
  ['labels', { query: '{a="b"} |= "x"' }, 'only label matchers are supported'],
  ['series', { match: '{' }, 'parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }'],
] as const)('%s of %j is refused in plain text', async ([name, parameters, message]) => {
  const answer = await get((await start()) + path(name, parameters))
  expect(answer).toEqual({ status: 400, type: 'text/plain; charset=utf-8', text: message })
})

test('a form may say what the URL says, and is asked first', async () => {
  const url = await start()
  const body = new URLSearchParams({ query: 'vector(2)', time: '5' })
  const answer = await get(url + path('query', { query: 'vector(1)' }), { method: 'POST', body })
  expect(JSON.parse(answer.text).data.result).toEqual([{ metric: {}, value: [5, '2'] }])
  const other = await get(url + path('query', { query: 'vector(1)', time: '5' }), {
    method: 'POST',
    body: '{',
    headers: { 'content-type': 'application/json' },
  })
  expect(other.status).toBe(200)
})

test('a body beyond the limit is refused, not read', async () => {
  const answer = await get(`${await start()}/loki/api/v1/query`, {
    method: 'POST',
    body: new URLSearchParams({ query: 'x'.repeat(600_000) }),
  })
  expect(answer.status).toBe(413)
})

test.for([
  [new StoreError('timeout', 'x', 159), 504, /^request timed out, decrease the duration/],
  [new StoreError('unavailable', 'x'), 503, /^the store does not answer$/],
  [new StoreError('memory', 'Query memory limit exceeded: would use 384.06 MiB', 241), 400, /needs more memory/],
  [new StoreError('memory', '(total) memory limit exceeded: would use 788.12 MiB', 241), 429, /too many outstanding/],
  [new StoreError('busy', 'x', 202), 429, /^too many outstanding requests$/],
  [new StoreError('rejected', 'cannot compile', 427), 400, /cannot compile/],
  [new StoreError('rejected', 'SELECT secret', 62), 500, /^internal error$/],
  [new TypeError('oops'), 500, /^internal error$/],
] as const)('a failure of the store (%s) is %s', async ([error, status, text]) => {
  const answer = await get((await start({ store: failingStore(error) })) + path('query_range', { query: '{a="b"}' }))
  expect([answer.status, answer.type]).toEqual([status, 'text/plain; charset=utf-8'])
  expect(answer.text).toMatch(text)
})

/** A store that answers nothing until it is told to stop. */
function waitingStore() {
  const asked = Promise.withResolvers<QueryOptions>()
  const stopped = Promise.withResolvers<unknown>()
  const store: RowStore = {
    query(_sql, _parameters, options = {}) {
      asked.resolve(options)
      return new Promise((_, reject) => {
        options.signal!.addEventListener('abort', () => {
          stopped.resolve(options.signal!.reason)
          reject(new StoreError('cancelled', 'cancelled'))
        })
      })
    },
    queryBytes: () => Readable.from([]),
  }
  return { store, asked: asked.promise, stopped: stopped.promise }
}

test('a query that takes too long is stopped and answered with 504', async () => {
  const { store, asked, stopped } = waitingStore()
  const answer = await get((await start({ store, queryTimeoutMs: 50 })) + path('query_range', { query: '{a="b"}' }))
  expect(answer.status).toBe(504)
  expect(answer.text).toMatch(/^request timed out/)
  expect((await asked).maxExecutionSeconds).toBe(1)
  await stopped
})

test('a query whose client went away is stopped in the store', async () => {
  const { store, asked, stopped } = waitingStore()
  const url = await start({ store })
  const controller = new AbortController()
  const answer = fetch(url + path('query_range', { query: '{a="b"}' }), { signal: controller.signal })
  await asked
  controller.abort()
  await expect(answer).rejects.toThrow()
  expect(await stopped).toMatchObject({ name: 'ClientGone' })
})

test('operations: version, readiness, health, metrics, audit, start page, what is not there', async () => {
  const state = { ready: false, reason: 'the write-ahead log <is> replayed' }
  let problem: string | undefined
  const registry = new Registry()
  async function* sources() {
    yield { source: 'a', lost: 0 }
    yield { source: 'b', lost: 1 }
  }
  const url = await start({ registry, ready: () => state, problem: () => problem, audit: sources })
  expect(JSON.parse((await get(`${url}/loki/api/v1/status/buildinfo`)).text)).toMatchObject({ version: '3.7.0' })
  expect(await get(`${url}/ready`)).toEqual({
    status: 503,
    type: 'text/plain; charset=utf-8',
    text: 'not ready: the write-ahead log <is> replayed\n',
  })
  expect((await get(`${url}/`)).text).toContain('the write-ahead log &lt;is&gt; replayed')
  state.ready = true
  expect(await get(`${url}/ready`)).toEqual({ status: 200, type: 'text/plain; charset=utf-8', text: 'ready\n' })
  expect((await get(`${url}/healthz`)).text).toBe('ok\n')
  problem = 'nothing moves'
  expect(await get(`${url}/healthz`)).toEqual({
    status: 503,
    type: 'text/plain; charset=utf-8',
    text: 'nothing moves\n',
  })
  expect(JSON.parse((await get(`${url}/api/v1/audit`)).text)).toEqual([
    { source: 'a', lost: 0 },
    { source: 'b', lost: 1 },
  ])
  expect(await get(`${url}/api/prom/rules/test/test`)).toEqual({
    status: 404,
    type: 'text/plain; charset=utf-8',
    text: '404 page not found\n',
  })
  expect(await get(`${url}/loki/%zz`)).toEqual({
    status: 400,
    type: 'text/plain; charset=utf-8',
    text: '400 Bad Request',
  })
  const put = await fetch(`${url}/loki/api/v1/query_range`, { method: 'PUT', body: 'x' })
  expect([put.status, put.headers.get('allow'), await put.text()]).toEqual([405, 'GET, HEAD, POST', ''])
  const metrics = (await get(`${url}/metrics`)).text
  expect(metrics).toContain('aggregator_http_requests_total{route="/ready",status="200"} 1')
  expect(metrics).toContain('aggregator_http_requests_total{route="none",status="404"} 1')
})

test('metrics are named after Prometheus rules', async () => {
  const registry = new Registry()
  await start({ registry })
  for (const metric of await registry.getMetricsAsJSON()) {
    expect(metric.name).toMatch(/^aggregator_[a-z][a-z0-9_]*$/)
    if (String(metric.type) === 'counter') expect(metric.name).toMatch(/_total$/)
  }
})

test('without a credential only health, readiness and metrics are answered; each role has its routes', async () => {
  const { credentials } = authConfig.parse({
    credentials: [
      { name: 'reader', token: 'r-secret', roles: ['read'], tenants: ['a'] },
      { name: 'pusher', username: 'p', password: 'p-secret', roles: ['push'], tenants: ['a'] },
      { name: 'root', token: 'a-secret', roles: ['admin'], tenants: ['*'] },
    ],
  })
  const registry = new Registry()
  const url = await start({ registry, access: new Access(new Credentials(credentials), true) })
  const headers = {
    nobody: {} as Record<string, string>,
    reader: { authorization: 'Bearer r-secret' },
    pusher: { authorization: `Basic ${Buffer.from('p:p-secret').toString('base64')}` },
    admin: { authorization: 'Bearer a-secret', 'x-scope-orgid': 'a' },
  }
  const statuses = async (route: string) =>
    Object.fromEntries(
      await Promise.all(
        Object.entries(headers).map(async ([who, sent]) => [who, (await get(url + route, { headers: sent })).status]),
      ),
    )
  const labels = path('labels', {})
  expect(await statuses('/ready')).toEqual({ nobody: 200, reader: 200, pusher: 200, admin: 200 })
  expect(await statuses('/metrics')).toEqual({ nobody: 200, reader: 200, pusher: 200, admin: 200 })
  expect(await statuses(labels)).toEqual({ nobody: 401, reader: 200, pusher: 403, admin: 200 })
  expect(await statuses('/api/v1/audit')).toEqual({ nobody: 401, reader: 403, pusher: 403, admin: 200 })
  expect(await statuses('/')).toEqual({ nobody: 401, reader: 200, pusher: 200, admin: 200 })
  expect(await statuses('/nowhere')).toEqual({ nobody: 401, reader: 404, pusher: 404, admin: 404 })
  const refused = await fetch(url + labels)
  expect(refused.headers.get('www-authenticate')).toMatch(/^Basic realm="tributary"/)
  const other = await get(url + labels, { headers: { ...headers.reader, 'x-scope-orgid': 'b' } })
  expect(other).toEqual({
    status: 403,
    type: 'text/plain; charset=utf-8',
    text: 'the credential reader may not speak for the tenant b',
  })
  const metrics = await registry.metrics()
  expect(metrics).toContain('aggregator_http_refused_requests_total{reason="no_credential"} 5')
  expect(metrics).not.toMatch(/-secret/)
})
