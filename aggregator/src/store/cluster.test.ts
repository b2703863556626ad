/** The cluster's statements on a stand-in for its one node: real distributed tables, and nothing replicated. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { StoreClient } from './client.ts'
import { type EmbeddedStore, openEmbedded } from './embedded.ts'
import { LogBlock } from './log-block.ts'
import { migrate, schemaVersion } from './migrations.ts'
import { migrations } from './schema.ts'
import { quietLog, rolledUpParts, rowStream, volumeOf } from './test-store.ts'

const cluster = 'prod'
let directory: string
let store: EmbeddedStore
let client: StoreClient
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tributary-store-'))
  const server = { listen: '127.0.0.1', port: 0, username: 'u', password: 'p', database: 'default', cluster }
  store = await openEmbedded({ directory, memoryBytes: 500_000_000, log: quietLog, server })
  client = new StoreClient({ ...store.connection, engine: 'clickhouse', database: 'logs-of_all', cluster })
  await migrate(client, quietLog)
})
afterAll(async () => {
  await client.close()
  await store.close()
  await rm(directory, { recursive: true, force: true })
})

test('the schema is there, behind distributed tables, and a second time changes nothing', async () => {
  const engines = async () =>
    (
      await client.query<{ name: string; engine: string }>(
        'SELECT name, engine FROM system.tables WHERE database = currentDatabase() ORDER BY name',
      )
    ).rows
  const tables = await engines()
  for (const name of ['logs', 'streams']) {
    expect(tables).toContainEqual({ name, engine: 'Distributed' })
    expect(tables).toContainEqual({ name: `${name}_local`, engine: expect.stringMatching(/MergeTree$/) })
  }
  await migrate(client, quietLog)
  expect(await engines()).toEqual(tables)
  expect(await schemaVersion(client)).toBe(migrations.at(-1)!.version)
})

test('rows of many days go to one shard once, however often they are sent, and are found through the streams', async () => {
  const made = new LogBlock()
  made.setStream(rowStream({ sid: 77n }))
  const line = Buffer.from('a line')
  for (let i = 0; i < 300; i++) made.add(1_790_000_000 - (i % 30) * 86_400, i, i, '', line, 0, line.length)
  const shard = await client.pickShard()
  expect(shard).toBe(1)
  for (let i = 0; i < 3; i++) {
    await client.insertNative('streams', made.streams.columns, made.streams.encode(), 'many days', { shard })
    await client.insertNative('logs', made.columns, made.encode(), 'many days', { shard })
  }
  const { rows } = await client.query(
    `SELECT count() AS n, uniqExact(offset) AS offsets, uniqExact(toDate(ts)) AS days, max(${client.dialect.shardNumber}) AS shard FROM logs
     WHERE sid IN (SELECT sid FROM streams WHERE labels['pod'] = {pod:String})`,
    { pod: 'web-0' },
  )
  expect(rows).toEqual([{ n: '300', offsets: '300', days: '30', shard: 1 }])
  const parts = await client.query(
    `SELECT uniqExact(partition) AS days FROM ${client.dialect.system('parts')}
     WHERE database = {database:String} AND table = 'logs_local' AND active`,
    { database: client.dialect.database },
  )
  expect(parts.rows).toEqual([{ days: '30' }])
})

test('the rollup of volume is in the parts of each shard, and counts what the rows do', async () => {
  const made = new LogBlock()
  made.setStream(rowStream({ sid: 78n }))
  for (let i = 0; i < 200; i++) made.add(1_790_000_000 + i, i, i, 'info', Buffer.from('a line'), 0, i % 6)
  for (let i = 0; i < 2; i++) await client.insertNative('logs', made.columns, made.encode(), 'volume', { shard: 1 })
  const parts = await rolledUpParts(client)
  expect(parts.all).toBeGreaterThan(0)
  expect(parts.with).toBe(parts.all)
  const counted = await volumeOf(client, 'rollup')
  expect(counted.length).toBeGreaterThan(3)
  expect(counted).toEqual(await volumeOf(client, 'rows'))
})

test('a cluster that the server does not know is said to be so', async () => {
  const other = new StoreClient({ ...client.connection, cluster: 'elsewhere' })
  await expect(other.pickShard()).rejects.toThrow('the server knows no cluster elsewhere')
  await other.close()
})
