/** Indexes that an insert left out are built when no more rows follow, and nothing is missed before. */
import { expect, test } from 'vitest'
import { insertBlock, StoreBlock } from '../load/store-block.ts'
import type { StoreClient } from './client.ts'
import { buildIndexes, LateIndexes, withoutIndexes } from './late-indexes.ts'
import { LogBlock } from './log-block.ts'
import { migrate } from './migrations.ts'
import { openTestStore, quietLog, rowStream } from './test-store.ts'

const start = 1_790_000_000
const rows = 20_000
const idOf = (row: number): string => `id${(row * 2_654_435_761).toString(16).padStart(16, '0')}`

/** Rows of two days, each with an id of its own. */
function blockFrom(first: number): StoreBlock {
  const log = new LogBlock()
  log.setStream(rowStream())
  for (let row = first; row < first + rows; row++) {
    const line = Buffer.from(`request ${idOf(row)} done`)
    log.add(start - (row % 2) * 86_400 + Math.floor(row / 100), row % 1e9, row, 'info', line, 0, line.length)
  }
  return new StoreBlock(log, undefined!, async () => {})
}

/** How many parts have indexes, and how many don't. */
async function parts(client: StoreClient): Promise<{ readonly having: number; readonly lacking: number }> {
  const { rows } = await client.query<{ having: string; lacking: string }>(
    `SELECT countIf(secondary_indices_compressed_bytes > 0) AS having, countIf(secondary_indices_compressed_bytes = 0) AS lacking
     FROM system.parts WHERE database = currentDatabase() AND table = 'logs' AND active`,
  )
  return { having: Number(rows[0]!.having), lacking: Number(rows[0]!.lacking) }
}

async function found(client: StoreClient, row: number): Promise<{ readonly offsets: string[]; readonly read: number }> {
  const answer = await client.query<{ offset: string }>(
    'SELECT toString(offset) AS offset FROM logs WHERE hasToken(line, {id:String}) SETTINGS use_query_condition_cache = 0',
    { id: idOf(row) },
  )
  return { offsets: answer.rows.map(({ offset }) => offset), read: answer.readRows }
}

test('indexes that inserts left out are built once no more of them come', { timeout: 60_000 }, async () => {
  await using opened = await openTestStore()
  const { client } = opened
  await migrate(client, quietLog)
  await client.command('SYSTEM STOP MERGES logs')
  await insertBlock(client, blockFrom(0), 'indexed')
  await insertBlock(client, blockFrom(rows), 'without', withoutIndexes)
  await insertBlock(client, blockFrom(2 * rows), 'without too', withoutIndexes)
  // An insert that was repeated, by a process that does not know how it was made first.
  await insertBlock(client, blockFrom(rows), 'without')
  expect(await parts(client)).toEqual({ having: 2, lacking: 4 })
  const wanted = [7, rows + 7, 3 * rows - 1]
  const before = await Promise.all(wanted.map((row) => found(client, row)))
  expect(before.map(({ offsets }) => offsets)).toEqual(wanted.map((row) => [String(row)]))

  await client.command('SYSTEM START MERGES logs')
  const indexes = new LateIndexes(client, { debug: () => {}, warn: () => {} }, 50)
  indexes.later()
  await expect.poll(async () => (await parts(client)).lacking, { timeout: 30_000 }).toBe(0)
  indexes.close()
  const after = await Promise.all(wanted.map((row) => found(client, row)))
  expect(after.map(({ offsets }) => offsets)).toEqual(wanted.map((row) => [String(row)]))
  for (const { read } of after) expect(read).toBeLessThan(rows)
  expect(before.every(({ read }) => read > rows)).toBe(true)
  expect(await buildIndexes(client)).toEqual([])
})

test('a store that is away is asked again, until it is closed', { timeout: 60_000 }, async () => {
  const failures: string[] = []
  const log = { debug: () => {}, warn: (_: object, message: string) => void failures.push(message) }
  const away = { dialect: { database: 'x' }, query: () => Promise.reject(new Error('away')) }
  const indexes = new LateIndexes(away as never, log, 5)
  indexes.later()
  await expect.poll(() => failures.length).toBeGreaterThan(2)
  indexes.close()
  const told = failures.length
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(failures.length).toBe(told)
})

test('the index of a large part is not compressed, all else of it is', { timeout: 120_000 }, async () => {
  await using opened = await openTestStore()
  const { client } = opened
  await migrate(client, quietLog)
  // 72 MB that don't compress, of as few rows as that takes.
  for (const first of [0, 600])
    await client.command(
      `INSERT INTO logs (tenant, ts, sid, line, offset, longest_word)
       SELECT 'fake', toDateTime64(${start}, 9, 'UTC'), number, randomString(60000), number, 0 FROM numbers({first:UInt64}, 600)`,
      { first },
    )
  await client.command('OPTIMIZE TABLE logs FINAL')
  const { rows } = await client.query<{ codec: string; rollup: string; index: string }>(
    `SELECT default_compression_codec AS codec, toString(secondary_indices_compressed_bytes - secondary_indices_uncompressed_bytes) AS index,
       (SELECT any(default_compression_codec) FROM system.projection_parts WHERE active AND database = currentDatabase()) AS rollup
     FROM system.parts WHERE database = currentDatabase() AND table = 'logs' AND active`,
  )
  expect(rows).toEqual([{ codec: 'NONE', rollup: 'LZ4', index: expect.stringMatching(/^\d+$/) }])
  const columns = await client.query<{ bare: string }>(
    `SELECT groupArray(name) AS bare FROM system.columns WHERE database = currentDatabase() AND table = 'logs' AND compression_codec = ''`,
  )
  expect(columns.rows).toEqual([{ bare: [] }])
})
