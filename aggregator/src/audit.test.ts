import { expect, test } from 'vitest'
import { auditSource, auditTotals, runAudit } from './audit.ts'
import type { SourceAccount } from './ledger/account.ts'

const account = (changes: Partial<SourceAccount> = {}): SourceAccount => ({
  source: 'aa',
  path: '/x',
  labels: {},
  metadata: {},
  seen: 100,
  stored: [[0, 100]],
  filtered: [],
  lost: [],
  leftOut: {},
  records: 10,
  missing: [],
  touched: 0,
  ...changes,
})
const rows = (n: number, offsets = n) => ({ rows: n, offsets })
const none = { retention: 0, disk: 0 }

test.for([
  { when: 'all is there', stored: rows(10), problems: [] },
  { when: 'a row is missing', stored: rows(9), problems: ['missing_rows'] },
  { when: 'the missing row has expired', stored: rows(9), expired: { retention: 1, disk: 0 }, problems: [] },
  { when: 'the missing row left a full volume', stored: rows(9), expired: { retention: 0, disk: 1 }, problems: [] },
  {
    when: 'more rows are missing than went',
    stored: rows(7),
    expired: { retention: 1, disk: 1 },
    problems: ['missing_rows'],
  },
  { when: 'a row is there twice', stored: rows(11, 10), problems: ['doubled_rows'] },
  { when: 'one is missing and another there twice', stored: rows(10, 9), problems: ['missing_rows', 'doubled_rows'] },
  { when: 'a row is there that nobody sent', stored: rows(11), problems: ['unknown_rows'] },
  { when: 'bytes in between are missing', changes: { missing: [[10, 20]] as const }, problems: ['missing_bytes'] },
  { when: 'the end has not arrived yet', changes: { missing: [[90, 100]] as const }, problems: [], behind: 10 },
  {
    when: 'bytes are missing and the end has not arrived',
    changes: {
      missing: [
        [10, 20],
        [90, 100],
      ] as const,
    },
    problems: ['missing_bytes'],
    behind: 10,
  },
])('when $when: $problems', ({ stored = rows(10), changes = {}, expired = none, problems, behind = 0 }) => {
  const seen = account(changes)
  expect(auditSource(seen, seen, stored, expired)).toMatchObject({ problems, behindBytes: behind })
})

test('what arrives or is lost while the audit runs is no problem', () => {
  expect(auditSource(account(), account({ records: 15 }), rows(12), none).problems).toEqual([])
  const lost = account({ records: 4, lost: [{ reason: 'corrupt', ranges: [[40, 100]] }] })
  expect(auditSource(account(), lost, rows(4), none)).toMatchObject({ problems: [], records: 4 })
})

test('an audit waits until what was received is stored, and says when it was not', async () => {
  let waits = 3
  const options = {
    client: { query: async () => ({ rows: [], readRows: 0, readBytes: 0, elapsedSeconds: 0 }) },
    accounts: async () => [account({ records: 0 })],
    caughtUp: () => waits-- <= 0,
  }
  const { signal } = new AbortController()
  expect(await runAudit(options, 10_000, signal)).toMatchObject({ caughtUp: true, ok: true })
  waits = 1000
  expect(await runAudit(options, 0, signal)).toMatchObject({ caughtUp: false })
})

test('the totals add up what was read to what became of it', () => {
  const one = account({
    seen: 200,
    filtered: [{ reason: 'start_at', ranges: [[100, 130]] }],
    lost: [
      { reason: 'deleted', ranges: [[130, 140]] },
      { reason: 'corrupt', ranges: [[140, 150]] },
    ],
    missing: [
      [150, 160],
      [195, 200],
    ],
  })
  const totals = auditTotals([auditSource(one, one, rows(10), none), auditSource(account(), account(), rows(10), none)])
  expect(totals).toEqual({
    sources: 2,
    records: 20,
    rowsInStore: 20,
    expiredRows: 0,
    shedRows: 0,
    seenBytes: 300,
    storedBytes: 200,
    filteredBytes: 30,
    lostBytes: 20,
    missingBytes: 10,
    behindBytes: 5,
    problems: 1,
  })
})

test('what filters left out of stored ranges is filtered, and the sum stays', () => {
  const one = account({
    seen: 110,
    leftOut: { dropped: 30, rate: 5 },
    filtered: [{ reason: 'start_at', ranges: [[100, 110]] }],
  })
  const { seenBytes, storedBytes, filteredBytes } = auditTotals([auditSource(one, one, rows(10), none)])
  expect({ storedBytes, filteredBytes }).toEqual({ storedBytes: 65, filteredBytes: 45 })
  expect(storedBytes + filteredBytes).toBe(seenBytes)
})
