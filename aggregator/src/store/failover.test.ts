/** Several addresses of one store, of which some fail: what is asked is done once, whatever becomes of the answer. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type StoreFault, StoreProxy } from '../../../test/harness/store-proxy.ts'
import { StoreClient } from './client.ts'
import type { StoreConnection } from './connection.ts'
import { StoreError } from './error.ts'
import { LogBlock } from './log-block.ts'
import { migrate } from './migrations.ts'
import { openTestStore, quietLog, rowStream, type TestStore } from './test-store.ts'

let opened: TestStore
let identity: string
const resources: AsyncDisposable[] = []
beforeAll(async () => {
  opened = await openTestStore()
  const client = new StoreClient(connection())
  identity = (await migrate(client, quietLog))!
  await client.close()
})
afterAll(() => opened[Symbol.asyncDispose]())
afterEach(async () => {
  for (const resource of resources.splice(0)) await resource[Symbol.asyncDispose]()
})

function connection(more: Partial<StoreConnection> = {}): StoreConnection {
  return { ...opened.store.connection, engine: 'clickhouse', ...more }
}

/** A proxy before the store that does these to its inserts, one after another, and then nothing. */
async function proxy(...faults: StoreFault[]): Promise<StoreProxy> {
  const made = await StoreProxy.listen(
    () => opened.store.connection.urls[0]!,
    () => faults.shift() ?? { kind: 'none' },
  )
  resources.push(made)
  return made
}

function open(more: Partial<StoreConnection>): StoreClient {
  const client = new StoreClient(connection(more))
  resources.push({ [Symbol.asyncDispose]: () => client.close() })
  return client
}

const day = 86_400
const start = 1_790_000_000
let offset = 0

/** Rows on each of so many days. */
function block(days = 1, rows = 30): LogBlock {
  const made = new LogBlock()
  made.setStream(rowStream())
  const line = Buffer.from('a line')
  for (let i = 0; i < rows; i++) made.add(start - (i % days) * day, i, offset++, '', line, 0, line.length)
  return made
}

/** Shorter than what is late, and else longer than a busy machine takes, milliseconds. */
const patienceWith = ({ kind }: StoreFault) => (kind === 'late' ? 1_000 : 60_000)

/** As the loader does: again and again, as long as that can help. */
async function untilStored(insert: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await insert()
    } catch (error) {
      if (!(error instanceof StoreError && error.retryable)) throw error
    }
  }
}

async function storedRows(from: number): Promise<{ n: string; offsets: string }> {
  const { rows } = await opened.client.query<{ n: string; offsets: string }>(
    'SELECT count() AS n, uniqExact(offset) AS offsets FROM logs WHERE offset >= {from:UInt64}',
    { from },
  )
  return rows[0]!
}

describe.for<{ fault: StoreFault }>([
  { fault: { kind: 'cut' } },
  { fault: { kind: 'stored, then 500' } },
  { fault: { kind: 'stored, then cut' } },
  { fault: { kind: 'late', delay: 2_500 } },
  { fault: { kind: 'exception', code: 242, name: 'TABLE_IS_READ_ONLY' } },
  { fault: { kind: 'exception', code: 225, name: 'NO_ZOOKEEPER' } },
])('an insert that meets "$fault.kind"', ({ fault }) => {
  test('at one of two addresses is in the store once, over all of its days', async () => {
    const [bad, good] = [await proxy(fault), await proxy()]
    const from = offset
    const made = block(12, 240)
    // Where to begin is chance: both orders are right, and one of them meets the fault.
    for (let i = 0; i < 20 && bad.made[fault.kind] === undefined; i++) {
      const client = open({ urls: [bad.url, good.url], identity, insertTimeout: patienceWith(fault) })
      await untilStored(() => client.insertNative('logs', made.columns, made.encode(), `two ${fault.kind} ${from}`))
    }
    expect(bad.made[fault.kind]).toBe(1)
    expect(await storedRows(from)).toEqual({ n: '240', offsets: '240' })
  })

  test('at the only address fails so that it can be repeated, and is then there once', async () => {
    const { url } = await proxy(fault)
    const client = open({ urls: [url], insertTimeout: patienceWith(fault) })
    const from = offset
    const made = block(3)
    const insert = () => client.insertNative('logs', made.columns, made.encode(), `one ${fault.kind} ${from}`)
    await expect(insert()).rejects.toMatchObject({ retryable: true })
    await untilStored(insert)
    expect(await storedRows(from)).toEqual({ n: '30', offsets: '30' })
  })
})

test('too many parts are the same at every address: it is waited, not asked elsewhere', async () => {
  const full: StoreFault = { kind: 'exception', code: 252, name: 'TOO_MANY_PARTS' }
  const [one, other] = [await proxy(full), await proxy(full)]
  const client = open({ urls: [one.url, other.url], identity })
  const made = block()
  const insert = client.insertNative('logs', made.columns, made.encode(), `parts ${offset}`)
  await expect(insert).rejects.toMatchObject({ code: 'too_many_parts', retryable: true, clickhouseCode: 252 })
  expect((one.made['exception'] ?? 0) + (other.made['exception'] ?? 0)).toBe(1)
})

test('an answer that is late again and again is waited for longer', async () => {
  const late: StoreFault = { kind: 'late', delay: 1_500 }
  const { url, made } = await proxy(late, late)
  const client = open({ urls: [url], insertTimeout: 500 })
  const rows = block()
  const insert = () => client.insertNative('logs', rows.columns, rows.encode(), `slow ${offset}`)
  await expect(insert()).rejects.toThrow('no answer within 0.5 s')
  await expect(insert()).rejects.toThrow('no answer within 1 s')
  await untilStored(insert)
  expect(made['late']).toBe(2)
})

test('queries and statements go on while one address is away, and the ones that work are counted', async () => {
  const { url } = await proxy()
  const warnings: object[] = []
  const log = { debug: () => {}, warn: (fields: object) => warnings.push(fields) }
  const away = 'http://127.0.0.1:9'
  const client = new StoreClient(connection({ urls: [away, url], identity }), log)
  resources.push({ [Symbol.asyncDispose]: () => client.close() })
  for (let i = 0; i < 5; i++) {
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    const streamed: unknown[] = []
    for await (const rows of client.queryStream('SELECT 1 AS one')) streamed.push(...rows)
    expect(streamed).toEqual([{ one: 1 }])
    await client.command('CREATE TABLE IF NOT EXISTS scratch (n UInt8) ENGINE = Memory')
    await client.ping()
  }
  // Whether the one that is away was asked first is chance, and it is asked whether it lives every few seconds.
  await expect.poll(() => client.endpoints.healthy, { timeout: 10_000 }).toBe(1)
  expect(client.endpoints.count).toBe(2)
  expect(warnings).toContainEqual(expect.objectContaining({ url: away, reason: 'unavailable', healthy: 1 }))
})

test('when all addresses are away it is said, and what the store itself said counts more than silence', async () => {
  const readOnly: StoreFault = { kind: 'exception', code: 242, name: 'TABLE_IS_READ_ONLY' }
  const { url } = await proxy(readOnly, readOnly)
  const nobody = ['http://127.0.0.1:9', 'http://127.0.0.1:10']
  const client = open({ urls: [...nobody, url], identity })
  const made = block()
  const insert = client.insertNative('logs', made.columns, made.encode(), 'away')
  await expect(insert).rejects.toMatchObject({ code: 'read_only' })
  await expect(open({ urls: nobody }).query('SELECT 1')).rejects.toMatchObject({ code: 'unavailable' })
})

test('an address that leads to another store, or to one without our tables, is never used', async () => {
  await using other = await openTestStore()
  const stranger = other.store.connection
  // The same user there, so that nothing but the store is different.
  const gate = await StoreProxy.listen(
    () => stranger.urls[0]!,
    () => ({ kind: 'none' }),
  )
  resources.push(gate)
  const { url } = await proxy()
  const login = { username: stranger.username, password: stranger.password }
  for (const step of ['empty', 'with a schema of its own']) {
    if (step !== 'empty') await migrate(new StoreClient({ ...stranger, engine: 'clickhouse' }), quietLog)
    const alone = open({ ...login, urls: [gate.url, stranger.urls[0]!], identity })
    await expect(alone.query('SELECT 1'), step).rejects.toThrow('leads to another store than the other addresses')
    await expect(alone.query('SELECT 1'), step).rejects.toMatchObject({ code: 'rejected' })
  }
  const client = open({ urls: [url, opened.store.connection.urls[0]!], identity })
  expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
})
