import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { expiredRows, recordExpired } from './expired-rows.ts'
import { LogBlock } from './log-block.ts'
import { migrate } from './migrations.ts'
import { dayPartitions, expired, Retention } from './retention.ts'
import { openTestStore, quietLog, rowStream } from './test-store.ts'

const hour = 3_600_000
const day = 24 * hour
const now = Date.parse('2026-11-23T12:00:00Z')

test.for([
  { retention: 7 * day, oldest: '2026-11-16', when: 'a week, at noon: half of the 16th is still wanted' },
  { retention: 7 * day + 12 * hour, oldest: '2026-11-16', when: 'to the midnight at which the 16th begins' },
  { retention: 7 * day + 12 * hour + 1, oldest: '2026-11-15', when: 'a moment more' },
  { retention: hour, oldest: '2026-11-23', when: 'less than a day' },
  { retention: 0, oldest: '2026-11-13', when: 'for ever' },
])('kept $when', ({ retention, oldest }) => {
  const days = Array.from({ length: 12 }, (_, i) => ({ day: `2026-11-${13 + i}` }))
  const gone = expired(days, retention, now)
  expect(days.filter((one) => !gone.includes(one))[0]).toEqual({ day: oldest })
})

test('expired days leave both tables, are counted, and the others stay', async () => {
  await using opened = await openTestStore()
  const { client } = opened
  await migrate(client, quietLog)
  const block = new LogBlock()
  block.setStream(rowStream())
  const line = Buffer.from('line')
  for (let age = 0; age < 10; age++) block.add(now / 1000 - age * 86_400, 0, age, '', line, 0, 4)
  await client.insertNative('logs', block.columns, block.encode(), 't')
  await client.insertNative('streams', block.streams.columns, block.streams.encode(), 't')
  const registry = new Registry()
  const retention = new Retention({ client, retention: 7 * day, log: quietLog, registry, now: () => now })
  const dropped = await retention.dropExpired()
  expect(dropped.map(({ table, day }) => `${table} ${day}`)).toEqual([
    'logs 2026-11-14',
    'streams 2026-11-14',
    'logs 2026-11-15',
    'streams 2026-11-15',
  ])
  const left = await dayPartitions(client)
  expect(left).toHaveLength(16)
  expect(left[0]).toMatchObject({ day: '2026-11-16', rows: 1 })
  expect(await retention.dropExpired()).toEqual([])
  const { values } = await registry.getSingleMetric('aggregator_store_expired_rows_total')!.get()
  expect(values).toMatchObject([
    { labels: { table: 'logs' }, value: 2 },
    { labels: { table: 'streams' }, value: 2 },
  ])
})

test('what expires is remembered by source: once when the drop is repeated, again when rows of the day come back', async () => {
  await using opened = await openTestStore()
  const { client } = opened
  await migrate(client, quietLog)
  const insert = async (source: number, count: number, token: string) => {
    const block = new LogBlock()
    block.setStream(rowStream({ source: Buffer.alloc(16, source) }))
    for (let i = 0; i < count; i++) block.add(now / 1000 - 9 * 86_400, 0, i, '', Buffer.from('line'), 0, 4)
    await client.insertNative('logs', block.columns, block.encode(), token)
  }
  await insert(1, 3, 'a')
  await insert(2, 4, 'b')
  const [oldest = expect.unreachable()] = await dayPartitions(client)
  await recordExpired(client, oldest)
  const retention = new Retention({ client, retention: 7 * day, log: quietLog, now: () => now })
  await retention.dropExpired()
  const ids = ['01'.repeat(16), '02'.repeat(16)] as const
  expect(await expiredRows(client)).toEqual(
    new Map([
      [ids[0], 3],
      [ids[1], 4],
    ]),
  )
  await insert(1, 2, 'c')
  await retention.dropExpired()
  expect((await expiredRows(client)).get(ids[0])).toBe(5)
})
