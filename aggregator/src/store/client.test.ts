import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { StoreClient } from './client.ts'
import { storeErrorFrom } from './error.ts'
import { encodeBlock, UInt64Column } from './native.ts'
import { openTestStore, type TestStore } from './test-store.ts'

let opened: TestStore
let client: StoreClient
beforeAll(async () => {
  opened = await openTestStore()
  client = opened.client
  await client.command('CREATE TABLE numbers (n UInt64) ENGINE = MergeTree ORDER BY n')
})
afterAll(() => opened[Symbol.asyncDispose]())

const slow = 'SELECT sum(sleepEachRow(0.02)) AS s FROM numbers_mt(1000) SETTINGS max_block_size = 1, max_threads = 1'

describe('queries', () => {
  test('give rows, exact 64-bit integers, and what they read', async () => {
    const sql = `SELECT toUnixTimestamp64Nano(toDateTime64('2026-11-23 01:02:03.123456789', 9, 'UTC')) AS ns, count() AS n FROM numbers(5000)`
    const result = await client.query<{ ns: string; n: string }>(sql)
    expect(result.rows).toEqual([{ ns: '1795395723123456789', n: '5000' }])
    expect(result).toMatchObject({ readRows: 5000, readBytes: 40_000 })
    expect(result.elapsedSeconds).toBeGreaterThan(0)
    expect((await client.query('SELECT 1 WHERE 0')).rows).toEqual([])
  })

  test('bind hostile strings as values, alone and in arrays and maps', async () => {
    const hostile = [
      "'",
      "\\'; DROP TABLE numbers --",
      '\\',
      '\\\\',
      '\t\n\r\0\b',
      '{x:String}',
      '\\N',
      '',
      'é💥',
      "a' OR 1=1",
    ]
    for (const text of hostile) {
      const { rows } = await client.query(
        'SELECT {s:String} AS s, {a:Array(String)} AS a, {m:Map(String, String)} AS m',
        {
          s: text,
          a: [text, 'x', text],
          m: { k: text },
        },
      )
      expect(rows).toEqual([{ s: text, a: [text, 'x', text], m: { k: text } }])
    }
    expect((await client.query('SELECT count() AS n FROM numbers')).rows).toEqual([{ n: '0' }])
  })

  test('bind any string as it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 20 }), async (texts) => {
        const { rows } = await client.query<{ a: string[] }>('SELECT {a:Array(String)} AS a', { a: texts })
        expect(rows[0]!.a).toEqual(texts)
      }),
      { numRuns: 30 },
    )
  })

  test('take thousands of values', async () => {
    const ids = Array.from({ length: 200_000 }, (_, i) => 2n ** 63n + BigInt(i))
    const { rows } = await client.query('SELECT length({ids:Array(UInt64)}) AS n', { ids })
    expect(rows).toEqual([{ n: '200000' }])
  })

  test('bind hostile strings that are long', async () => {
    const text = `--x\r\n'\\\0\t${'é'.repeat(5000)}\n`
    const { rows } = await client.query('SELECT {s:String} AS s, {a:Array(String)} AS a', { s: text, a: [text] })
    expect(rows).toEqual([{ s: text, a: [text] }])
  })
})

describe('streamed queries', () => {
  test('give all rows in batches, in order', async () => {
    let next = 0
    let batches = 0
    for await (const rows of client.queryStream<{ number: string }>('SELECT number FROM numbers(200000)')) {
      for (const { number } of rows) if (Number(number) !== next++) throw new Error(`${number} is not ${next - 1}`)
      batches++
    }
    expect(next).toBe(200_000)
    expect(batches).toBeGreaterThan(3)
  })
  test('end when the caller leaves the loop', async () => {
    for await (const _ of client.queryStream('SELECT number FROM numbers(1000000000000)')) break
    const running = `SELECT count() AS n FROM system.processes WHERE query LIKE '%1000000000000%' AND query NOT LIKE '%processes%'`
    await expect.poll(async () => (await client.query(running)).rows).toEqual([{ n: '0' }])
  })
  test('tell an error in the middle as what it is', async () => {
    let seen = 0
    const read = async () => {
      for await (const rows of client.queryStream('SELECT number, throwIf(number = 900000) FROM numbers(1000000)')) {
        seen += rows.length
      }
    }
    await expect(read()).rejects.toMatchObject({ code: 'rejected', clickhouseCode: 395 })
    expect(seen).toBeGreaterThan(0)
  })
  test('tell an error at the beginning', async () => {
    await expect(client.queryStream('SELECT * FROM missing').next()).rejects.toMatchObject({ code: 'rejected' })
  })
})

describe('rows as bytes', () => {
  test('give all rows, in pieces', async () => {
    const pieces: Buffer[] = []
    for await (const piece of client.queryBytes('SELECT toUInt32(number) FROM numbers(200000)')) pieces.push(piece)
    const bytes = Buffer.concat(pieces)
    expect(bytes.length).toBe(800_000)
    expect([bytes.readUInt32LE(0), bytes.readUInt32LE(799_996)]).toEqual([0, 199_999])
  })
  test('end when the caller leaves the loop', async () => {
    for await (const _ of client.queryBytes('SELECT number FROM numbers(2000000000000)')) break
    const running = `SELECT count() AS n FROM system.processes WHERE query LIKE '%2000000000000%' AND query NOT LIKE '%processes%'`
    await expect.poll(async () => (await client.query(running)).rows).toEqual([{ n: '0' }])
  })
  test('end when the signal says so', async () => {
    const controller = new AbortController()
    const read = async () => {
      const { signal } = controller
      for await (const _ of client.queryBytes('SELECT number FROM numbers(3000000000000)', {}, { signal }))
        controller.abort()
    }
    await expect(read()).rejects.toMatchObject({ code: 'cancelled' })
  })
  test('tell an error in the middle as what it is, and nothing of it is a row', async () => {
    let seen = 0
    const read = async () => {
      const sql = 'SELECT toUInt64(number + throwIf(number = 900000)) FROM numbers(1000000)'
      for await (const piece of client.queryBytes(sql)) seen += piece.length
    }
    await expect(read()).rejects.toMatchObject({ code: 'rejected', clickhouseCode: 395 })
    expect(seen).toBeGreaterThan(0)
    expect(seen % 8).toBe(0)
  })
})

describe('errors', () => {
  test.for([
    { of: 'a table that does not exist', sql: 'SELECT * FROM missing', code: 'rejected', retryable: false, number: 60 },
    { of: 'bad SQL', sql: 'SELEC', code: 'rejected', retryable: false, number: 62 },
    {
      of: 'too much memory',
      sql: 'SELECT groupArray(repeat(toString(number), 100)) FROM numbers(10000000) SETTINGS max_memory_usage = 50000000',
      code: 'memory',
      retryable: true,
      number: 241,
    },
    {
      of: 'too many rows to read',
      sql: 'SELECT sum(number) FROM numbers(1000000) SETTINGS max_rows_to_read = 1000',
      code: 'limit',
      retryable: false,
      number: 158,
    },
  ])('of $of are $code', async ({ sql, code, retryable, number }) => {
    await expect(client.query(sql)).rejects.toMatchObject({ code, retryable, clickhouseCode: number })
  })
  test('of a time limit are timeout, and soon', async () => {
    const begun = performance.now()
    const asked = client.query(slow, {}, { maxExecutionSeconds: 0.2 })
    await expect(asked).rejects.toMatchObject({ code: 'timeout', retryable: true, clickhouseCode: 159 })
    expect(performance.now() - begun).toBeLessThan(2000)
  })
  test('of a cancelled request are cancelled, before and while it runs', async () => {
    const cancelled = { code: 'cancelled', retryable: false }
    await expect(client.query('SELECT 1', {}, { signal: AbortSignal.abort() })).rejects.toMatchObject(cancelled)
    await expect(client.query(slow, {}, { signal: AbortSignal.timeout(50) })).rejects.toMatchObject(cancelled)
  })
  test('of nobody there are unavailable', async () => {
    const nobody = new StoreClient({ ...opened.store.connection, urls: ['http://127.0.0.1:9'] })
    const unavailable = { code: 'unavailable', retryable: true }
    await expect(nobody.ping()).rejects.toMatchObject(unavailable)
    await expect(nobody.query('SELECT 1')).rejects.toMatchObject(unavailable)
    await expect(nobody.insertNative('t', ['n'], Buffer.alloc(1), 'x')).rejects.toMatchObject(unavailable)
    await nobody.close()
  })
  test('of a wrong password are rejected', async () => {
    const stranger = new StoreClient({ ...opened.store.connection, password: 'guess' })
    await expect(stranger.query('SELECT 1')).rejects.toMatchObject({ code: 'rejected', clickhouseCode: 516 })
    await stranger.close()
  })
  test('of a full disk are full, whichever number they carry', async () => {
    const { ClickHouseError } = await import('@clickhouse/client')
    const of = (code: string, message: string) => storeErrorFrom(new ClickHouseError({ code, message }), false)
    expect(of('243', 'Cannot reserve 1 MiB')).toMatchObject({ code: 'full', retryable: true })
    expect(of('75', 'Cannot write to file, errno: 28, No space left on device')).toMatchObject({ code: 'full' })
  })
})

test('queries go on while inserts run', async () => {
  const column = new UInt64Column('n')
  for (let i = 0; i < 300_000; i++) column.append(i)
  const block = encodeBlock([column])
  let inserting = true
  const inserts = Promise.all([1, 2, 3].map((i) => client.insertNative('numbers', ['n'], block, `t${i}`))).finally(
    () => {
      inserting = false
    },
  )
  let answered = 0
  while (inserting) {
    await client.query('SELECT {n:UInt8}', { n: answered % 200 })
    answered++
  }
  await inserts
  expect(answered).toBeGreaterThan(1)
  expect((await client.query('SELECT count() AS n FROM numbers')).rows).toEqual([{ n: '900000' }])
})

test('a request that is aborted before it has its connection does no harm to those that have it later', async () => {
  let late = false
  const server = createServer((request, response) => {
    request.resume()
    setTimeout(() => response.end('a piece'), late ? 3_500 : 0)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const own = new StoreClient({ engine: 'clickhouse', urls: [url], username: 'u', password: 'p', database: 'd' })
  const ask = async (signal?: AbortSignal): Promise<string> => {
    let text = ''
    for await (const piece of own.queryBytes('SELECT 1', {}, signal ? { signal } : {})) text += piece.toString()
    return text
  }
  try {
    expect(await ask()).toBe('a piece')
    for (let i = 0; i < 5; i++) {
      const gone = new AbortController()
      const aborted = ask(gone.signal)
      setImmediate(() => gone.abort())
      await expect(aborted).rejects.toMatchObject({ code: 'cancelled' })
    }
    late = true
    // Longer than an idle connection is kept.
    expect(await ask()).toBe('a piece')
  } finally {
    await own.close()
    server.closeAllConnections()
    server.close()
  }
})
