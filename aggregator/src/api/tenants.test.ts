/** A request sees the rows of its tenants and no others, whatever it asks. */
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Access } from '../access/access.ts'
import { Credentials } from '../access/credentials.ts'
import { Reader, type RowStore } from '../logql/rows.ts'
import { TenantScope } from '../logql/tenant-scope.ts'
import { type Fixture, openFixture } from './fixture.ts'
import type { StoredEntry } from './oracle.ts'
import { createApi } from './server.ts'

const base = 1_700_000_000_000_000_000n
const credentials = new Credentials([
  { name: 'a', token: 'a-token', roles: ['read'], tenants: ['a'] },
  { name: 'gateway', token: 'gateway-token', roles: ['read', 'push', 'admin'], tenants: ['*'] },
])

/** Both have a stream with the labels {app="shared"}, and so with the same number. */
const entriesOf = (name: string, offset: number): StoredEntry[] =>
  [
    { app: 'shared', namespace: 'shop' },
    { app: `only-${name}`, namespace: 'shop', [`label_of_${name}`]: `value-of-${name}` },
  ].map((stream, i) => ({
    time: base + BigInt(offset + i),
    stream,
    level: i === 0 ? 'info' : `level-of-${name}`,
    meta: { [`meta_of_${name}`]: `meta-of-${name}` },
    line: `{"line-of-${name}": "${i}"}`,
    source: 'ab'.repeat(16),
    offset: i,
  }))

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture({ access: new Access(credentials, true) })
  await fixture.insert(entriesOf('a', 0), 'utf8', 'a')
  await fixture.insert(entriesOf('b', 10), 'utf8', 'b')
  await fixture.insert(entriesOf('c', 20), 'utf8', 'c')
})
afterAll(() => fixture?.[Symbol.asyncDispose]())

const hour = { start: String(base - 10n), end: String(base + 3_600_000_000_000n) }

async function ask(path: string, parameters: Record<string, string>, headers: Record<string, string>) {
  const answer = await fetch(`${fixture.url}${path}?${new URLSearchParams({ ...hour, ...parameters })}`, { headers })
  return { status: answer.status, text: await answer.text() }
}
const asA = { authorization: 'Bearer a-token' }
const as = (tenants: string) => ({ authorization: 'Bearer gateway-token', 'x-scope-orgid': tenants })

/** Every route there is, those too that somebody adds after this was written. */
async function routes(): Promise<string[]> {
  const app = createApi({
    store: {} as RowStore,
    access: new Access(credentials, true),
    version: '0',
    log: pino({ level: 'silent' }),
    registry: new Registry(),
    ready: () => ({ ready: true }),
    audit: () => [],
  })
  await app.ready()
  // A tree: what is deeper goes on behind what it stands under.
  const above: string[] = []
  const found: string[] = []
  for (const line of app.printRoutes({ commonPrefix: false }).split('\n')) {
    const [, indent, text, methods] = /^([│ ]*)[└├]── (\S+)(?: \(([A-Z, ]+)\))?/.exec(line) ?? []
    if (indent === undefined || text === undefined) continue
    above.splice(indent.length / 4, above.length, text)
    if (methods?.includes('GET')) found.push(above.join('').replaceAll('//', '/'))
  }
  await app.close()
  return found
}

/** What makes every endpoint say as much as it can. */
const asked = [
  { query: '{app=~".+"}' },
  { query: '{app="shared"}', limit: '1000' },
  { query: '{app=~".+"} |= "line"', direction: 'forward' },
  { query: '{__tenant_id__="b"}' },
  { query: '{__tenant_id__=~".+", app=~".+"}' },
  { query: 'sum by (app, level, detected_level, __tenant_id__) (count_over_time({app=~".+"}[2h]))', step: '3600' },
  { query: 'count_over_time({app=~".+"}[2h])', time: String(base + 100n), step: '3600' },
  { query: '{app=~".+"} | json', step: '3600' },
  { 'match[]': '{app=~".+"}' },
  { query: '{app=~".+"}', targetLabels: 'app,label_of_b', aggregateBy: 'labels', step: '3600' },
  { match: '{}' },
  { query: '{}' },
  {},
]

test('no route tells a tenant anything of another', { timeout: 120_000 }, async () => {
  const paths = await routes()
  expect(paths).toEqual(
    expect.arrayContaining(['/loki/api/v1/query_range', '/loki/api/v1/label/:name/values', '/metrics']),
  )
  let told = 0
  for (const path of paths) {
    for (const name of path.includes(':') ? ['app', 'label_of_b', '__tenant_id__', 'detected_level'] : ['']) {
      for (const parameters of asked) {
        const named = path.replace(/:\w+/, name)
        // Whether the tenant comes from the credential or from the header.
        const headers = told % 2 === 0 ? asA : as('a')
        const { status, text } = await ask(named, parameters as Record<string, string>, headers)
        expect(text, `${named} ${JSON.stringify(parameters)} ${status}`).not.toMatch(/of[-_]b|only-b|of[-_]c|only-c/)
        if (status === 200 && /of[-_]a|only-a/.test(text)) told++
      }
    }
  }
  expect(told).toBeGreaterThan(20)
})

test('a tenant that is not its own is refused on every route that reads', async () => {
  for (const path of ['query_range', 'query', 'labels', 'label', 'label/app/values', 'series', 'index/stats']) {
    for (const tenant of ['b', 'a|b', 'b|a'])
      expect(
        (await ask(`/loki/api/v1/${path}`, { query: '{app=~".+"}' }, { ...asA, 'x-scope-orgid': tenant })).status,
      ).toBe(403)
  }
})

const data = async (path: string, parameters: Record<string, string>, tenants: string) =>
  JSON.parse((await ask(`/loki/api/v1/${path}`, parameters, as(tenants))).text)

test('a query of several tenants tells their streams apart by __tenant_id__', async () => {
  const { data: found } = await data('query_range', { query: '{app="shared"}' }, 'a|b')
  const streams = found.result.map(({ stream, values }: { stream: Record<string, string>; values: string[][] }) => [
    stream['__tenant_id__'],
    stream['app'],
    values.length,
  ])
  expect(streams.sort()).toEqual([
    ['a', 'shared', 1],
    ['b', 'shared', 1],
  ])
  const one = await data('query_range', { query: '{app=~".+", __tenant_id__="b"}' }, 'a|b')
  expect(JSON.stringify(one)).not.toMatch(/of-a|only-a/)
  expect(one.data.result).toHaveLength(2)
})

test('labels, values, series and stats of several tenants are those of each together', async () => {
  const together = await data('labels', {}, 'c|a')
  expect(together.data).toEqual(['__tenant_id__', 'app', 'label_of_a', 'label_of_c', 'namespace'])
  expect((await data('label/__tenant_id__/values', {}, 'a|b')).data).toEqual(['a', 'b'])
  expect((await data('label/app/values', { query: '{__tenant_id__!="a"}' }, 'a|b')).data).toEqual(['only-b', 'shared'])
  expect((await data('series', { match: '{app="shared"}' }, 'a|b')).data).toEqual([
    { __tenant_id__: 'a', app: 'shared', namespace: 'shop' },
    { __tenant_id__: 'b', app: 'shared', namespace: 'shop' },
  ])
  expect(await data('index/stats', { query: '{app="shared"}' }, 'a|b|c')).toMatchObject({ streams: 3, entries: 3 })
})

test('metrics of several tenants are counted together, or apart by __tenant_id__', async () => {
  const query = (by: string) => `sum by (${by}) (count_over_time({app=~".+"}[1h]))`
  const at = { time: String(base + 1000n) }
  const values = async (by: string, tenants: string) =>
    (await data('query', { query: query(by), ...at }, tenants)).data.result.map(
      ({ metric, value }: { metric: Record<string, string>; value: [number, string] }) => [
        Object.values(metric).join(),
        value[1],
      ],
    )
  expect(await values('namespace', 'a|b')).toEqual([['shop', '4']])
  expect(await values('__tenant_id__', 'a|b')).toEqual([
    ['a', '2'],
    ['b', '2'],
  ])
  expect(await values('namespace', 'b')).toEqual([['shop', '2']])
})

test('a statement that is not restricted to the tenants of its request is refused', async () => {
  const store: RowStore = { query: () => expect.unreachable(), queryBytes: () => expect.unreachable() }
  const scope = new TenantScope(['a'])
  const reader = new Reader(store, scope, new AbortController().signal, performance.now() + 1000)
  await expect(reader.read({ sql: 'SELECT 1 FROM logs', params: {}, scope: undefined })).rejects.toThrow(TypeError)
  await expect(reader.read({ sql: 'SELECT 1', params: {}, scope: new TenantScope(['a']) })).rejects.toThrow(TypeError)
})
