import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { StoreClient } from '../store/client.ts'
import { StoreError } from '../store/error.ts'
import { LogBlock } from '../store/log-block.ts'
import { migrate } from '../store/migrations.ts'
import type { RowStream } from '../store/row-stream.ts'
import { logsTable } from '../store/schema.ts'
import { openTestStore, quietLog, rowStream, type TestStore, volumeOf } from '../store/test-store.ts'
import { volumeName } from '../store/volume.ts'
import { dayPartitions } from './day-partitions.ts'
import { expiredRows, recordExpired } from './expired-rows.ts'
import { RetentionMetrics } from './metrics.ts'
import type { RetentionPolicy } from './policy.ts'
import { Retention, sweepInterval } from './retention.ts'

const hour = 3_600_000
const day = 24 * hour
const now = Date.parse('2026-11-23T12:00:00Z')

async function openStore(): Promise<TestStore> {
  const opened = await openTestStore()
  await migrate(opened.client, quietLog)
  return opened
}

/** Puts one row into the store for each age, in hours before `now`. */
async function insert({ client }: TestStore, stream: Partial<RowStream>, ages: readonly number[], token: string) {
  const block = new LogBlock()
  block.setStream(rowStream(stream))
  for (const [i, age] of ages.entries()) block.add(now / 1000 - age * 3600, 0, i, '', Buffer.from('line'), 0, 4)
  await client.insertNative('streams', block.streams.columns, block.streams.encode(), token)
  await client.insertNative('logs', block.columns, block.encode(), token)
}

function retentionOf({ client }: Pick<TestStore, 'client'>, policy: Partial<RetentionPolicy>, more = {}): Retention {
  const whole = { retention: 7 * day, rules: [], ...policy }
  return new Retention({
    client,
    policy: whole,
    log: quietLog,
    id: 'a',
    now: () => now,
    metrics: new RetentionMetrics(new Registry()),
    ...more,
  })
}

const source = (byte: number) => Buffer.alloc(16, byte)
const id = (byte: number) => source(byte).toString('hex')

test('expired days leave both tables, are counted, and the others stay', async () => {
  await using opened = await openStore()
  const { client } = opened
  await insert(
    opened,
    {},
    Array.from({ length: 10 }, (_, age) => age * 24),
    't',
  )
  const registry = new Registry()
  const retention = retentionOf(opened, {}, { metrics: new RetentionMetrics(registry) })
  const { days } = await retention.sweep()
  expect(days.map(({ table, day }) => `${table} ${day}`)).toEqual([
    'logs 2026-11-14',
    'streams 2026-11-14',
    'logs 2026-11-15',
    'streams 2026-11-15',
  ])
  const left = await dayPartitions(client)
  expect(left).toHaveLength(16)
  expect(left[0]).toMatchObject({ day: '2026-11-16', rows: 1 })
  expect(await retention.sweep()).toEqual({ days: [], rows: 0 })
  const { values } = await registry.getSingleMetric('aggregator_store_expired_rows_total')!.get()
  expect(values).toMatchObject([
    { labels: { table: 'logs', reason: 'retention' }, value: 2 },
    { labels: { table: 'streams', reason: 'retention' }, value: 2 },
  ])
})

test('what expires is remembered by source: once when the drop is repeated, again when rows of the day come back', async () => {
  await using opened = await openStore()
  const { client } = opened
  const old = 9 * 24
  await insert(opened, { source: source(1) }, [old, old, old], 'a')
  await insert(opened, { source: source(2) }, [old, old, old, old], 'b')
  const [oldest = expect.unreachable()] = await dayPartitions(client)
  await recordExpired(client, oldest, 'retention')
  const retention = retentionOf(opened, {})
  await retention.sweep()
  expect(await expiredRows(client)).toEqual(
    new Map([
      [id(1), { retention: 3, disk: 0 }],
      [id(2), { retention: 4, disk: 0 }],
    ]),
  )
  await insert(opened, { source: source(1) }, [old, old], 'c')
  await retention.sweep()
  expect((await expiredRows(client)).get(id(1))).toEqual({ retention: 5, disk: 0 })
})

/** What is left, as `namespace tenant age`. */
async function ages({ client }: TestStore): Promise<string[]> {
  const { rows } = await client.query<{ namespace: string; tenant: string; age: string }>(
    `SELECT namespace, tenant, dateDiff('hour', ts, toDateTime64({now:String}, 9, 'UTC')) AS age FROM logs
     ORDER BY namespace, tenant, age`,
    { now: new Date(now).toISOString().slice(0, 19) },
  )
  return rows.map(({ namespace, tenant, age }) => `${namespace} ${tenant} ${age}`)
}

const rules = [
  { selector: '{namespace="dev", team!~"a.*"}', tenant: 'one', keep: 6 * hour },
  { selector: '{namespace=~"dev|audit"}', keep: 20 * day },
  { selector: '{}', tenant: 'two', keep: 2 * hour },
]

test('rules keep the rows of tenants and streams shorter and longer, to the hour; the first one decides', async () => {
  await using opened = await openStore()
  const at = [1, 5, 7, 30, 240, 600]
  await insert(opened, { namespace: 'dev', tenant: 'one', sid: 1n }, at, 'a')
  await insert(opened, { namespace: 'dev', tenant: 'two', sid: 2n }, at, 'b')
  await insert(opened, { namespace: 'audit', tenant: 'one', sid: 3n }, at, 'c')
  await insert(opened, { namespace: 'shop', tenant: 'one', sid: 4n }, at, 'd')
  await insert(opened, { namespace: 'shop', tenant: 'two', sid: 5n }, at, 'e')
  await insert(opened, { namespace: 'dev', tenant: 'one', sid: 6n, labels: { team: 'alpha' } }, [7, 30], 'f')
  await retentionOf(opened, { rules }).sweep()
  expect(await ages(opened)).toEqual([
    ...['audit one 1', 'audit one 5', 'audit one 7', 'audit one 30', 'audit one 240'],
    // The last two are of the team whose name begins with an a: kept by the second rule.
    ...['dev one 1', 'dev one 5', 'dev one 7', 'dev one 30'],
    ...['dev two 1', 'dev two 5', 'dev two 7', 'dev two 30', 'dev two 240'],
    ...['shop one 1', 'shop one 5', 'shop one 7', 'shop one 30'],
    'shop two 1',
  ])
  const { rows } = await opened.client.query<{ sid: string; day: string }>(
    'SELECT toString(sid) AS sid, toString(max(day)) AS day FROM streams GROUP BY sid ORDER BY sid',
  )
  expect(rows.map(({ sid }) => sid)).toEqual(['1', '2', '3', '4', '5', '6'])
  const gone = await opened.client.query("SELECT * FROM streams WHERE sid = 5 AND day < '2026-11-23'")
  expect(gone.rows).toEqual([])
})

test('rows that a rule deleted are counted once, and a deletion that was cut short is finished as it was begun', {
  timeout: 60_000,
}, async () => {
  await using opened = await openStore()
  const { client } = opened
  await insert(opened, { namespace: 'dev', tenant: 'one', source: source(1) }, [3, 4, 5, 7, 8, 9], 'a')
  await insert(opened, { namespace: 'shop', tenant: 'one', source: source(2) }, [1, 7], 'b')
  // Cut short behind each of its statements, one after the other; then left alone.
  const failing = (after: number) => {
    let statements = 0
    const cut = new StoreClient(client.connection)
    const command = cut.command.bind(cut)
    cut.command = (...args: Parameters<StoreClient['command']>) =>
      ++statements > after ? Promise.reject(new StoreError('unavailable', 'cut')) : command(...args)
    return { client: cut, statements: () => statements, [Symbol.asyncDispose]: () => cut.close() }
  }
  let after = 0
  for (; ; after++) {
    await using cut = failing(after)
    // Later each time, so that more rows are too old than were when the one before was cut short.
    const sweep = retentionOf(cut, { rules }, { now: () => now + after * hour }).sweep()
    const failed = await sweep.then(
      () => false,
      (error: unknown) => {
        if (!(error instanceof StoreError)) throw error
        return true
      },
    )
    if (!failed) break
    expect(after).toBeLessThan(20)
  }
  expect(after).toBeGreaterThan(4)
  expect(await ages(opened)).toEqual(['shop one 1', 'shop one 7'])
  expect(await expiredRows(client)).toEqual(new Map([[id(1), { retention: 6, disk: 0 }]]))
})

test('deleted rows leave the disk when there are many of them', async () => {
  await using opened = await openStore()
  const { client } = opened
  const retention = retentionOf(opened, { rules })
  await insert(opened, { namespace: 'dev', tenant: 'one' }, [7, 8], 'a')
  await insert(opened, { namespace: 'shop', tenant: 'one' }, Array(8).fill(1), 'b')
  expect(await retention.sweep()).toMatchObject({ rows: 2 })
  const rowsOnDisk = async () => (await dayPartitions(client)).find(({ table }) => table === 'logs')!.rows
  expect(await rowsOnDisk()).toBe(10)
  await insert(opened, { namespace: 'dev', tenant: 'one' }, [7, 8, 9], 'c')
  expect(await retention.sweep()).toMatchObject({ rows: 3 })
  expect(await rowsOnDisk()).toBe(8)
  expect(await ages(opened)).toHaveLength(8)
})

test('the rollup of volume follows: without it where rows are deleted, anew where they have left the disk', {
  timeout: 60_000,
}, async () => {
  await using opened = await openStore()
  const { client } = opened
  const retention = retentionOf(opened, { rules })
  const exact = async () => expect(await volumeOf(client, 'rollup')).toEqual(await volumeOf(client, 'rows'))
  await insert(opened, { namespace: 'dev', tenant: 'one' }, [7, 8], 'a')
  await insert(opened, { namespace: 'shop', tenant: 'one', sid: 2n }, Array(8).fill(1), 'b')
  await exact()
  expect(await retention.sweep()).toMatchObject({ rows: 2 })
  await exact()
  expect((await volumeOf(client, 'rollup')).length).toBe(1)
  await insert(opened, { namespace: 'dev', tenant: 'one' }, [7, 8, 9], 'c')
  expect(await retention.sweep()).toMatchObject({ rows: 3 })
  const today = async () => (await dayPartitions(client)).find(({ table }) => table === 'logs')!
  await expect.poll(today, { timeout: 60_000 }).toMatchObject({ masked: false, counted: true })
  await exact()
})

test('a day whose rollup got lost is counted again', { timeout: 120_000 }, async () => {
  await using opened = await openStore()
  const { client } = opened
  await insert(opened, { namespace: 'shop', tenant: 'one' }, [1, 2, 3], 'a')
  await client.command(
    client.dialect.alterParts(logsTable, `CLEAR PROJECTION ${volumeName}`),
    {},
    {
      settings: { mutations_sync: '1' },
    },
  )
  const today = async () => (await dayPartitions(client)).find(({ table }) => table === 'logs')!
  expect(await today()).toMatchObject({ counted: false })
  await retentionOf(opened, { rules }).sweep()
  await expect.poll(today, { timeout: 60_000 }).toMatchObject({ counted: true })
})

test('of several aggregators on one store one sweeps at a time', async () => {
  await using opened = await openStore()
  await using shared = new SharedClient(opened.client)
  await insert(opened, { namespace: 'dev', tenant: 'one', source: source(1) }, [1, 7, 8], 'a')
  const later = (id: string, turns: number) =>
    retentionOf({ client: shared }, { rules }, { id, now: () => now + turns * sweepInterval({ retention: 1, rules }) })
  const swept = await Promise.all(['a', 'b', 'c'].map((id) => later(id, 0).sweep()))
  expect(swept.map(({ rows }) => rows).sort()).toEqual([0, 0, 2])
  await insert(opened, { namespace: 'dev', tenant: 'one', source: source(1) }, [9], 'b')
  const again = await Promise.all(['c', 'b', 'a'].map((id) => later(id, 1).sweep()))
  expect(again.map(({ rows }) => rows).sort()).toEqual([0, 0, 1])
  expect(await expiredRows(opened.client)).toEqual(new Map([[id(1), { retention: 3, disk: 0 }]]))
})

/** Takes the engine for a server that others use too. */
class SharedClient extends StoreClient {
  constructor({ connection }: StoreClient) {
    super({ ...connection, engine: 'clickhouse' })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

test.for([
  { rules: [], every: hour },
  { rules: [{ selector: '{}', keep: 6 * hour }], every: hour },
  { rules: [{ selector: '{}', keep: hour }], every: hour / 6 },
  {
    rules: [
      { selector: '{}', keep: 0 },
      { selector: '{}', keep: 60_000 },
    ],
    every: 300_000,
  },
])('rules $rules are looked at every $every ms', ({ rules, every }) => {
  expect(sweepInterval({ retention: day, rules })).toBe(every)
})
