import { randomUUID } from 'node:crypto'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { StoreClient } from '../client.ts'
import { openTestStore, type TestStore } from '../test-store.ts'
import { spooledParameter, spooledRows } from './spool.ts'

let opened: TestStore
beforeAll(async () => {
  opened = await openTestStore()
})
afterAll(() => opened[Symbol.asyncDispose]())

/** A request as ClickHouse's HTTP interface takes it, without any client of ours. */
async function post(sql: string, parameters: Record<string, string> = {}, init: RequestInit = {}): Promise<Response> {
  const {
    urls: [url],
    username,
    password,
  } = opened.store.connection
  const headers = { 'x-clickhouse-user': username, 'x-clickhouse-key': password }
  return fetch(`${url}/?${new URLSearchParams(parameters)}`, { method: 'POST', headers, body: sql, ...init })
}

describe('who may ask', () => {
  const connection = () => opened.store.connection
  test('a ping needs no password', async () => {
    const response = await fetch(`${connection().urls[0]}/ping`)
    expect([response.status, await response.text()]).toEqual([200, 'Ok.\n'])
  })
  test.for([
    { how: 'no credentials', headers: () => ({}), query: () => '', status: 403 },
    {
      how: 'a wrong key',
      headers: () => ({ 'x-clickhouse-user': connection().username, 'x-clickhouse-key': 'x' }),
      query: () => '',
      status: 403,
    },
    {
      how: 'basic authorization',
      headers: () => ({ authorization: `Basic ${btoa(`${connection().username}:${connection().password}`)}` }),
      query: () => '',
      status: 200,
    },
    {
      how: 'the URL',
      headers: () => ({}),
      query: () => `?${new URLSearchParams({ user: connection().username, password: connection().password })}`,
      status: 200,
    },
  ])('with $how the answer is $status', async ({ headers, query, status }) => {
    const response = await fetch(`${connection().urls[0]}/${query()}`, {
      method: 'POST',
      headers: headers() as Record<string, string>,
      body: 'SELECT 1',
    })
    expect(response.status).toBe(status)
    expect(response.headers.get('x-clickhouse-exception-code')).toBe(status === 200 ? null : '516')
  })
})

describe('statements', () => {
  test('come in the URL, in the body, or in both', async () => {
    expect(await (await post('', { query: 'SELECT 1' })).text()).toBe('1\n')
    expect(await (await post('SELECT 2')).text()).toBe('2\n')
    expect(await (await post('FORMAT CSV', { query: "SELECT 'a'" })).text()).toBe('"a"\n')
  })
  test('name their format, or get the default one', async () => {
    const named = await post('SELECT 1 AS a FORMAT JSONEachRow')
    expect([await named.text(), named.headers.get('x-clickhouse-format')]).toEqual(['{"a":1}\n', 'JSONEachRow'])
    const given = await post('SELECT 1 AS a', { default_format: 'JSONCompactEachRow' })
    expect([await given.text(), given.headers.get('x-clickhouse-format')]).toEqual(['[1]\n', 'JSONCompactEachRow'])
  })
  test('tell what came of them', async () => {
    const response = await post('SELECT sum(number) FROM numbers(1000)', { wait_end_of_query: '1', query_id: 'q1' })
    expect(JSON.parse(response.headers.get('x-clickhouse-summary')!)).toMatchObject({ result_rows: '1' })
    expect(response.headers.get('x-clickhouse-query-id')).toBe('q1')
  })
  test('are answered compressed when asked', async () => {
    const {
      urls: [url],
      username,
      password,
    } = opened.store.connection
    const settings = 'enable_http_compression=1&query=SELECT+number+FROM+numbers(100000)'
    for (const wait of ['0', '1']) {
      const body = await new Promise<Buffer>((resolve, reject) => {
        const auth = `${username}:${password}`
        const sent = request(`${url}/?${settings}&wait_end_of_query=${wait}`, {
          auth,
          headers: { 'accept-encoding': 'gzip' },
        })
        sent.on('error', reject).on('response', async (response) => {
          expect(response.headers['content-encoding']).toBe('gzip')
          resolve(await buffer(response))
        })
        sent.end()
      })
      expect(gunzipSync(body).toString().split('\n')).toHaveLength(100_001)
    }
  })
})

describe('exceptions', () => {
  test.for([
    { sql: 'SELEC 1', status: 400, code: 62 },
    { sql: 'SELECT * FROM missing', status: 404, code: 60 },
    { sql: 'SELECT nonsense', status: 404, code: 47 },
    { sql: 'SELECT {p:String}', status: 400, code: 456 },
    { sql: "SELECT throwIf(1, 'on purpose')", status: 500, code: 395 },
  ])('of $sql have code $code and status $status', async ({ sql, status, code }) => {
    for (const wait of ['0', '1']) {
      const response = await post(sql, { wait_end_of_query: wait })
      expect([response.status, response.headers.get('x-clickhouse-exception-code')]).toEqual([status, String(code)])
      expect(await response.text()).toMatch(new RegExp(`^Code: ${code}\\. DB::Exception: .*\\([A-Z_]+\\)\\n$`, 's'))
    }
  })
  test('of a setting that no request may give', async () => {
    const response = await post('SELECT 1', { user_files_path: '/' })
    expect([response.status, response.headers.get('x-clickhouse-exception-code')]).toEqual([404, '115'])
  })
  test('of a statement without end', async () => {
    const response = await post(`SELECT '${'x'.repeat(17 * 1024 * 1024)}'`)
    expect([response.status, response.headers.get('x-clickhouse-exception-code')]).toEqual([413, '223'])
  })
  test('of a wrong method or path', async () => {
    expect((await post('SELECT 1', {}, { method: 'PUT' })).status).toBe(500)
  })
  test('of a time limit', async () => {
    const sql = 'SELECT sum(sleepEachRow(0.05)) FROM numbers(100) SETTINGS max_block_size = 1'
    const response = await post(sql, { max_execution_time: '0.2' })
    expect([response.status, response.headers.get('x-clickhouse-exception-code')]).toEqual([408, '159'])
  })
})

describe('what one request sets', () => {
  test('is not seen by the next, on any session', async () => {
    const sql = "SELECT getSetting('max_execution_time'), getSetting('max_block_size'), getSetting('max_memory_usage')"
    const before = await (await post(sql)).text()
    const set = { max_execution_time: '7', max_block_size: '11', max_memory_usage: '123456789' }
    const many = Array.from({ length: 8 })
    expect(await Promise.all(many.map(async () => (await post(sql, set)).text()))).toEqual(
      many.map(() => '7\t11\t123456789\n'),
    )
    expect(await Promise.all(many.map(async () => (await post(sql)).text()))).toEqual(many.map(() => before))
    expect(before).toBe('0\t65409\t300000000\n')
  })
  test('has its threads, though the engine has little memory', async () => {
    const plan = await post('EXPLAIN PIPELINE SELECT sum(number) FROM numbers_mt(10000000)', { max_threads: '3' })
    expect(await plan.text()).toContain('AggregatingTransform × 3')
  })
  test('is taken back after a setting that was refused', async () => {
    expect((await post('SELECT 1', { max_threads: '1', max_execution_time: 'x' })).status).not.toBe(200)
    const many = Array.from({ length: 8 })
    const values = await Promise.all(many.map(async () => (await post("SELECT getSetting('max_threads') > 0")).text()))
    expect(values).toEqual(many.map(() => '1\n'))
  })
  test('a parameter of an earlier request is unknown to a later one', async () => {
    for (let i = 0; i < 5; i++)
      expect(await (await post('SELECT {once:String}', { param_once: 'x' })).text()).toBe('x\n')
    for (let i = 0; i < 5; i++) expect((await post('SELECT {once:String}')).status).toBe(400)
  })
  test('parameters of requests at the same time do not mix', async () => {
    const values = Array.from({ length: 40 }, (_, i) => `value-${i}`)
    const answers = await Promise.all(
      values.map(async (value) => (await post('SELECT {v:String}, sleep(0.01)', { param_v: value })).text()),
    )
    expect(answers).toEqual(values.map((value) => `${value}\t0\n`))
  })
})

describe('a client that goes away', () => {
  test.for(['0', '1'])('ends its query (wait_end_of_query=%s)', async (wait) => {
    const gone = new AbortController()
    const sql = `SELECT number, sleepEachRow(0.05) FROM numbers(1000) SETTINGS max_block_size = 1 /* leave ${wait} */`
    const asked = post(sql, { wait_end_of_query: wait }, { signal: gone.signal }).then((response) => response.text())
    const running = `SELECT count() FROM system.processes WHERE query LIKE '%leave ${wait}%' AND query NOT LIKE '%processes%'`
    await expect.poll(async () => (await post(running)).text()).toBe('1\n')
    gone.abort()
    await expect(asked).rejects.toThrow()
    await expect.poll(async () => (await post(running)).text()).toBe('0\n')
  })
})

describe('rows', () => {
  const rows = Buffer.from('\x01\x03\x01n\x05UInt8\x01\x02\x03', 'latin1')
  const spooled = () => readdir(join(opened.directory, 'spool'))
  beforeAll(async () => {
    await opened.client.command('CREATE TABLE small (n UInt8) ENGINE = MergeTree ORDER BY n')
  })

  test('come in the body, once it is there as a whole', async () => {
    const {
      urls: [url],
      username,
      password,
    } = opened.store.connection
    const query = new URLSearchParams({ query: 'INSERT INTO small (n) FORMAT Native' })
    const options = { method: 'POST', auth: `${username}:${password}`, headers: { 'content-length': rows.length } }
    const broken = request(`${url}/?${query}`, options).on('error', () => {})
    broken.write(rows.subarray(0, -1))
    await expect.poll(spooled).toHaveLength(1)
    broken.destroy()
    await expect.poll(spooled).toHaveLength(0)
    expect(await (await post('SELECT count() FROM small')).text()).toBe('0\n')
    expect((await post('', Object.fromEntries(query), { body: rows })).status).toBe(200)
    expect(await (await post('SELECT groupArray(n) FROM small')).text()).toBe('[1,2,3]\n')
    expect(await spooled()).toEqual([])
  })

  test('are taken from the spool by the name of a file there, and from nowhere else', async () => {
    const query = 'INSERT INTO small (n) FORMAT Native'
    const name = spooledRows(randomUUID())
    const insert = (from: string) => post('', { query, [spooledParameter]: from, insert_deduplication_token: name })
    expect((await insert(name)).status).not.toBe(200)
    await writeFile(join(opened.directory, 'spool', name), rows)
    const count = async () => Number(await (await post('SELECT count() FROM small')).text())
    const before = await count()
    expect((await insert(name)).status).toBe(200)
    expect(await count()).toBe(before + 3)
    await rm(join(opened.directory, 'spool', name))
    for (const other of [`../spool/${name}`, `/tmp/${name}`, '', 'x.rows', `${name}/`, `${name}\n`]) {
      const refused = await insert(other)
      expect([refused.status, refused.headers.get('x-clickhouse-exception-code')], other).toEqual([404, '115'])
    }
  })

  test('of the client go through the spool, which is empty afterwards, whatever became of them', async () => {
    const { client } = opened
    const before = await client.query<{ n: string }>('SELECT count() AS n FROM small')
    await client.insertNative('small', ['n'], [rows.subarray(0, 4), rows.subarray(4)], 'through the spool')
    const after = await client.query<{ n: string }>('SELECT count() AS n FROM small')
    expect(Number(after.rows[0]!.n)).toBe(Number(before.rows[0]!.n) + 3)
    await expect(client.insertNative('small', ['n'], rows.subarray(0, -1), 'broken')).rejects.toThrow()
    await expect(client.insertNative('nothing', ['n'], rows, 'no table')).rejects.toMatchObject({ code: 'rejected' })
    expect(await spooled()).toEqual([])
    const nowhere = new StoreClient({ ...client.connection, spool: join(opened.directory, 'none') })
    await expect(nowhere.insertNative('small', ['n'], rows, 'x')).rejects.toMatchObject({ code: 'unavailable' })
    await nowhere.close()
  })

  test('have the cores before queries that begin while they come in', async () => {
    const threads = async (given = {}) => {
      const answer = await post("SELECT toUInt64(getSetting('max_threads'))", given)
      return Number(await answer.text())
    }
    const half = Math.max(1, Math.floor(availableParallelism() / 2))
    await opened.client.insertNative('small', ['n'], rows, 'before a query')
    expect(await threads()).toBe(half)
    expect(await threads({ max_threads: '7' })).toBe(7)
    // Long behind the last insert a query has all of them again.
    await expect.poll(() => threads(), { timeout: 10_000, interval: 200 }).toBe(availableParallelism())
  })

  test('are taken in no other format', async () => {
    const response = await post('{"n": 1}', { query: 'INSERT INTO small FORMAT JSONEachRow' })
    expect([response.status, response.headers.get('x-clickhouse-exception-code')]).toEqual([400, '73'])
  })
})
