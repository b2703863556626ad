/** How searches go about the store: what of its sort key they use, and what they ask for before it is its turn. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { all, Parameters, timeConditions } from '../logql/sql.ts'
import { type Fixture, listen, openFixture } from './fixture.ts'

const second = 1_000_000_000n
const hour = 3600n * second
/** A full hour, UTC, of a day from which there are others on both sides. */
const base = 1_700_002_800n * second
const id = '0123456789abcdef'

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
  // A row each second of 30 hours.
  await fixture.client.command(
    `INSERT INTO logs (tenant, ts, sid, pod, line) SELECT 'times', fromUnixTimestamp64Nano({base:Int64} + toInt64(number) * 1000000000), 1,
      concat('pod-', toString(number % 7)), 'x' FROM numbers(108000)`,
    { base: String(base) },
  )
})
afterAll(() => fixture?.[Symbol.asyncDispose]())

async function inTime(first: bigint, last: bigint, explain = '') {
  const parameters = new Parameters()
  const where = ["tenant = 'times'", ...timeConditions(parameters, first, last)]
  const { sql, params } = parameters.statement(
    `${explain} SELECT count() AS rows, sum(cityHash64(ts)) AS sum`,
    `FROM logs WHERE ${all(where)}`,
  )
  return fixture.client.query<{ rows: string; sum: string; explain: string }>(sql, { ...params })
}

const explained = async (first: bigint, last: bigint) =>
  (await inTime(first, last, 'EXPLAIN indexes = 1')).rows.map((row) => row.explain.replace(/^[\s│]+/, ''))

test('a long stretch has exactly its rows, and its granules are found by a binary search', async () => {
  const edges = [0n, 1n, 299n * second + 7n, hour - 1n, hour, hour + 1n, 23n * hour, 29n * hour + 1n, 40n * hour]
  for (const from of edges) {
    for (const to of edges.filter((edge) => edge >= from)) {
      const [first, last] = [base + from, base + to]
      const { rows } = await inTime(first, last)
      const { rows: expected } = await fixture.client.query(
        `SELECT count() AS rows, sum(cityHash64(ts)) AS sum FROM logs WHERE tenant = 'times' AND toUnixTimestamp64Nano(ts) BETWEEN {first:Int64} AND {last:Int64}`,
        { first: String(first), last: String(last) },
      )
      expect(rows).toEqual(expected)
    }
  }
  const long = await explained(base + hour, base + 6n * hour)
  expect(long).toContain('Search Algorithm: binary search')
  // Days on both sides are left out, and so is what is at other times of the day.
  const granules = long.flatMap((line) => /^Granules: (\d+)\/(\d+)$/.exec(line)?.slice(1, 3).map(Number) ?? [])
  expect(granules.at(-2)).toBeLessThan(granules[1]!)
})

test('what lies within an hour is found by its very time', async () => {
  const short = await explained(base, base + hour - 1n)
  expect(short.join()).toMatch(/Keys:,tenant,toStartOfFiveMinutes\(ts\),ts/)
})

test('times that have no bucket are looked for all the same', async () => {
  const first = -2_208_988_800n * second
  expect((await inTime(first, base - 1n)).rows[0]!.rows).toBe('0')
  expect((await inTime(first, base)).rows[0]!.rows).toBe('1')
  expect((await inTime(base, (1n << 63n) - 1n)).rows[0]!.rows).toBe('108000')
})

/** An API that tells of the statements that read entries, and delays them. */
async function watched(stack: AsyncDisposableStack) {
  const statements: { ended: 'read' | 'left' | undefined; rows: number }[] = []
  const gate = { second: Promise.resolve() }
  const { client } = fixture
  const url = await listen(stack, {
    store: {
      query: (sql, parameters, options) => client.query(sql, parameters, options),
      async *queryBytes(sql, parameters, options) {
        const statement = {
          ended: undefined as 'read' | 'left' | undefined,
          rows: 0,
        }
        const late = statements.push(statement) === 2
        try {
          if (late) await Promise.race([gate.second, ended(options!.signal!)])
          options!.signal!.throwIfAborted()
          for await (const piece of client.queryBytes(sql, parameters, options)) {
            statement.rows += piece.length
            yield piece
          }
          statement.ended = 'read'
        } finally {
          statement.ended ??= 'left'
        }
      },
      get revision() {
        return client.revision
      },
    },
  })
  const lines = async (query: string, limit: number, direction = 'backward') => {
    const parameters = { query, start: String(base), end: String(base + 3n * hour), limit: String(limit), direction }
    const response = await fetch(`${url}/loki/api/v1/query_range?${new URLSearchParams(parameters)}`)
    if (!response.ok) throw new Error(await response.text())
    const { data } = (await response.json()) as { data: { result: { values: [string, string][] }[] } }
    return data.result
      .flatMap(({ values }) => values)
      .sort(([a], [b]) => (a < b ? 1 : -1))
      .map(([, line]) => line)
  }
  return { statements, gate, lines }
}

const ended = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))

test('an id is looked for in all of the time at once, and what is newest comes first', async () => {
  await using stack = new AsyncDisposableStack()
  const entry = (minute: number, line: string) => ({
    time: base + BigInt(minute * 60) * second,
    stream: { app: 'web' },
    level: '',
    meta: {},
    line,
    source: 'ab'.repeat(16),
    offset: minute,
  })
  const minutes = [0, 30, 60, 90, 175, 176, 177, 178]
  await fixture.insert(minutes.map((minute) => entry(minute, `${minute} ${id}`)))
  const newest = minutes.map((minute) => `${minute} ${id}`).reverse()
  const { statements, gate, lines } = await watched(stack)
  const query = `{app="web"} |= "${id}"`
  expect(await lines(query, 100)).toEqual(newest)
  expect(statements.splice(0).map(({ ended }) => ended)).toEqual(['read', 'read'])
  // Where the limit lies within what was asked ahead, and at its edges.
  for (const limit of [5, 7, 8]) expect(await lines(query, limit)).toEqual(newest.slice(0, limit))
  expect(await lines(query, 6, 'forward')).toEqual(newest.slice(2))
  statements.splice(0)
  // The newest are enough: what was asked ahead is given up, and nobody waits for it.
  gate.second = new Promise(() => {})
  expect(await lines(query, 3)).toEqual(newest.slice(0, 3))
  await expect.poll(() => statements.map(({ ended }) => ended)).toEqual([expect.anything(), 'left'])
  expect(statements[1]!.rows).toBe(0)
  statements.splice(0)
  // What may be in many lines is not looked for ahead.
  expect(await lines('{app="web"} |= "178"', 1)).toEqual(newest.slice(0, 1))
  expect(statements).toHaveLength(1)
})

test('an error of what was asked ahead is told when it is its turn, and not before', async () => {
  await using stack = new AsyncDisposableStack()
  const { gate, statements, lines } = await watched(stack)
  gate.second = Promise.reject(new Error('the store is away'))
  gate.second.catch(() => {})
  expect(await lines(`{app="web"} |= "${id}"`, 3)).toHaveLength(3)
  statements.splice(0)
  await expect(lines(`{app="web"} |= "${id}"`, 4 + 4)).rejects.toThrow('internal error')
})
