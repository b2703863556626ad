/** The rollup of volume agrees with the rows, whatever happens on their way. */
import { mkdtemp, readdir, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { insertClaimed } from '../load/claim-block.ts'
import { insertBlock, StoreBlock } from '../load/store-block.ts'
import { volumeBackfill, watchBackfill } from './backfill.ts'
import { StoreClient } from './client.ts'
import { StoreError } from './error.ts'
import { LogBlock } from './log-block.ts'
import { migrate, schemaVersion } from './migrations.ts'
import { migrations } from './schema.ts'
import { openTestStore, quietLog, rolledUpParts, rowStream, volumeOf } from './test-store.ts'

const start = 1_790_000_000
const rows = 300

/** Rows of two streams over ten minutes of each of `days` days, some on a full minute. */
function fill(block: LogBlock, days: number, from = 0): LogBlock {
  for (let i = 0; i < rows; i++) {
    block.setStream(
      rowStream({ sid: BigInt(1 + (i % 2)), pod: `web-${i % 2}`, meta: i % 3 === 0 ? { level: 'told' } : {} }),
    )
    const seconds = start + from + (i % 600) * 2 - (i % days) * 86_400
    const line = Buffer.from('x'.repeat(i % 50))
    block.add(seconds, i % 7 === 0 ? 0 : i, i, ['', 'info', 'error'][i % 3]!, line, 0, line.length)
  }
  return block
}

async function expectExact(client: StoreClient, entries: number): Promise<void> {
  const counted = await volumeOf(client, 'rollup')
  expect(counted).toEqual(await volumeOf(client, 'rows'))
  expect(counted.reduce((sum, row) => sum + Number((row as { entries: string }).entries), 0)).toBe(entries)
}

/** Fails before or behind its n-th insert: the answer is lost, or the rows are. */
class FailingClient extends StoreClient {
  #left: number
  readonly #behind: boolean
  constructor(client: StoreClient, after: number, behind: boolean) {
    super(client.connection)
    this.#left = after
    this.#behind = behind
  }

  override async insertNative(...args: Parameters<StoreClient['insertNative']>): Promise<void> {
    const fails = this.#left-- === 0
    if (!fails || this.#behind) await super.insertNative(...args)
    if (fails) throw new StoreError('unavailable', 'cut')
  }
}

const paths = {
  'as a block of the embedded store': (client: StoreClient, token: string) => {
    const block = new StoreBlock(fill(new LogBlock(), 3), undefined!, async () => {})
    return insertBlock(client, block, token)
  },
  'as a claim of a shared store': (client: StoreClient, token: string) => {
    const days = new Map([0, 1].map((day) => [day, fill(new LogBlock(), 1, -day * 86_400)] as const))
    return insertClaimed(client, { days }, token, 7)
  },
} as const

test.for(Object.entries(paths))(
  'rows that came %s are counted once, wherever an insert broke off',
  { timeout: 180_000 },
  async ([, insert]) => {
    await using opened = await openTestStore()
    const { client } = opened
    await migrate(client, quietLog)
    let total = 0
    for (let after = 0, whole = false; !whole; after++) {
      for (const behind of [false, true]) {
        const token = `${after} ${behind}`
        const cut = new FailingClient(client, after, behind)
        whole = await insert(cut, token).then(
          () => true,
          () => false,
        )
        await cut.close()
        await insert(client, token)
        total += insert === paths['as a block of the embedded store'] ? rows : 2 * rows
        await expectExact(client, total)
      }
      expect(after).toBeLessThan(10)
    }
    const parts = await rolledUpParts(client)
    expect(parts.with).toBe(parts.all)
  },
)

test('an engine that is killed while it inserts counts nothing twice and forgets nothing', {
  timeout: 180_000,
}, async () => {
  await using opened = await openTestStore()
  const { client, store } = opened
  await migrate(client, quietLog)
  for (let life = 0; life < 3; life++) {
    const insert = () =>
      insertBlock(client, new StoreBlock(fill(new LogBlock(), 3), undefined!, async () => {}), `life ${life}`)
    const first = insert().catch(() => {})
    await sleep(7 * life)
    process.kill(store.pid, 'SIGKILL')
    await first
    await expect
      .poll(
        () =>
          insert().then(
            () => 'inserted',
            () => 'down',
          ),
        { timeout: 60_000 },
      )
      .toBe('inserted')
    await expectExact(client, (life + 1) * rows)
  }
})

test('what a power cut left of the rollup is not believed', { timeout: 180_000 }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tributary-store-'))
  try {
    {
      await using opened = await openTestStore(directory)
      await migrate(opened.client, quietLog)
      for (const token of ['a', 'b']) {
        await opened.client.insertNative('logs', new LogBlock().columns, fill(new LogBlock(), 1).encode(), token)
      }
    }
    const files = await readdir(join(directory, 'data'), { recursive: true })
    const first = files.find((path) => path.includes('.proj/'))!.split('.proj/')[0]!
    for (const path of files.filter((one) => one.startsWith(`${first}.proj/`)))
      await truncate(join(directory, 'data', path), 0)
    await using opened = await openTestStore(directory)
    await expectExact(opened.client, 2 * rows)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})

test('a store of the version before gets the rollup of what it has, and answers meanwhile', {
  timeout: 180_000,
}, async () => {
  await using opened = await openTestStore()
  const { client } = opened
  const at = migrations.findIndex(({ name }) => name === 'volume by minute')
  await migrate(client, quietLog, migrations.slice(0, at))
  for (const token of ['a', 'b', 'c'])
    await client.insertNative('logs', new LogBlock().columns, fill(new LogBlock(), 3).encode(), token)
  expect(await schemaVersion(client)).toBe(at)
  expect((await rolledUpParts(client)).with).toBe(0)
  // A start that is cut short behind each statement of the migration.
  const { statements, ...migration } = migrations[at]!
  for (let done = 0; done < statements(client.dialect).length; done++) {
    const cut = { ...migration, statements: () => [...statements(client.dialect).slice(0, done), 'SELEC'] }
    await expect(migrate(client, quietLog, [...migrations.slice(0, at), cut])).rejects.toThrow()
    await expectExact(client, 3 * rows)
  }
  await migrate(client, quietLog)
  await client.insertNative('logs', new LogBlock().columns, fill(new LogBlock(), 3).encode(), 'd')
  await expectExact(client, 4 * rows)
  const told: unknown[] = []
  const log = { ...quietLog, info: (...args: unknown[]) => void told.push(args.at(-1)) } as unknown as typeof quietLog
  await watchBackfill(client, log, AbortSignal.timeout(30_000), 20)
  expect(await volumeBackfill(client)).toEqual({ parts: 0, failure: '' })
  const parts = await rolledUpParts(client)
  expect(parts.with).toBe(parts.all)
  await expectExact(client, 4 * rows)
})
