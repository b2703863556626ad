import { malformedFlag, truncatedFlag } from '@tributary/protocol/records.ts'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { LogBlock } from './log-block.ts'
import { migrate } from './migrations.ts'
import type { RowStream } from './row-stream.ts'
import { openTestStore, quietLog, rowStream, type TestStore } from './test-store.ts'

let opened: TestStore
let tokens = 0
beforeAll(async () => {
  opened = await openTestStore()
  await migrate(opened.client, quietLog)
})
afterAll(() => opened[Symbol.asyncDispose]())
beforeEach(async () => {
  for (const table of ['logs', 'streams']) await opened.client.command(`TRUNCATE TABLE ${table}`)
})

async function insert(block: LogBlock, token = `token-${tokens++}`): Promise<void> {
  await opened.client.insertNative('logs', block.columns, block.encode(), token)
  await opened.client.insertNative('streams', block.streams.columns, block.streams.encode(), token)
}

async function select<T>(sql: string): Promise<T[]> {
  return (await opened.client.query<T>(sql)).rows
}

const line = Buffer.from('[a line]')
const start = 1_790_000_000

test('a row has everything that its stream and its record say', async () => {
  const block = new LogBlock()
  block.setStream(
    rowStream({
      sid: 0xfedcba9876543210n,
      labels: { team: 'x', env: 'prod' },
      meta: { pod_uid: 'u' },
      source: Buffer.from('0123456789abcdef'),
    }),
  )
  block.add(start, 123_456_789, 2 ** 40, 'error', line, 1, 7)
  await insert(block)
  const [row] = await select('SELECT *, toUnixTimestamp64Nano(ts) AS ns FROM logs')
  expect(row).toEqual({
    tenant: 'fake',
    ts: '2026-09-21 14:13:20.123456789',
    ns: '1790000000123456789',
    sid: String(0xfedcba9876543210n),
    cluster: 'test',
    namespace: 'default',
    pod: 'web-0',
    container: 'nginx',
    node: 'node-1',
    app: 'web',
    service_name: 'web',
    stream: 'stdout',
    labels: { env: 'prod', team: 'x' },
    level: 'error',
    meta: { pod_uid: 'u' },
    line: 'a line',
    longest_word: 0,
    source: '0123456789abcdef',
    offset: String(2 ** 40),
  })
})

test('flags are metadata of their row only', async () => {
  const block = new LogBlock()
  block.setStream(rowStream({ meta: { node_uid: 'n', zone: 'z' } }))
  for (const [offset, flags] of [0, truncatedFlag, 0, malformedFlag, truncatedFlag | malformedFlag].entries()) {
    block.add(start, 0, offset, '', line, 0, 1, flags)
  }
  block.setStream(rowStream({ pod: 'web-1' }))
  block.add(start, 0, 9, '', line, 0, 1)
  await insert(block)
  const meta = { node_uid: 'n', zone: 'z' }
  expect((await select<{ meta: unknown }>('SELECT meta FROM logs ORDER BY offset')).map((row) => row.meta)).toEqual([
    meta,
    { ...meta, truncated: 'true' },
    meta,
    { ...meta, malformed: 'true' },
    { ...meta, malformed: 'true', truncated: 'true' },
    {},
  ])
})

test('a row knows how long its longest word is', async () => {
  const block = new LogBlock()
  block.setStream(rowStream())
  const lines = ['short words', 'x'.repeat(300), `a ${'y'.repeat(17)} b`, 'z'.repeat(70_000)]
  for (const [offset, text] of lines.entries()) block.add(start, 0, offset, '', Buffer.from(text), 0, text.length)
  await insert(block)
  expect(await select('SELECT longest_word FROM logs ORDER BY offset')).toEqual(
    [0, 300, 17, 65_535].map((length) => ({ longest_word: length })),
  )
})

test('a stream knows the longest word of each of its days', async () => {
  const block = new LogBlock()
  block.setStream(rowStream())
  const lines = ['short words', 'x'.repeat(300), 'y'.repeat(20)]
  for (const [day, text] of lines.entries())
    for (const line of [text, 'none']) block.add(start + day * 86_400, 0, day, '', Buffer.from(line), 0, line.length)
  await insert(block)
  expect(await select('SELECT longest_word FROM streams ORDER BY day')).toEqual(
    [0, 300, 20].map((length) => ({ longest_word: length })),
  )
})

interface Row {
  readonly stream: number
  readonly seconds: number
  readonly nanoseconds: number
  readonly level: string
  readonly line: Uint8Array
  readonly flags: number
  readonly attributes: Record<string, string> | undefined
}

describe('whatever the rows are', () => {
  const row: fc.Arbitrary<Row> = fc.record({
    stream: fc.nat({ max: 3 }),
    seconds: fc.integer({ min: start - 200_000, max: start }),
    nanoseconds: fc.nat({ max: 999_999_999 }),
    level: fc.constantFrom('', '', 'info', 'warn'),
    line: fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.string({ unit: 'grapheme' }).map((text) => Buffer.from(text)),
    ),
    flags: fc.constantFrom(0, 0, 0, truncatedFlag, malformedFlag),
    attributes: fc.constantFrom(undefined, undefined, {}, { a: 'own' }, { trace_id: 'é', b: '' }),
  })
  const streams: RowStream[] = [
    rowStream(),
    rowStream({ sid: 2n, stream: 'stderr', meta: { a: 'b' } }),
    rowStream({ sid: 3n, app: '', labels: { a: '1', b: '2' }, source: Buffer.alloc(16, 1) }),
    rowStream({ sid: 4n, tenant: 'other', meta: { x: '', y: 'é' } }),
  ]
  const block = new LogBlock()

  test('they come back as they were, from a block that is used again', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 60 }), async (rows) => {
        await opened.client.command('TRUNCATE TABLE logs')
        block.reset()
        for (const [offset, { stream, seconds, nanoseconds, level, line, flags, attributes }] of rows.entries()) {
          block.setStream(streams[stream]!)
          block.add(seconds, nanoseconds, offset, level, Buffer.from(line), 0, line.length, flags, attributes)
        }
        expect(block.rows).toBe(rows.length)
        await insert(block)
        const stored = await select(
          `SELECT toUInt32(offset) AS o, toUInt32(sid) AS sid, tenant, stream, app, level, lower(hex(line)) AS line, labels, meta,
           toString(toUnixTimestamp64Nano(ts)) AS ns, hex(source) AS source FROM logs ORDER BY offset`,
        )
        const expected = rows.map((given, o) => {
          const stream = streams[given.stream]!
          const flagged = {
            ...(given.flags === truncatedFlag ? { truncated: 'true' } : {}),
            ...(given.flags === malformedFlag ? { malformed: 'true' } : {}),
            ...given.attributes,
          }
          return {
            o,
            sid: Number(stream.sid),
            tenant: stream.tenant,
            stream: stream.stream,
            app: stream.app,
            level: given.level,
            line: Buffer.from(given.line).toString('hex'),
            labels: stream.labels,
            meta: { ...stream.meta, ...flagged },
            ns: String(BigInt(given.seconds) * 1_000_000_000n + BigInt(given.nanoseconds)),
            source: stream.source.toString('hex').toUpperCase(),
          }
        })
        expect(stored).toEqual(expected)
      }),
      { numRuns: 15 },
    )
  })
})

test('streams are summed up by day, over blocks', async () => {
  const day = 86_400
  const midnight = Math.floor(start / day) * day
  const first = rowStream({ labels: { team: 'x' } })
  const second = rowStream({ sid: 2n, stream: 'stderr', app: '' })
  for (const shift of [0, 10]) {
    const block = new LogBlock()
    block.setStream(first)
    block.add(midnight + 5 + shift, 7, 0, '', line, 0, 3)
    block.add(midnight + 5 + shift, 3, 1, '', line, 0, 4)
    block.setStream(second)
    block.add(midnight - 1, 999_999_999, 0, '', line, 0, 1)
    block.setStream(first)
    block.add(midnight + day, 0, 2, '', line, 0, 1)
    block.add(midnight + 9 + shift, 0, 3, '', line, 0, 2)
    expect([block.rows, block.streams.rows]).toEqual([5, 3])
    await insert(block)
  }
  const sums = await select(
    `SELECT toString(day) AS day, toUInt32(sid) AS sid, any(labels) AS labels, toString(toUnixTimestamp64Nano(min(first_ts)) - ${midnight}000000000) AS first,
     toString(toUnixTimestamp64Nano(max(last_ts)) - ${midnight}000000000) AS last, sum(entries) AS entries, sum(bytes) AS bytes
     FROM streams GROUP BY tenant, day, sid ORDER BY day, sid`,
  )
  const common = { cluster: 'test', namespace: 'default', pod: 'web-0', container: 'nginx', node: 'node-1' }
  const firstLabels = { ...common, app: 'web', service_name: 'web', stream: 'stdout', team: 'x' }
  const secondLabels = { ...common, service_name: 'web', stream: 'stderr' }
  expect(sums).toEqual([
    { day: '2026-09-20', sid: 2, labels: secondLabels, first: '-1', last: '-1', entries: '2', bytes: '2' },
    {
      day: '2026-09-21',
      sid: 1,
      labels: firstLabels,
      first: '5000000003',
      last: '19000000000',
      entries: '6',
      bytes: '18',
    },
    {
      day: '2026-09-22',
      sid: 1,
      labels: firstLabels,
      first: '86400000000000',
      last: '86400000000000',
      entries: '2',
      bytes: '2',
    },
  ])
})

test('a block inserted twice under one token is there once, in both tables', async () => {
  const block = new LogBlock()
  block.setStream(rowStream())
  for (let day = 0; day < 3; day++) block.add(start - day * 86_400, 0, day, '', line, 0, 8)
  for (let time = 0; time < 3; time++) await insert(block, 'the same')
  expect(await select('SELECT count() AS rows FROM logs')).toEqual([{ rows: '3' }])
  expect(await select('SELECT sum(entries) AS entries FROM streams')).toEqual([{ entries: '3' }])
  await insert(block, 'another')
  expect(await select('SELECT count() AS rows FROM logs')).toEqual([{ rows: '6' }])
})

test('a block may hold more days than the engine takes by default', async () => {
  const block = new LogBlock()
  block.setStream(rowStream())
  for (let day = 0; day < 101; day++) block.add(start - day * 86_400, 0, day, '', line, 0, 8)
  await opened.client.insertNative('streams', block.streams.columns, block.streams.encode(), 'many days')
  expect(await select('SELECT count() AS days FROM streams')).toEqual([{ days: '101' }])
})

test.for([
  { when: 'at 1970', seconds: 0 },
  { when: 'at the last second of the wire', seconds: 0xffffffff },
  { when: 'before 1970', seconds: -86_401 },
])('a record $when keeps its time', async ({ seconds }) => {
  const block = new LogBlock()
  block.setStream(rowStream())
  block.add(seconds, 1, 0, '', line, 0, 8)
  await insert(block)
  const expected = [{ ns: String(BigInt(seconds) * 1_000_000_000n + 1n) }]
  expect(await select('SELECT toUnixTimestamp64Nano(ts) AS ns FROM logs')).toEqual(expected)
  expect(await select('SELECT toUnixTimestamp64Nano(first_ts) AS ns FROM streams')).toEqual(expected)
})
