import { execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import type { StoreClient } from './client.ts'
import { openEmbedded } from './embedded.ts'
import { StoreError } from './error.ts'
import { LogBlock } from './log-block.ts'
import { migrate } from './migrations.ts'
import { openTestStore, quietLog, rowStream, type TestStore } from './test-store.ts'

const directories: string[] = []
async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tributary-store-'))
  directories.push(directory)
  return directory
}
afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true })
})

const day = 86_400
const start = 1_790_000_000
const line = Buffer.from('a line')

/** Some rows on each of two days, told apart by their offsets. */
function block(number: number, rows = 20): LogBlock {
  const made = new LogBlock()
  made.setStream(rowStream())
  for (let i = 0; i < rows; i++) made.add(start - (i % 2) * day, i, number * rows + i, '', line, 0, line.length)
  return made
}

async function insert(client: StoreClient, made: LogBlock, token: string): Promise<void> {
  await client.insertNative('logs', made.columns, made.encode(), token)
  await client.insertNative('streams', made.streams.columns, made.streams.encode(), token)
}

/** Until it succeeds, as the loader does; anything that can't be repeated fails the test. */
async function insertUntilStored(client: StoreClient, number: number): Promise<void> {
  for (;;) {
    try {
      return await insert(client, block(number), `block-${number}`)
    } catch (error) {
      if (!(error instanceof StoreError && error.retryable)) throw error
      await sleep(10)
    }
  }
}

async function counts(client: StoreClient): Promise<{ rows: number; distinct: number; entries: number }> {
  const logs = await client.query<{ rows: string; distinct: string }>(
    'SELECT count() AS rows, uniqExact(offset) AS distinct FROM logs',
  )
  const streams = await client.query<{ entries: string }>('SELECT sum(entries) AS entries FROM streams')
  const { rows, distinct } = logs.rows[0]!
  return { rows: Number(rows), distinct: Number(distinct), entries: Number(streams.rows[0]!.entries) }
}

/** Whether a process runs; one that has ended and was not waited for does not. */
const isAlive = (pid: number) => {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return false
  }
}

describe('the engine process', () => {
  test('is started again when it is killed, at the same address, with everything that was stored', async () => {
    await using opened = await openTestStore()
    const { store, client, registry } = opened
    await migrate(client, quietLog)
    await insert(client, block(0), 'block-0')
    const { pid, connection } = store
    const { promise: restarted, resolve } = Promise.withResolvers<void>()
    store.onRestart(resolve)
    process.kill(pid, 'SIGKILL')
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: 'unavailable', retryable: true })
    await restarted
    expect(store.pid).not.toBe(pid)
    expect(store.connection).toBe(connection)
    expect(await counts(client)).toEqual({ rows: 20, distinct: 20, entries: 20 })
    await insert(client, block(0), 'block-0')
    expect(await counts(client)).toEqual({ rows: 20, distinct: 20, entries: 20 })
    expect(await registry.metrics()).toContain('aggregator_store_engine_restarts_total 1')
  })

  test('loses and doubles nothing when it is killed again and again while rows come in', async () => {
    await using opened = await openTestStore()
    const { store, client } = opened
    await migrate(client, quietLog)
    let killing = true
    const kills = (async () => {
      for (let kill = 0; kill < 6; kill++) {
        await sleep(100 + Math.random() * 500)
        const restarted = new Promise<void>((resolve) => store.onRestart(resolve))
        process.kill(store.pid, 'SIGKILL')
        await restarted
      }
      killing = false
    })()
    let stored = 0
    while (killing || stored < 10) await insertUntilStored(client, stored++)
    await kills
    const rows = stored * 20
    expect(await counts(client)).toEqual({ rows, distinct: rows, entries: rows })
  }, 60_000)

  test('is killed and started again when it does not answer any more', async () => {
    await using opened = await openTestStore(undefined, { interval: 20, patience: 300 })
    const { store, client } = opened
    const { pid } = store
    // Longer than the patience, but answering.
    await client.query('SELECT sleep(0.6)')
    expect(store.pid).toBe(pid)
    const restarted = new Promise<void>((resolve) => store.onRestart(resolve))
    process.kill(pid, 'SIGSTOP')
    await restarted
    expect(store.pid).not.toBe(pid)
    await client.ping()
  })

  test('finishes what it was asked before it ends', async () => {
    const directory = await newDirectory()
    const first = await openTestStore(directory)
    await migrate(first.client, quietLog)
    const made = block(0, 50_000)
    const inserting = first.client.insertNative('logs', made.columns, made.encode(), 'block-0')
    const running = "SELECT count() AS n FROM system.processes WHERE query LIKE 'INSERT INTO logs%'"
    await expect.poll(async () => (await first.client.query(running)).rows, { interval: 5 }).toEqual([{ n: '1' }])
    await first.store.close()
    await inserting
    await first.client.close()
    await using second = await openTestStore(directory)
    expect(await counts(second.client)).toMatchObject({ rows: 50_000 })
  })
})

describe('a directory', () => {
  test('belongs to one process, and who else wants it is told by whom it is held', async () => {
    await using opened = await openTestStore()
    const { directory, store } = opened
    const message = `the store directory ${directory} is in use by process ${store.pid}`
    const second = openEmbedded({ directory, log: quietLog })
    await expect(second).rejects.toThrow(message)
    await expect(second).rejects.toThrow('stop that process, or give this one a dataDir of its own')
    await expect(second).rejects.toMatchObject({ code: 'rejected', retryable: false })
    await opened.client.ping()
  })

  test.for([
    { lock: 'names a process that is gone', text: JSON.stringify({ pid: 2 ** 22 + 1, started: '1', parent: {} }) },
    {
      lock: 'names another process with its pid',
      text: JSON.stringify({ pid: process.pid, started: '1', parent: {} }),
    },
    { lock: 'is torn', text: '{"pid": 1' },
  ])('whose lock $lock is taken over', async ({ text }) => {
    const directory = await newDirectory()
    await writeFile(join(directory, 'engine.lock'), text)
    await using opened = await openTestStore(directory)
    await opened.client.ping()
  })

  test('is left by the engine when its aggregator is killed, and can then be taken', async () => {
    const directory = await newDirectory()
    const script = `
      import { openEmbedded } from '${new URL('./embedded.ts', import.meta.url).href}'
      import { createLog } from '${new URL('../log.ts', import.meta.url).href}'
      const store = await openEmbedded({ directory: '${directory}', log: createLog('fatal') })
      console.log(store.pid)`
    const aggregator = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const pid = await new Promise<number>((resolve) => aggregator.stdout.once('data', (text) => resolve(Number(text))))
    expect(isAlive(pid)).toBe(true)
    aggregator.kill('SIGKILL')
    await using opened = await openTestStore(directory)
    await opened.client.ping()
    await expect.poll(() => isAlive(pid)).toBe(false)
  })

  test('that can not be one is an error that says so', async () => {
    const directory = await newDirectory()
    await writeFile(join(directory, 'file'), '')
    await expect(openEmbedded({ directory: join(directory, 'file'), log: quietLog })).rejects.toThrow('EEXIST')
  })
})

describe('an insert that a crash cut short', () => {
  /** Closes the store, lets `harm` work on the directory of the table `logs`, and opens the store again. */
  async function afterCrash(harm: (table: string) => Promise<void>): Promise<TestStore> {
    const directory = await newDirectory()
    const first = await openTestStore(directory)
    await migrate(first.client, quietLog)
    await insert(first.client, block(0), 'block-0')
    await insert(first.client, block(1), 'block-1')
    const { rows } = await first.client.query<{ path: string }>(
      "SELECT data_paths[1] AS path FROM system.tables WHERE name = 'logs' AND database = currentDatabase()",
    )
    await first[Symbol.asyncDispose]()
    await harm(rows[0]!.path)
    return openTestStore(directory)
  }
  const newestPart = async (table: string) =>
    (await readdir(table)).filter((name) => /^\d+_4_4_0$/.test(name)).map((name) => join(table, name))[0]!
  const logOf = (table: string) => join(table, 'deduplication_logs', 'deduplication_log_1.txt')

  test('between token and part is stored when it is repeated', async () => {
    await using opened = await afterCrash(async (table) => rm(await newestPart(table), { recursive: true }))
    expect(await counts(opened.client)).toMatchObject({ rows: 30 })
    await insert(opened.client, block(1), 'block-1')
    expect(await counts(opened.client)).toEqual({ rows: 40, distinct: 40, entries: 40 })
  })

  test('with its part but not its token is stored once when it is repeated', async () => {
    await using opened = await afterCrash(async (table) => {
      const lines = (await readFile(logOf(table), 'latin1')).trimEnd().split('\n')
      await writeFile(logOf(table), `${lines.slice(0, -1).join('\n')}\n`)
    })
    expect(await counts(opened.client)).toMatchObject({ rows: 30 })
    await insert(opened.client, block(1), 'block-1')
    expect(await counts(opened.client)).toEqual({ rows: 40, distinct: 40, entries: 40 })
  })

  test('leaves a log with a torn end, behind which no later token is lost', async () => {
    const opened = await afterCrash((table) => appendFile(logOf(table), '1\t2026'))
    await insert(opened.client, block(2), 'block-2')
    await opened[Symbol.asyncDispose]()
    await using again = await openTestStore(opened.directory)
    await insert(again.client, block(2), 'block-2')
    expect(await counts(again.client)).toEqual({ rows: 60, distinct: 60, entries: 60 })
  })
})

test('the engine does not listen to Ctrl-C: the aggregator drains first', async () => {
  await using opened = await openTestStore()
  const { pid } = opened.store
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.kill(pid, signal)
  await opened.client.ping()
  expect(opened.store.pid).toBe(pid)
})

test('no password is seen from outside of the engine process', async () => {
  await using opened = await openTestStore()
  const command = await new Promise<string>((resolve, reject) => {
    execFile('cat', [`/proc/${opened.store.pid}/cmdline`, `/proc/${opened.store.pid}/environ`], (error, out) =>
      error === null ? resolve(out) : reject(error),
    )
  })
  expect(command).not.toContain(opened.store.connection.password)
})
