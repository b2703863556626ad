import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChunkHeader, Outcome } from '@tributary/protocol/chunk.ts'
import { nodeDisk } from '@tributary/protocol/disk.ts'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Ledger } from './ledger.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tributary-ledger-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const sources = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)]
const header = (source: Buffer, range: readonly [number, number], outcome?: Outcome): ChunkHeader => ({
  source,
  range,
  seen: range[1] + 5,
  rawBytes: 0,
  path: '/var/log/x.log',
  labels: { pod: 'p' },
  metadata: {},
  ...(outcome ? { outcome } : {}),
})
const open = async (damage: string[] = []) =>
  (
    await Ledger.open({
      disk: nodeDisk,
      path: join(directory, 'ledger'),
      onDamage: (error, movedTo) => damage.push(`${error.message} ${movedTo}`),
    })
  ).ledger

const outcome = fc.constantFrom<Outcome | undefined>(
  undefined,
  undefined,
  { kind: 'lost', reason: 'deleted' },
  { kind: 'filtered', reason: 'start_at' },
)
const chunk = fc.record({
  source: fc.nat(1),
  first: fc.nat(80),
  length: fc.integer({ min: 1, max: 20 }),
  outcome,
  /** Bytes behind the seam, of the other source; 0 for a chunk without one. */
  over: fc.constantFrom(0, 0, 3, 9),
  leftOut: fc.nat(9),
})

test('whatever overlaps, repeats or comes out of order: each byte is admitted once, and counted where its first chunk put it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(chunk, { maxLength: 30 }), fc.nat(30), async (chunks, snapshotAt) => {
      rmSync(join(directory, 'ledger'), { force: true })
      let ledger = await open()
      // One record per byte: a map of byte to what became of it.
      const model = sources.map(() => new Map<number, string>())
      let leftOutBytes = 0
      for (const [i, { source, first, length, outcome, over, leftOut }] of chunks.entries()) {
        if (i === snapshotAt) {
          await ledger.snapshot({ segment: 1, offset: i })
          ledger = await open()
        }
        const spans = over > 0 && outcome === undefined
        const at = first + length
        const range = [first, spans ? at + over : at] as const
        const chunkHeader: ChunkHeader = {
          ...header(sources[source]!, range, outcome),
          ...(spans ? { seam: { source: sources[1 - source]!, at } } : {}),
          ...(leftOut > 0 && outcome === undefined
            ? { leftOut: { dropped: Math.min(leftOut, range[1] - first) } }
            : {}),
        }
        const count = (ranges: readonly (readonly [number, number])[]) => ranges.reduce((sum, [a, b]) => sum + b - a, 0)
        const admitted = ledger.admit(chunkHeader, outcome ? 0 : range[1] - range[0], outcome ? () => 0 : count)
        const expected: number[] = []
        for (let byte = first; byte < range[1]; byte++) {
          const [own, offset] = byte < at ? [model[source]!, byte] : [model[1 - source]!, byte - at]
          if (own.has(offset)) continue
          own.set(offset, outcome ? `${outcome.kind}:${outcome.reason}` : 'stored')
          expected.push(byte)
        }
        if (outcome === undefined && expected.length > 0)
          leftOutBytes += Math.floor((Math.min(leftOut, range[1] - first) * expected.length) / (range[1] - range[0]))
        expect(admitted.ranges.flatMap(([a, b]) => Array.from({ length: b - a }, (_, k) => a + k))).toEqual(expected)
        const records = admitted.bookings.reduce((sum, booking) => sum + booking.records, 0)
        expect(records).toBe(outcome ? 0 : expected.length)
        ledger.confirm(admitted)
      }
      const counted = [...ledger.sources()].reduce((sum, { leftOut }) => sum + (leftOut.dropped ?? 0), 0)
      expect(counted).toBe(leftOutBytes)
      for (const account of ledger.sources()) {
        const own = model[sources.findIndex((source) => source.toString('hex') === account.source)]!
        const bytes = (kind: string) =>
          [...own]
            .filter(([, what]) => what === kind)
            .map(([byte]) => byte)
            .sort((a, b) => a - b)
        const flat = (ranges: readonly (readonly [number, number])[]) =>
          ranges.flatMap(([a, b]) => Array.from({ length: b - a }, (_, k) => a + k))
        expect(flat(account.stored)).toEqual(bytes('stored'))
        expect(account.records).toBe(bytes('stored').length)
        for (const { reason, ranges } of account.lost) expect(flat(ranges)).toEqual(bytes(`lost:${reason}`))
        for (const { reason, ranges } of account.filtered) expect(flat(ranges)).toEqual(bytes(`filtered:${reason}`))
        expect(flat(account.missing)).toEqual(
          Array.from({ length: account.seen }, (_, k) => k).filter((byte) => !own.has(byte)),
        )
      }
    }),
    { numRuns: 150 },
  )
})

test('what is not durable in the write-ahead log is not in a snapshot, and does not hold it up', async () => {
  const ledger = await open()
  ledger.confirm(ledger.admit(header(sources[0]!, [0, 10]), 1, () => 0))
  const late = ledger.admit(header(sources[0]!, [5, 30]), 3, () => 2)
  ledger.admit(header(sources[1]!, [0, 10], { kind: 'lost', reason: 'deleted' }), 0, () => 0)
  await ledger.snapshot({ segment: 1, offset: 1 })
  expect((await open()).ranges(sources[0]!)).toEqual([[0, 10]])
  expect((await open()).ranges(sources[1]!)).toEqual([])
  expect([...(await open()).sources()][0]!.records).toBe(1)
  ledger.confirm(late)
  await ledger.snapshot({ segment: 1, offset: 2 })
  expect((await open()).ranges(sources[0]!)).toEqual([[0, 30]])
  expect([...ledger.sources()][0]!.records).toBe(3)
})

test('booking again from the write-ahead log what a snapshot has changes nothing', async () => {
  const ledger = await open()
  ledger.admit(header(sources[0]!, [0, 10]), 3, () => 0)
  ledger.replay(header(sources[0]!, [0, 10]), [[0, 10]], () => 3)
  expect([...ledger.sources()]).toMatchObject([{ stored: [[0, 10]], records: 3 }])
})

test('a snapshot that has one of the sources of a seam, or neither: the log books the rest, with what was left out', async () => {
  const over: ChunkHeader = {
    ...header(sources[0]!, [0, 30]),
    ...{ seam: { source: sources[1]!, at: 20 }, leftOut: { dropped: 25, rate: 2 } },
  }
  const one = { stored: [[0, 20]], leftOut: { dropped: 20 }, records: 2 }
  const two = { stored: [[0, 10]], leftOut: { dropped: 5, rate: 2 }, records: 1 }
  const count = (ranges: readonly (readonly [number, number])[]) =>
    ranges.reduce((sum, [first, end]) => sum + (end - first) / 10, 0)
  const live = await open()
  live.confirm(live.admit(over, 3, count))
  expect([...live.sources()]).toMatchObject([one, two])
  for (const booked of [[], [0], [1]]) {
    const ledger = await open()
    // As if the snapshot had been written up to there before the log confirmed it.
    for (const i of booked)
      ledger.replay(
        { ...header(sources[i]!, [0, i === 0 ? 20 : 10]), leftOut: [one, two][i]!.leftOut },
        [[0, 20]],
        (r) => count(r),
      )
    for (let again = 0; again < 2; again++) ledger.replay(over, [[0, 30]], count)
    for (const [i, account] of [one, two].entries())
      expect(ledger.account(sources[i]!.toString('hex')), `${booked}`).toMatchObject(account)
  }
})

test('bytes that could not be decoded afterwards become lost', async () => {
  const ledger = await open()
  ledger.admit(header(sources[0]!, [0, 30]), 3, () => 0)
  ledger.lose(sources[0]!.toString('hex'), [[10, 20]], 'corrupt', 1)
  const [account] = ledger.sources()
  expect(account).toMatchObject({
    stored: [
      [0, 10],
      [20, 30],
    ],
    lost: [{ reason: 'corrupt', ranges: [[10, 20]] }],
    records: 2,
  })
  expect(ledger.ranges(sources[0]!)).toEqual([[0, 30]])
})

test('sources of which nothing came for long are forgotten', async () => {
  let now = 0
  const { ledger } = await Ledger.open({
    disk: nodeDisk,
    path: join(directory, 'ledger'),
    now: () => now,
    onDamage: () => {},
  })
  ledger.admit(header(sources[0]!, [0, 10]), 1, () => 0)
  now = 1000
  ledger.admit(header(sources[1]!, [0, 10]), 1, () => 0)
  expect(ledger.prune(500)).toBe(1)
  expect([...ledger.sources()].map(({ source }) => source)).toEqual([sources[1]!.toString('hex')])
})
