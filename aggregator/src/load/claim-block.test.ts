import { type ChunkHeader, chunkOptions } from '@tributary/protocol/chunk.ts'
import { forwardMessage } from '@tributary/protocol/forward.ts'
import type { ByteRanges } from '@tributary/protocol/ranges.ts'
import { recordOverhead, writeRecordHead } from '@tributary/protocol/records.ts'
import { expect, test } from 'vitest'
import type { ClaimPart } from '../ledger/shared/entry.ts'
import { LogBlock } from '../store/log-block.ts'
import type { WalEntry } from '../wal/wal.ts'
import { type BlockScope, ClaimBlock } from './claim-block.ts'
import { MessageDecoder } from './decode-message.ts'

const x = '09'.repeat(16)
const position = { segment: 1, offset: 0 }
const everything: BlockScope = { exclusions: [], stored: [] }

function open(scope: Partial<BlockScope> = {}) {
  const aside: Error[] = []
  const block = new ClaimBlock({
    decoder: new MessageDecoder({
      ...{ discoverServiceName: true, detectLevel: true, detectTrace: true, maxEntriesBytes: 1 << 20, id: 'here' },
    }),
    take: () => new LogBlock(),
    setAside: async (_, error) => void aside.push(error),
    scope: { ...everything, ...scope },
  })
  return { block, aside }
}

/** A chunk of [100, 200) with a record at each offset, on a day. */
function entry(
  records: readonly (readonly [day: number, offset: number])[],
  more: Partial<ChunkHeader> & { readonly accepted?: ByteRanges } = {},
): WalEntry {
  const { accepted = [[100, 200]], ...changes } = more
  const out = Buffer.alloc(records.length * (recordOverhead + 4))
  let p = 0
  for (const [day, offset] of records) {
    p = writeRecordHead(out, p, day * 86_400, 0, offset, 4, 0, 0, false)
    p += out.write('line', p)
  }
  const header: ChunkHeader = {
    ...{ source: Buffer.from(x, 'hex'), range: [100, 200], seen: 250, rawBytes: p, path: '/p', session: 's' },
    ...{ labels: { app: 'cart' }, metadata: {}, ...changes },
  }
  const message = Buffer.concat(forwardMessage('t', out.subarray(0, p), chunkOptions(header, records.length, 'none')))
  return { message, accepted, start: position, end: position, tenant: undefined } as WalEntry
}

const blockRange = { from: position, to: { segment: 1, offset: 9 } }
const claimed = (block: ClaimBlock) =>
  block.claimOf(blockRange).parts.map(({ day, ranges, records }) => ({ day, ranges, records }))
const rows = (block: ClaimBlock) => [...block.days].map(([day, log]) => [day, log.rows])

const midnight = entry([
  [5, 100],
  [5, 120],
  [6, 150],
])

test('a chunk over midnight: rows by day, and the bytes of each claimed with it', async () => {
  const { block } = open()
  await block.add(midnight)
  expect(rows(block)).toEqual([
    [5, 2],
    [6, 1],
  ])
  const claim = block.claimOf(blockRange)
  expect(claim).toMatchObject({ block: blockRange, days: [5, 6] })
  const about = { path: '/p', labels: { app: 'cart' }, metadata: {} }
  const part = { source: x, session: 's', seen: 250, about }
  expect(claim.parts).toEqual([
    { ...part, day: 5, ranges: [[100, 150]], records: 2 },
    { ...part, day: 6, ranges: [[150, 200]], records: 1 },
  ])
})

test('a byte is taken once, also when two chunks have it', async () => {
  const { block } = open()
  await block.add(entry([[5, 100]], { accepted: [[100, 120]] }))
  await block.add(midnight)
  await block.add(midnight)
  expect(rows(block)).toEqual([
    [5, 2],
    [6, 1],
  ])
  expect(claimed(block)).toEqual([
    { day: 5, ranges: [[100, 150]], records: 2 },
    { day: 6, ranges: [[150, 200]], records: 1 },
  ])
})

const partOf = (ranges: ByteRanges, session = 's'): ClaimPart => ({
  ...{ source: x, session, ranges, records: 0, seen: 0 },
})

test.each<{ what: string; scope: Partial<BlockScope>; left: unknown }>([
  {
    what: 'what others have claimed is left out',
    scope: { exclusions: [{ source: x, session: 's', ranges: [[100, 150]] }] },
    left: [{ day: 6, ranges: [[150, 200]], records: 1 }],
  },
  {
    what: 'what is refused to another session is not',
    scope: { exclusions: [{ source: x, session: 'other', ranges: [[100, 150]] }] },
    left: [
      { day: 5, ranges: [[100, 150]], records: 2 },
      { day: 6, ranges: [[150, 200]], records: 1 },
    ],
  },
  {
    what: 'what a claim has is kept to',
    scope: { granted: [partOf([[120, 150]]), partOf([[100, 200]], 'other')] },
    left: [{ day: 5, ranges: [[120, 150]], records: 1 }],
  },
  { what: 'nothing is left', scope: { granted: [] }, left: [] },
])('a block built for a scope: $what', async ({ scope, left }) => {
  const { block } = open(scope)
  await block.add(midnight)
  expect(claimed(block)).toEqual(left)
  expect(block.rows).toBe((left as { records: number }[]).reduce((sum, { records }) => sum + records, 0))
})

test('what is lost or was left out needs no rows; left-out bytes go with the day that has most', async () => {
  const { block } = open()
  await block.add(entry([], { outcome: { kind: 'lost', reason: 'deleted' } }))
  block.lose('08'.repeat(16), [[0, 7]])
  expect(block.claimOf(blockRange)).toMatchObject({
    days: [],
    parts: [
      { source: x, ranges: [[100, 200]], outcome: { kind: 'lost', reason: 'deleted' } },
      { source: '08'.repeat(16), ranges: [[0, 7]], outcome: { kind: 'lost', reason: 'corrupt' } },
    ],
  })
  const { block: filtered } = open()
  const leftOut = { dropped: 40 }
  await filtered.add(
    entry(
      [
        [5, 100],
        [6, 120],
      ],
      { leftOut },
    ),
  )
  const parts = filtered.claimOf(blockRange).parts
  expect(parts.map(({ day, leftOut }) => [day, leftOut])).toEqual([
    [6, leftOut],
    [5, undefined],
  ])
})

test('what cannot be decoded is set aside, claimed as lost, and disturbs nothing beside it', async () => {
  const { block, aside } = open()
  const torn = entry([[5, 100]])
  const broken = { ...torn, message: Buffer.from(torn.message) }
  // The record's own head is nothing any more.
  const at = broken.message.indexOf('line') - 12
  broken.message.fill(0xc1, at, at + 12)
  await block.add(broken)
  await block.add(entry([[5, 300]], { range: [300, 400], accepted: [[300, 400]], seen: 400 }))
  expect(aside).toHaveLength(1)
  expect(block.claimOf(blockRange).parts).toMatchObject([
    { ranges: [[100, 200]], records: 0, outcome: { kind: 'lost', reason: 'corrupt' } },
    { day: 5, ranges: [[300, 400]], records: 1 },
  ])
  expect(block.rows).toBe(1)
})
