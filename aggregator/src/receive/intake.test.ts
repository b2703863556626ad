import {
  type ChunkHeader,
  chunkOptions,
  ledgerQueryOptions,
  type Outcome,
  relayPart,
} from '@tributary/protocol/chunk.ts'
import { compress } from '@tributary/protocol/compression.ts'
import { nodeDisk } from '@tributary/protocol/disk.ts'
import { forwardMessage } from '@tributary/protocol/forward.ts'
import { decode, encode } from '@tributary/protocol/msgpack.ts'
import type { ByteRange } from '@tributary/protocol/ranges.ts'
import { writeRecordHead } from '@tributary/protocol/records.ts'
import { expect, test } from 'vitest'
import { type Limits, limitsConfig } from '../access/config.ts'
import { TenantLimits } from '../access/tenant-limits.ts'
import { LocalLedger } from '../ledger/intake-ledger.ts'
import { Ledger } from '../ledger/ledger.ts'
import { AggregatorMetrics } from '../metrics.ts'
import type { WalRecord } from '../wal/record.ts'
import { Intake } from './intake.ts'

const source = Buffer.alloc(16, 1)

/** A log whose appends become durable when the test says so. */
class HeldWal {
  readonly full = false
  readonly stalled = undefined
  readonly appended: WalRecord[] = []
  #waiting: PromiseWithResolvers<{ segment: number; offset: number }>[] = []
  append(record: WalRecord) {
    this.appended.push(record)
    this.#waiting.push(Promise.withResolvers())
    return this.#waiting.at(-1)!.promise
  }
  commit() {
    for (const { resolve } of this.#waiting.splice(0)) resolve({ segment: 1, offset: 0 })
  }
}

async function start(limits: Partial<Limits> = {}) {
  const { ledger } = await Ledger.open({ disk: nodeDisk, path: '/nonexistent/ledger', onDamage: () => {} })
  const wal = new HeldWal()
  const unsupported: string[] = []
  const holds: number[] = []
  const hold = (ms: number) => void holds.push(ms)
  const intake = new Intake({
    wal,
    ledger: new LocalLedger(ledger),
    metrics: new AggregatorMetrics(),
    maxEntriesBytes: 1 << 20,
    onDurable: () => {},
    tenantOf: (user) => user,
    limits: new TenantLimits({ limits: { ...limitsConfig.parse({}), ...limits }, now: () => 0 }),
    onUnsupported: (signal) => unsupported.push(signal),
  })
  /** The answer, or `waiting` while there is none. */
  const send = async (message: Buffer, user?: string) => {
    const answer = intake.accept(message, { user, hold })
    if (answer === undefined) return 'none'
    return Promise.race([
      answer.then((bytes) => (bytes === undefined ? 'none' : decode(bytes))),
      new Promise((resolve) => setImmediate(() => resolve('waiting'))),
    ])
  }
  return { ledger, wal, intake, send, unsupported, holds }
}

/** One record for every ten bytes. */
function chunk(range: ByteRange, outcome?: Outcome, more: Partial<ChunkHeader> = {}): Buffer {
  const out = Buffer.alloc(100_000)
  let p = 0
  let records = 0
  for (let offset = range[0]; outcome === undefined && offset < range[1]; offset += 10, records++) {
    p = writeRecordHead(out, p, 1, 2, offset, 1, 0, 0, false)
    out[p++] = 0x78
  }
  const entries = compress(out.subarray(0, p), 'zstd')
  const header: ChunkHeader = {
    source,
    range,
    seen: 10_000,
    rawBytes: p,
    path: '/x',
    labels: {},
    metadata: {},
    ...more,
  }
  return Buffer.concat(
    outcome === undefined
      ? forwardMessage('t', entries, chunkOptions(header, records, 'zstd'))
      : forwardMessage('t', Buffer.alloc(0), chunkOptions({ ...header, outcome }, 0, 'none')),
  )
}
const query = Buffer.concat(
  forwardMessage(
    't',
    Buffer.alloc(0),
    ledgerQueryOptions('q', [
      { source, keep: 0 },
      { source: Buffer.alloc(16), keep: 0 },
    ]),
  ),
)
const account = (ledger: Ledger) => [...ledger.sources()][0]

test('a chunk is answered when it is durable and not before', async () => {
  const { wal, intake } = await start()
  const answer = intake.accept(chunk([0, 50]))!
  let answered = false
  void answer.then(() => {
    answered = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  expect(answered).toBe(false)
  expect(intake.undurableBytes).toBeGreaterThan(0)
  wal.commit()
  expect(decode((await answer)!)).toMatchObject({ ack: expect.any(String) })
  expect(intake.undurableBytes).toBe(0)
})

test('a duplicate is not kept again, and answered only when what covers it is durable', async () => {
  const { wal, send, ledger } = await start()
  expect(await send(chunk([0, 50]))).toBe('waiting')
  expect(await send(chunk([0, 50]))).toBe('waiting')
  expect(wal.appended).toHaveLength(1)
  wal.commit()
  expect(await send(chunk([10, 40]))).toHaveProperty('ack')
  expect(account(ledger)!.records).toBe(5)
})

test('of an overlapping chunk only the new part is kept, its records counted exactly', async () => {
  const { wal, send, ledger } = await start()
  await send(chunk([20, 40]))
  await send(chunk([0, 100]))
  expect(wal.appended.map(({ accepted }) => accepted)).toEqual([
    [[20, 40]],
    [
      [0, 20],
      [40, 100],
    ],
  ])
  expect(account(ledger)).toMatchObject({ records: 10, stored: [[0, 100]] })
})

test('a tenant neither books, sees nor fences the sources of another', async () => {
  const { wal, send, ledger } = await start()
  await send(chunk([0, 50], undefined, { session: 'a' }), 'shop')
  await send(chunk([0, 10_000], { kind: 'lost', reason: 'deleted' }), 'bank')
  await send(query, 'bank')
  await send(chunk([50, 100], undefined, { session: 'a', seam: { source: Buffer.alloc(16, 5), at: 80 } }), 'shop')
  wal.commit()
  expect(wal.appended.map(({ tenant }) => tenant)).toEqual(['shop', 'bank', 'shop'])
  expect(await send(query, 'shop')).toEqual({ ack: 'q', ranges: [[[0, 80]], []] })
  expect(await send(query, 'bank')).toEqual({ ack: 'q', ranges: [[[0, 10_000]], []] })
  expect(await send(query)).toEqual({ ack: 'q', ranges: [[], []] })
  expect([...ledger.sources()]).toHaveLength(3)
})

test('beyond its rate a tenant waits, and only for what is new', async () => {
  const { send, wal, holds } = await start({ ingestionBytesPerSecond: 1000, ingestionBurstBytes: 1000 })
  await send(encode(['t', 5, { log: 'x'.repeat(900) }]), 'shop')
  expect(holds).toEqual([])
  const more = chunk([0, 50], undefined, { rawBytes: 1100 })
  await send(more, 'shop')
  expect(holds).toEqual([expect.closeTo(1000, -2)])
  await send(more, 'shop')
  await send(encode(['t', 5, { log: 'x'.repeat(900) }]), 'bank')
  expect(holds).toHaveLength(1)
  await send(chunk([50, 100], undefined, { rawBytes: 1 << 19 }), 'shop')
  expect(holds.at(-1)).toBe(20_000)
  expect(wal.appended).toHaveLength(4)
})

test('a stream beyond the number that a tenant may have is not taken yet, the others go on', async () => {
  const { send, wal } = await start({ maxStreams: 1 })
  const other = chunk([0, 50], undefined, { source: Buffer.alloc(16, 2), labels: { pod: 'other' } })
  expect(await send(chunk([0, 50]))).toBe('waiting')
  await expect(send(other)).rejects.toMatchObject({ problem: 'limited', fatal: true })
  await expect(send(encode(['another tag', 5, { log: 'x' }]))).rejects.toMatchObject({
    problem: 'limited',
    fatal: false,
  })
  await expect(send(encode(['another tag', 5, { log: 'x' }, { chunk: 'c' }]))).rejects.toMatchObject({
    problem: 'limited',
    fatal: 'once answered',
  })
  expect(await send(chunk([50, 100]))).toBe('waiting')
  // What became of bytes is no stream.
  expect(
    await send(
      chunk([0, 10], { kind: 'lost', reason: 'deleted' }, { source: Buffer.alloc(16, 3), labels: { pod: 'x' } }),
    ),
  ).toBe('waiting')
  expect(await send(other, 'bank')).toBe('waiting')
  expect(wal.appended).toHaveLength(4)
})

test('a ledger query tells what is accepted, once that is durable', async () => {
  const { wal, send } = await start()
  expect(await send(query)).toEqual({ ack: 'q', ranges: [[], []] })
  await send(chunk([0, 50]))
  expect(await send(query)).toBe('waiting')
  wal.commit()
  expect(await send(query)).toEqual({ ack: 'q', ranges: [[[0, 50]], []] })
})

test('once another session of the collector has asked, chunks of the one before it are refused', async () => {
  const { wal, send, ledger } = await start()
  expect(await send(chunk([0, 50], undefined, { session: 'a' }))).toBe('waiting')
  wal.commit()
  const asked = (session: string) =>
    Buffer.concat(forwardMessage('t', Buffer.alloc(0), ledgerQueryOptions('q', [{ source, keep: 0 }], session)))
  expect(await send(asked('b'))).toEqual({ ack: 'q', ranges: [[[0, 50]]] })
  await expect(send(chunk([50, 100], undefined, { session: 'a' }))).rejects.toMatchObject({
    problem: 'fenced',
    fatal: true,
  })
  const over = { session: 'a', seam: { source, at: 30 } }
  await expect(send(chunk([20, 60], undefined, { ...over, source: Buffer.alloc(16, 9) }))).rejects.toMatchObject({
    problem: 'fenced',
  })
  expect(ledger.ranges(source)).toEqual([[0, 50]])
  expect(await send(chunk([50, 100], undefined, { session: 'b' }))).toBe('waiting')
  expect(ledger.ranges(source)).toEqual([[0, 100]])
})

test('a chunk that goes on in the next source is booked for both, and kept as one', async () => {
  const { wal, send, ledger } = await start()
  const next = Buffer.alloc(16, 2)
  const over = chunk([70, 130], undefined, { seam: { source: next, at: 100 }, leftOut: { dropped: 5 } })
  expect(await send(over)).toBe('waiting')
  expect(wal.appended).toMatchObject([
    { accepted: [[70, 130]], source, records: 3, seam: { source: next, at: 100, records: 3 } },
  ])
  wal.commit()
  expect(await send(over)).toHaveProperty('ack')
  expect(wal.appended).toHaveLength(1)
  expect([...ledger.sources()]).toMatchObject([
    { stored: [[70, 100]], records: 3, seen: 100, leftOut: { dropped: 5 } },
    { stored: [[0, 30]], records: 3, seen: 30, missing: [], leftOut: {} },
  ])
})

test('lost and filtered ranges are kept and told apart', async () => {
  const { wal, send, ledger } = await start()
  await send(chunk([0, 50], { kind: 'lost', reason: 'deleted' }))
  await send(chunk([40, 70], { kind: 'filtered', reason: 'start_at' }))
  await send(chunk([60, 80]))
  wal.commit()
  expect(wal.appended.map(({ accepted }) => accepted)).toEqual([[[0, 50]], [[50, 70]], [[70, 80]]])
  expect(account(ledger)).toMatchObject({
    stored: [[70, 80]],
    lost: [{ reason: 'deleted', ranges: [[0, 50]] }],
    filtered: [{ reason: 'start_at', ranges: [[50, 70]] }],
    records: 1,
  })
})

test('a chunk that fills more holes than a record of the log has room for is kept in several', async () => {
  const { wal, send, ledger } = await start()
  for (let i = 0; i < 300; i++) await send(chunk([20 * i, 20 * i + 10]))
  const before = wal.appended.length
  expect(await send(chunk([0, 6000]))).toBe('waiting')
  const added = wal.appended.slice(before)
  expect(added.map(({ accepted }) => accepted.length)).toEqual([255, 45])
  expect(account(ledger)).toMatchObject({ records: 600, stored: [[0, 6000]] })
})

test('an overlapping chunk that cannot be counted is refused, and nothing of it booked', async () => {
  const { wal, send, ledger } = await start()
  await send(chunk([0, 50]))
  const broken = chunk([0, 100])
  broken.fill(0xff, 20, 60)
  await expect(send(broken)).rejects.toMatchObject({ problem: 'bad_entries', fatal: false })
  expect(wal.appended).toHaveLength(1)
  expect(ledger.ranges(source)).toEqual([[0, 50]])
})

test("other senders' messages are kept as they come, and answered when they ask for it", async () => {
  const { wal, send, unsupported } = await start()
  const quiet = encode(['t', 1, { log: 'x' }])
  expect(await send(quiet)).toBe('waiting')
  expect(await send(encode(['t', 1, { log: 'x' }, { chunk: 'c' }]))).toBe('waiting')
  expect(wal.appended[0]).toMatchObject({ accepted: [], message: quiet })
  expect(await send(encode(null))).toBe('none')
  expect(await send(encode(['t', Buffer.from('x'), { chunk: 'm', fluent_signal: 1 }]))).toEqual({ ack: 'm' })
  expect(await send(encode(['t', Buffer.from('x'), { fluent_signal: 2 }]))).toBe('none')
  expect(unsupported).toEqual(['metrics', 'traces'])
  expect(wal.appended).toHaveLength(2)
})

test('a message that a collector passes on twice is stored once and acknowledged twice', async () => {
  const { ledger, wal, send } = await start()
  const own = Buffer.concat([Buffer.alloc(6), Buffer.alloc(10, 7)])
  const relayed = (first: number, end: number) => {
    const part = relayPart({ labels: {}, metadata: {} }, own, [first, end])
    return encode(['t', 5, { log: 'x' }, { chunk: `c${first}`, tributary: part }])
  }
  for (const [first, end] of [
    [0, 20],
    [0, 20],
    [20, 30],
  ] as ByteRange[])
    expect(await send(relayed(first, end))).toBe('waiting')
  expect(wal.appended.map(({ accepted }) => accepted)).toEqual([[[0, 20]], [[20, 30]]])
  wal.commit()
  expect(await send(relayed(0, 20))).toEqual({ ack: 'c0' })
  expect(ledger.ranges(own)).toEqual([[0, 30]])
})

test.for([
  { part: { v: 1, relay: { source: Buffer.alloc(16, 1), first: 0, end: 1 } } },
  { part: { v: 1, relay: { source: Buffer.alloc(15), first: 0, end: 1 } } },
  { part: { v: 1, relay: { source: Buffer.alloc(16), first: 1, end: 1 } } },
  { part: { v: 1, relay: 'x' } },
])('a relayed message whose range is wrong is refused: %o', async ({ part }) => {
  const { send, wal } = await start()
  await expect(send(encode(['t', 5, { log: 'x' }, { chunk: 'c', tributary: part }]))).rejects.toMatchObject({
    problem: 'bad_chunk',
  })
  expect(wal.appended).toEqual([])
})
