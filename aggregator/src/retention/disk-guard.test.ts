import { closeSync, openSync, writeSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { expect, type TestContext, test, vi } from 'vitest'
import { tryTmpfs } from '../../../test/harness/disk.ts'
import { StoreError } from '../store/error.ts'
import { LogBlock } from '../store/log-block.ts'
import { migrate } from '../store/migrations.ts'
import { openTestStore, quietLog, rowStream, type TestStore } from '../store/test-store.ts'
import { type DayPartition, dayPartitions } from './day-partitions.ts'
import { DiskGuard, type DiskLimits, daysToDrop, excessBytes } from './disk-guard.ts'
import { expiredRows } from './expired-rows.ts'
import { RetentionMetrics } from './metrics.ts'

test.for<[string, number, number, DiskLimits, number]>([
  ['enough is free', 60, 30, { minFree: { bytes: 50 } }, 0],
  ['too little is free', 60, 30, { minFree: { bytes: 75 } }, 15],
  ['a part of the volume', 60, 30, { minFree: { percent: 80 } }, 20],
  ['turned off', 0, 900, { minFree: { bytes: 0 } }, 0],
  ['the rows take too much', 60, 30, { minFree: { bytes: 50 }, maxUsage: { bytes: 20 } }, 10],
  ['the rows take too great a part', 60, 30, { minFree: { bytes: 0 }, maxUsage: { percent: 25 } }, 5],
  ['what rows may take is turned off', 60, 30, { minFree: { bytes: 50 }, maxUsage: { bytes: 0 } }, 0],
  ['both: the greater need counts', 60, 30, { minFree: { bytes: 63 }, maxUsage: { bytes: 20 } }, 10],
])('%s', ([, free, used, limits, excess]) => {
  expect(excessBytes({ size: 100, free }, used, limits)).toBe(excess)
})

const now = Date.parse('2026-11-23T12:00:00Z')
const partition = (day: string, bytes: number) => ({ day, bytes })
test.for([
  { what: 'the oldest first', days: ['21', '22', '23'], excess: 5, gone: ['21'] },
  { what: 'as many as it takes', days: ['21', '22', '23'], excess: 11, gone: ['21', '22'] },
  { what: 'never the newest', days: ['21', '22', '23'], excess: 900, gone: ['21', '22'] },
  { what: 'nothing where there is only one', days: ['20'], excess: 900, gone: [] },
  { what: 'days of clocks that run ahead before the newest', days: ['22', '23', '29'], excess: 15, gone: ['22', '29'] },
  { what: 'the day that begins in another time zone is one of today', days: ['23', '24'], excess: 5, gone: ['23'] },
])('what goes is $what', ({ days, excess, gone }) => {
  const partitions = days.map((day) => partition(`2026-11-${day}`, 10))
  expect(daysToDrop(partitions, excess, now).map(({ day }) => day.slice(-2))).toEqual(gone)
})

test('both tables of a day go together', () => {
  const partitions = [partition('2026-11-21', 10), partition('2026-11-21', 1), partition('2026-11-23', 10)]
  expect(daysToDrop(partitions, 11, now)).toEqual(partitions.slice(0, 2))
})

const rowsOfBlock = 4000
/** A block of about two megabytes that no compressor makes smaller. */
function block(day: number, number: number): LogBlock {
  const made = new LogBlock()
  made.setStream(rowStream({ source: Buffer.alloc(16, 7) }))
  for (let i = 0; i < rowsOfBlock; i++) {
    const line = Buffer.from(crypto.getRandomValues(new Uint8Array(512)))
    made.add(now / 1000 - day * 86_400, 0, number * rowsOfBlock + i, '', line, 0, line.length)
  }
  return made
}

async function insert({ client }: TestStore, day: number, number: number): Promise<void> {
  const made = block(day, number)
  await client.insertNative('streams', made.streams.columns, made.streams.encode(), `b${number}`)
  await client.insertNative('logs', made.columns, made.encode(), `b${number}`)
}

/** A store whose files have a volume of `size` for themselves. */
async function withSmallVolume(
  size: string,
  context: TestContext,
  check: (opened: TestStore, directory: string) => Promise<void>,
): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'tributary-guard-'))
  try {
    using disk = tryTmpfs(join(root, 'volume'), size)
    if (disk === undefined) return context.skip('needs the right to mount a tmpfs')
    const directory = join(root, 'volume', 'store')
    await using opened = await openTestStore(directory)
    await migrate(opened.client, quietLog)
    await check(opened, directory)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

test('a small volume never becomes full while rows come and queries go on, and every dropped row is counted', {
  timeout: 60_000,
}, async (context) => {
  await withSmallVolume('64m', context, async (opened, directory) => {
    const { client } = opened
    const registry = new Registry()
    const metrics = new RetentionMetrics(registry)
    const limits = { minFree: { percent: 40 } }
    const guard = new DiskGuard({ client, directory, limits, log: quietLog, metrics, now: () => now })
    const stop = new AbortController()
    const guarding = guard.run(stop.signal, 20)
    const days = 20
    const blocksPerDay = 3
    let queries = 0
    const querying = (async () => {
      for (; !stop.signal.aborted; queries++) {
        await client.query('SELECT count() FROM logs WHERE ts > now() - INTERVAL 30 DAY')
      }
    })()
    // 120 MB through a volume of 64: without the guard this fails, see the next test.
    for (let number = 0; number < days * blocksPerDay; number++) {
      await insert(opened, days - Math.floor(number / blocksPerDay) - 1, number)
    }
    stop.abort()
    await Promise.all([guarding, querying])
    await guard.check()
    const left = await dayPartitions(client)
    const rowsOf = (table: string) =>
      left.filter((one) => one.table === table).reduce((sum: number, { rows }: DayPartition) => sum + rows, 0)
    expect(left.at(-1)).toMatchObject({ day: '2026-11-23' })
    expect(left[0]!.day > '2026-11-06').toBe(true)
    const gone = days * blocksPerDay * rowsOfBlock - rowsOf('logs')
    expect(gone).toBeGreaterThan(0)
    expect(await expiredRows(client)).toEqual(new Map([['07'.repeat(16), { retention: 0, disk: gone }]]))
    const { values } = await registry.getSingleMetric('aggregator_store_expired_rows_total')!.get()
    expect(values).toContainEqual(expect.objectContaining({ labels: { table: 'logs', reason: 'disk' }, value: gone }))
    expect(queries).toBeGreaterThan(10)
  })
})

test('a volume that became full between two looks loses its oldest days, counted, and the reserve is taken anew', async (context) => {
  await withSmallVolume('64m', context, async (opened, directory) => {
    const { client } = opened
    for (const day of [3, 2, 1, 0]) await insert(opened, day, day)
    const limits = { minFree: { bytes: 1 << 20 } }
    const metrics = new RetentionMetrics(new Registry())
    const guard = new DiskGuard({ client, directory, limits, log: quietLog, metrics, now: () => now })
    expect(await guard.check()).toEqual([])
    fill(join(directory, 'filler'))
    const dropped = await guard.check()
    expect([...new Set(dropped.map(({ day }) => day))]).toEqual(['2026-11-20'])
    expect(await expiredRows(client)).toEqual(new Map([['07'.repeat(16), { retention: 0, disk: rowsOfBlock }]]))
    await rm(join(directory, 'filler'))
    expect(await guard.check()).toEqual([])
    expect(await readdir(directory)).toContain('reserve')
  })
})

/** Takes all that is left of a volume. */
function fill(path: string): void {
  const file = openSync(path, 'w')
  try {
    const piece = Buffer.alloc(1 << 16)
    expect(() => {
      for (;;) writeSync(file, piece)
    }).toThrow('ENOSPC')
  } finally {
    closeSync(file)
  }
}

test('rows that come for a day while another is dropped are counted with it', async () => {
  await using opened = await openTestStore()
  const { client } = opened
  await migrate(client, quietLog)
  for (const day of [2, 1, 0]) await insert(opened, day, day)
  const registry = new Registry()
  let late: Promise<void> | undefined
  const command = client.command.bind(client)
  vi.spyOn(client, 'command').mockImplementation(async (sql, ...rest) => {
    await command(sql, ...rest)
    if (sql.includes('DROP PARTITION')) await (late ??= insert(opened, 1, 3))
  })
  const guard = new DiskGuard({
    ...{ client, directory: tmpdir(), limits: { minFree: { bytes: 0 }, maxUsage: { bytes: 1 } } },
    ...{ log: quietLog, metrics: new RetentionMetrics(registry), now: () => now },
  })
  await guard.check()
  const { values } = await registry.getSingleMetric('aggregator_store_expired_rows_total')!.get()
  const value = 3 * rowsOfBlock
  expect(values).toContainEqual(expect.objectContaining({ labels: { table: 'logs', reason: 'disk' }, value }))
  expect(await expiredRows(client)).toEqual(new Map([['07'.repeat(16), { retention: 0, disk: value }]]))
})

test('where only the newest day is left nothing is dropped, and it shows', async (context) => {
  await withSmallVolume('48m', context, async (opened, directory) => {
    const { client } = opened
    const registry = new Registry()
    const limits = { minFree: { percent: 50 } }
    const guard = new DiskGuard({
      client,
      directory,
      limits,
      log: quietLog,
      metrics: new RetentionMetrics(registry),
      now: () => now,
    })
    let full: unknown
    for (let number = 0; full === undefined && number < 100; number++) {
      expect(await guard.check()).toEqual([])
      await insert(opened, 0, number).catch((error: unknown) => {
        full = error
      })
    }
    expect(full).toBeInstanceOf(StoreError)
    expect(full).toMatchObject({ code: 'full', retryable: true })
    const { values } = await registry.getSingleMetric('aggregator_store_disk_excess_bytes')!.get()
    expect(values[0]!.value).toBeGreaterThan(10_000_000)
  })
})
