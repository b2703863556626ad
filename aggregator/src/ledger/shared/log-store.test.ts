/** The log of the shared ledger on a real engine: places taken once, tombstones, and what is cut behind a snapshot. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { LogBlock } from '../../store/log-block.ts'
import { migrate } from '../../store/migrations.ts'
import { openTestStore, quietLog, rowStream, type TestStore } from '../../store/test-store.ts'
import { type ClaimPart, encodeEntry } from './entry.ts'
import { ClickHouseLog, claimToken } from './log-store.ts'
import { SharedLog, type SharedLogOptions } from './shared-log.ts'
import { encodeState } from './snapshot.ts'
import type { OpenClaim } from './state.ts'

let opened: TestStore
let store: ClickHouseLog
beforeAll(async () => {
  opened = await openTestStore()
  await migrate(opened.client, quietLog)
  store = new ClickHouseLog(opened.client)
})
afterAll(() => opened[Symbol.asyncDispose]())

beforeEach(async () => {
  for (const table of ['ledger_log', 'ledger_snapshots', 'logs']) await opened.client.command(`TRUNCATE TABLE ${table}`)
})

const count = async (table: string, where = '1') =>
  Number((await opened.client.query<{ n: string }>(`SELECT count() AS n FROM ${table} WHERE ${where}`)).rows[0]!.n)

/** Tokens outlive a TRUNCATE: no two tests may share one. */
let places = 0
const freshPlace = () => (places += 10)

test('a place of the log is taken once: who comes second reads whose it is', async () => {
  const seq = freshPlace()
  await store.append({ seq, entry: 'first', writer: 'a', body: '{}' })
  await store.append({ seq, entry: 'second', writer: 'b', body: '{"x":1}' })
  await store.append({ seq: seq + 1, entry: 'third', writer: 'b', body: '{"täxt":"\\u0000"}' })
  const rows = await store.read(seq)
  expect(rows).toMatchObject([
    { seq, entry: 'first', writer: 'a', body: '{}' },
    { seq: seq + 1, entry: 'third', writer: 'b', body: '{"täxt":"\\u0000"}' },
  ])
  for (const { at } of rows) expect(Math.abs(Date.now() - at)).toBeLessThan(60_000)
  expect(await store.read(seq + 1)).toHaveLength(1)
  expect(await store.read(seq + 2)).toEqual([])
})

test('where the store forgot a token and has two entries in one place, the one that was written first counts', async () => {
  const seq = freshPlace()
  const two = [
    ['z', '2026-01-01 00:00:00.000000001'],
    ['a', '2026-01-01 00:00:00.000000002'],
  ]
  for (const [entry, written] of two.reverse())
    await opened.client.command(
      `INSERT INTO ledger_log (seq, entry, writer, body, written) VALUES (${seq}, '${entry}', 'w', '{}', '${written}')`,
    )
  expect(await count('ledger_log')).toBe(2)
  expect(await store.read(seq)).toMatchObject([{ entry: 'z' }])
})

test('the newest snapshot is read, whole and in order, however often it was written', async () => {
  expect(await store.readSnapshot()).toBeUndefined()
  const lines = Array.from({ length: 300 }, (_, i) => `line ${i} äöü`)
  const first = freshPlace()
  for (const upTo of [first, first + 5, first + 5]) await store.writeSnapshot({ upTo, lines: [...lines, String(upTo)] })
  expect(await store.readSnapshot()).toEqual({ upTo: first + 5, lines: [...lines, String(first + 5)] })
  expect(await count('ledger_snapshots')).toBe(602)
})

test('what is dropped are whole partitions before an entry, and snapshots before another', async () => {
  await opened.client.command(
    "INSERT INTO ledger_log (seq, entry, writer, body) SELECT number, 'e', 'w', '{}' FROM numbers(3500)",
  )
  const at = freshPlace()
  for (const upTo of [at, at + 1]) await store.writeSnapshot({ upTo, lines: ['x'] })
  await store.drop(2999, at + 1)
  expect((await store.read(0))[0]).toMatchObject({ seq: 2000 })
  expect(await count('ledger_log')).toBe(1500)
  expect(await store.readSnapshot()).toEqual({ upTo: at + 1, lines: ['x'] })
  expect(await count('ledger_snapshots')).toBe(1)
  // Nothing is left to drop.
  await store.drop(2999, at + 1)
  await store.drop(-2000, -1)
  expect(await count('ledger_log')).toBe(1500)
})

const [day, otherDay] = [20_000, 20_001]
const source = Buffer.alloc(16, 7)

/** A claim of the rows at offsets 100 and 150 on one day. */
function claimOf(seq: number, more: Partial<ClaimPart> = {}): OpenClaim {
  const part = { source: source.toString('hex'), day, ranges: [[100, 200]] as const, records: 2, seen: 200, ...more }
  const block = { from: { segment: 1, offset: 0 }, to: { segment: 1, offset: 9 } }
  return { seq, writer: 'gone', contested: true, block, days: [day], parts: [part] }
}

async function insertRows(ledger: string, seq: number, offsets = [100, 150], at = day): Promise<void> {
  const block = new LogBlock()
  block.setStream(rowStream({ source }))
  for (const offset of offsets) block.add(at * 86_400 + 5, 0, offset, '', Buffer.from('row'), 0, 3)
  await opened.client.insertNative('logs', block.columns, block.encode(), claimToken(ledger, seq, at))
}

const rowsOf = () => count('logs', "tenant != ''")
const tombstones = () => count('logs', "tenant = ''")
const newLedger = () => randomBytes(12).toString('hex')

test.for([false, true])('rows that are in the store stay, and no tombstone gets in (old: %s)', async (old) => {
  const ledger = newLedger()
  await insertRows(ledger, 5)
  for (let again = 0; again < 2; again++) expect(await store.decide(ledger, claimOf(5), day, old)).toBe(true)
  expect([await rowsOf(), await tombstones()]).toEqual([2, 0])
})

test.for([false, true])(
  'rows that are not in the store will never be: the tombstone has their token (old: %s)',
  async (old) => {
    const ledger = newLedger()
    // Neither another day, nor another claim, nor another ledger is in the way.
    await insertRows(ledger, 5, [100, 150], otherDay)
    await insertRows(ledger, 6, [50, 200, 300])
    for (let again = 0; again < 2; again++) expect(await store.decide(ledger, claimOf(5), day, old)).toBe(false)
    await insertRows(ledger, 5)
    expect([await rowsOf(), await tombstones()]).toEqual([5, 1])
    expect(await store.decide(newLedger(), claimOf(6), day, false)).toBe(false)
  },
)

test('where the store may have forgotten the token, rows of the claim are looked for', async () => {
  const ledger = newLedger()
  await insertRows(ledger, 5)
  await opened.client.command('ALTER TABLE logs MODIFY SETTING non_replicated_deduplication_window = 1')
  try {
    await insertRows(ledger, 6, [300])
    expect(await store.decide(ledger, claimOf(5), day, false), 'the token is not forgotten').toBe(false)
    expect(await store.decide(ledger, claimOf(5), day, true)).toBe(true)
    const elsewhere = [{ source: '08'.repeat(16) }, { ranges: [[101, 150]] as const }, { ranges: [[0, 100]] as const }]
    for (const more of elsewhere) expect(await store.decide(ledger, claimOf(5, more), day, true)).toBe(false)
    expect(
      await store.decide(
        ledger,
        claimOf(5, {
          ranges: [
            [0, 10],
            [150, 151],
          ],
        }),
        day,
        true,
      ),
    ).toBe(true)
  } finally {
    await opened.client.command('ALTER TABLE logs MODIFY SETTING non_replicated_deduplication_window = 10000')
  }
})

test('an aggregator that was away while the log was cut reads the snapshot, and comes to the same state as all', {
  timeout: 120_000,
}, async () => {
  // Tokens of places are the store's for good: this test has an engine of its own.
  await using own = await openTestStore()
  await migrate(own.client, quietLog)
  const log = new ClickHouseLog(own.client)
  const failures: unknown[] = []
  const open = (writer: string, more: Partial<SharedLogOptions> = {}) =>
    new SharedLog({ store: log, writer, onError: (error) => failures.push(error), ...more })
  const [a, away] = [open('a', { snapshotEntries: 5000 }), open('away')]
  await Promise.all([a.refresh(), away.refresh()])
  const { block, parts } = claimOf(0)
  const settled = await a.submit({ prepare: () => ({ claim: { block, days: [day], parts } }) })
  await a.submit({ prepare: () => ({ settled: [settled!] }) })
  const next = { from: block.to, to: { segment: 2, offset: 0 } }
  const fence = { session: 's', sources: [[parts[0]!.source, 500] as const] }
  await a.submit({
    prepare: () => ({
      claim: { block: next, days: [day], parts: [{ ...parts[0]!, ranges: [[200, 300]] }] },
      fences: [fence],
    }),
  })
  await away.refresh()
  const seen = away.state.next
  expect(seen).toBe(3)
  // What others write meanwhile, at once.
  await own.client.command(
    `INSERT INTO ledger_log (seq, entry, writer, body)
     SELECT number + ${seen}, hex(number), 'other', '${encodeEntry({})}' FROM numbers(4996)`,
  )
  await a.refresh()
  const snapshot = () => log.readSnapshot()
  await a.submit({ prepare: () => ({}) })
  await expect.poll(snapshot).toMatchObject({ upTo: 5000 })
  await expect.poll(async () => (await log.read(0))[0]?.seq).toBe(3000)
  expect(a.state.snapshot).toBe(5000)
  // One that was away, and one that begins.
  const begins = open('begins')
  await away.refresh()
  await begins.refresh()
  for (const one of [away, begins]) {
    expect(one.state.next).toBe(a.state.next)
    expect(one.state.id).toBe(a.state.id)
    expect(encodeState(one.state)).toEqual(encodeState(a.state))
    expect(one.state.openClaims(parts[0]!.source)).toMatchObject([{ writer: 'a', block: next }])
    expect(one.state.settled(parts[0]!.source)).toEqual([[100, 200]])
  }
  // It goes on behind it, and so do the others.
  const own2 = await away.submit({ prepare: () => ({}) })
  await a.refresh()
  expect(a.state.next).toBe(own2! + 1)
  expect(failures).toEqual([])
})
