import { afterAll, beforeAll, expect, test } from 'vitest'
import { migrate, schemaVersion } from './migrations.ts'
import { migrations } from './schema.ts'
import { openTestStore, quietLog, type TestStore } from './test-store.ts'

let opened: TestStore
beforeAll(async () => {
  opened = await openTestStore()
})
afterAll(() => opened[Symbol.asyncDispose]())

const newest = migrations.at(-1)!.version

test('versions are numbered without gaps', () => {
  expect(migrations.map(({ version }) => version)).toEqual(migrations.map((_, i) => i + 1))
})

test('an empty store gets the schema, and a second time changes nothing', async () => {
  const { client } = opened
  await migrate(client, quietLog)
  const tables = () =>
    client.query('SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name')
  const before = (await tables()).rows
  expect(before).toMatchObject([
    { name: 'deletions' },
    { name: 'expired' },
    { name: 'ledger_log' },
    { name: 'ledger_snapshots' },
    { name: 'logs' },
    { name: 'schema_migrations' },
    { name: 'streams' },
    { name: 'sweeps' },
  ])
  await migrate(client, quietLog)
  expect((await tables()).rows).toEqual(before)
  expect((await client.query('SELECT version, name FROM schema_migrations ORDER BY version')).rows).toEqual([
    { version: 1, name: 'logs and streams' },
    { version: 2, name: 'expired rows' },
    { version: 3, name: 'deletions of rows' },
    { version: 4, name: 'shared ledger' },
    { version: 5, name: 'longest words' },
    { version: 6, name: 'volume by minute' },
    { version: 7, name: 'tenants compressed' },
    { version: 8, name: 'longest words of streams' },
  ])
})

test('what can be lost in a power cut is synced: in the tables, whatever the server defaults to', async () => {
  const { rows } = await opened.client.query<{ name: string; create_table_query: string }>(
    "SELECT name, create_table_query FROM system.tables WHERE name IN ('logs', 'streams')",
  )
  expect(rows).toHaveLength(2)
  for (const { name, create_table_query: ddl } of rows) {
    for (const setting of [
      'non_replicated_deduplication_window = 10000',
      'fsync_after_insert = 1',
      'fsync_part_directory = 1',
      'min_rows_to_fsync_after_merge = 1',
      'min_compressed_bytes_to_fsync_after_merge = 1',
    ]) {
      expect(ddl, name).toContain(setting)
    }
  }
})

test('a migration that was cut short is done at the next start', async () => {
  const { client } = opened
  const half = ['CREATE TABLE IF NOT EXISTS half (n UInt8) ENGINE = Memory', 'SELEC']
  const whole = ['CREATE TABLE IF NOT EXISTS half (n UInt8) ENGINE = Memory', 'INSERT INTO half SELECT 1']
  const version = newest + 1
  await expect(
    migrate(client, quietLog, [...migrations, { version, name: 'half', statements: () => half }]),
  ).rejects.toThrow()
  expect(await schemaVersion(client)).toBe(newest)
  await migrate(client, quietLog, [...migrations, { version, name: 'half', statements: () => whole }])
  expect(await schemaVersion(client)).toBe(version)
})

test('a store of a newer program is refused', async () => {
  const refused = migrate(opened.client, quietLog)
  await expect(refused).rejects.toMatchObject({ code: 'rejected', retryable: false })
  await expect(refused).rejects.toThrow(
    `the store has schema version ${newest + 1} and this program knows versions up to ${newest}`,
  )
})
