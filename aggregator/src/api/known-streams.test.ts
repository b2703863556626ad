/** Streams that a query looked up are remembered until somebody writes, whichever client of the process that is. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { StoreClient } from '../store/client.ts'
import { type Fixture, listen, openFixture } from './fixture.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(() => fixture?.[Symbol.asyncDispose]())

const second = 1_000_000_000n
/** Five minutes begin here, which look-ups are made for. */
const base = 1_700_000_100n * second
const entry = (pod: string, at: number, line = pod) => ({
  time: base + BigInt(at) * second,
  stream: { app: 'web', pod },
  level: '',
  meta: {},
  line,
  source: 'ab'.repeat(16),
  offset: at,
})

/** How often streams were looked up, and the API in front of the store that counts it. */
async function counted(stack: AsyncDisposableStack) {
  const counts = { lookUps: 0, ofRows: [] as string[], during: async () => {} }
  const { client } = fixture
  const url = await listen(stack, {
    store: {
      query: async (sql, parameters, options) => {
        if (sql.includes('FROM streams')) counts.lookUps++
        if (!sql.includes('FROM logs')) return client.query(sql, parameters, options)
        counts.ofRows.push(sql)
        await counts.during()
        return client.query(sql, parameters, options)
      },
      async *queryBytes(sql, parameters, options) {
        counts.ofRows.push(sql)
        await counts.during()
        yield* client.queryBytes(sql, parameters, options)
      },
      get revision() {
        return client.revision
      },
    },
  })
  const lines = async (from: number, to: number, query = '{app="web"}', limit = 100) => {
    const parameters = new URLSearchParams({
      query,
      start: String(base + BigInt(from) * second),
      end: String(base + BigInt(to) * second),
      direction: 'forward',
      limit: String(limit),
    })
    const response = await fetch(`${url}/loki/api/v1/query_range?${parameters}`)
    const { data } = (await response.json()) as { data: { result: { values: [string, string][] }[] } }
    return data.result.flatMap(({ values }) => values.map(([, line]) => line)).sort()
  }
  const sums = async (query: string, at = 3600) => {
    const parameters = new URLSearchParams({ query, time: String(base + BigInt(at) * second) })
    const response = await fetch(`${url}/loki/api/v1/query?${parameters}`)
    const { data } = (await response.json()) as { data: { result: { metric: object; value: [number, string] }[] } }
    return data.result.map(({ metric, value }) => [metric, Number(value[1])])
  }
  return { counts, lines, sums }
}

test('entries of streams that came since the last query are found', async () => {
  await using stack = new AsyncDisposableStack()
  const { counts, lines } = await counted(stack)
  await fixture.insert([entry('a', 0), entry('b', 100)])
  expect(await lines(0, 200)).toEqual(['a', 'b'])
  expect(await lines(0, 200)).toEqual(['a', 'b'])
  // Times near to those asked for share a look-up, and decide over streams all the same.
  expect(await lines(1, 199)).toEqual(['b'])
  expect(await lines(0, 100)).toEqual(['a'])
  expect(await lines(1, 100)).toEqual([])
  expect(counts.lookUps).toBe(1)
  await fixture.insert([entry('c', 150), entry('a', 160, 'later')])
  expect(await lines(0, 200)).toEqual(['a', 'b', 'c', 'later'])
  expect(await lines(0, 200, '{pod="c"}')).toEqual(['c'])
  expect(counts.lookUps).toBe(3)
})

test('rows are not asked for their stream where a selector chose all, unless one came meanwhile', async () => {
  await using stack = new AsyncDisposableStack()
  const { counts, sums } = await counted(stack)
  const big = { ...entry('big', 20), stream: { app: 'web', pod: 'big', zone: 'z' } }
  await fixture.insert([entry('a', 10), big])
  // So many that it is worth it.
  await fixture.client.command(
    `INSERT INTO streams SELECT * REPLACE (10000000 AS entries) FROM streams WHERE labels['pod'] = 'big' LIMIT 1`,
  )
  const query = 'sum by (zone) (count_over_time({app="web"} |= "new" [2h]))'
  const ofStream = (sql: string) => sql.includes('sid IN')
  const selective = 'sum by (zone) (count_over_time({pod="big"} |= "big" [2h]))'
  expect(await sums(selective)).toEqual([[{ zone: 'z' }, 1]])
  expect(await sums(query)).toEqual([])
  expect(counts.ofRows.map(ofStream)).toEqual([true, false])
  // Its metadata is no label where a stream has one of that name; only what is known of the streams tells.
  const late = { ...entry('late', 30, 'new'), meta: { zone: 'meta' } }
  counts.during = async () => {
    counts.during = async () => {}
    await fixture.insert([late])
  }
  expect(await sums(query)).toEqual([])
  expect(counts.ofRows.slice(2).map(ofStream)).toEqual([false, true])
  expect(await sums(query)).toEqual([[{ zone: 'meta' }, 1]])
  expect(counts.ofRows.slice(4).map(ofStream)).toEqual([false])
  // Nor for their five minutes, wherever the window ends: those are a hint.
  const within = 'sum by (pod) (count_over_time({app="web"} [9s]))'
  expect(await sums(within, 25)).toEqual([[{ pod: 'big' }, 1]])
  for (const sql of counts.ofRows.slice(-2)) {
    expect([ofStream(sql), sql.split('toStartOfFiveMinutes(ts)').length - 1]).toEqual([false, 2])
    expect(sql.replace(/indexHint\(.*?\)\)\)\)\)/g, '')).not.toContain('toStartOfFiveMinutes')
  }
})

test('nor where an id is sought in all of them, and what is of a stream that came meanwhile is left out', async () => {
  await using stack = new AsyncDisposableStack()
  const { counts, lines } = await counted(stack)
  const id = '0123456789abcdef'
  await fixture.insert([entry('huge', 50, `huge ${id}`), entry('huge', 60, `more ${id}`)])
  await fixture.client.command(
    `INSERT INTO streams SELECT * REPLACE (100000000 AS entries) FROM streams WHERE labels['pod'] = 'huge' LIMIT 1`,
  )
  const ofStream = () => counts.ofRows.splice(0).map((sql) => sql.includes('sid IN'))
  expect(await lines(0, 3600, `{pod="huge"} |= "${id}"`)).toEqual([`huge ${id}`, `more ${id}`])
  expect(ofStream()).toContain(true)
  expect(await lines(0, 3600, '{app="web"} |= "huge"')).toHaveLength(1)
  expect(ofStream()).toContain(true)
  counts.during = async () => {
    counts.during = async () => {}
    await fixture.insert([40, 50].map((at) => entry('newcomer', at, `new ${id}`)))
  }
  // The newcomers' lines come first, and don't count.
  expect(await lines(0, 3600, `{app="web"} |= "${id}"`, 1)).toEqual([`huge ${id}`])
  expect(ofStream()).not.toContain(true)
  expect(await lines(0, 3600, `{app="web"} |= "${id}"`)).toEqual(
    [`huge ${id}`, `more ${id}`, `new ${id}`, `new ${id}`].sort(),
  )
  expect(ofStream()).not.toContain(true)
})

test('what another thread inserts counts, and what fails too', async () => {
  // A thread gets the connection as a copy, which shares the revision.
  const other = new StoreClient(structuredClone(fixture.client.connection))
  try {
    const before = fixture.client.revision!
    await other.command('SELECT 1')
    expect(fixture.client.revision).toBe(before + 1)
    await expect(other.insertNative('logs', ['nonsense'], Buffer.from('x'), 'token')).rejects.toThrow()
    expect(fixture.client.revision).toBe(before + 2)
  } finally {
    await other.close()
  }
})

test('of a store that others write into nothing is known', () => {
  const { revision: _, ...connection } = fixture.client.connection
  expect(new StoreClient({ ...connection, engine: 'clickhouse' }).revision).toBeUndefined()
})
