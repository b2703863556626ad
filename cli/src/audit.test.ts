import type { Audit, AuditedSource } from '@tributary/aggregator/audit.ts'
import { expect, test } from 'vitest'
import { formatAudit } from './audit.ts'

const source = (overrides: Partial<AuditedSource>): AuditedSource => ({
  source: 'ab'.repeat(16),
  path: '/var/log/x.log',
  labels: { namespace: 'shop', pod: 'cart', container: 'api' },
  metadata: {},
  seen: 100,
  stored: [[0, 100]],
  filtered: [],
  lost: [],
  leftOut: {},
  records: 10,
  missing: [],
  touched: 0,
  rowsInStore: 10,
  distinctOffsets: 10,
  expiredRows: 0,
  shedRows: 0,
  behindBytes: 0,
  problems: [],
  ...overrides,
})
const audit = (sources: AuditedSource[], totals: Partial<Audit['totals']>): Audit => ({
  sources,
  totals: {
    sources: sources.length,
    records: 10,
    rowsInStore: 10,
    expiredRows: 0,
    shedRows: 0,
    seenBytes: 100,
    storedBytes: 100,
    filteredBytes: 0,
    lostBytes: 0,
    missingBytes: 0,
    behindBytes: 0,
    problems: 0,
    ...totals,
  },
  caughtUp: true,
  ok: true,
})

test('a sound audit says that read is stored', () => {
  const lines = formatAudit(audit([source({})], {}), false)
  expect(lines).toContain('read 100 bytes (100 B) = stored 100 + filtered 0 + lost 0')
  expect(lines.at(-1)).toBe('Nothing is missing and nothing is doubled.')
  expect(lines[1]).toMatch(/shop\/cart\/api +100 +100 +- +- +- +10 +10 +-$/)
})

test('rows that left the store are told by reason, and are no problem', () => {
  const dropped = (totals: Partial<Audit['totals']>) =>
    formatAudit(audit([source({})], totals), false).filter((line) => line.startsWith('dropped'))
  expect(dropped({})).toEqual([])
  expect(dropped({ expiredRows: 5 })).toEqual(['dropped from the store: 5 rows by retention'])
  expect(dropped({ expiredRows: 5, shedRows: 7 })).toEqual([
    'dropped from the store: 5 rows by retention, 7 because its volume was nearly full',
  ])
})

test('loss is named by reason and range, gaps by range, and what is on its way is no gap', () => {
  const lossy = source({
    stored: [[0, 40]],
    lost: [{ reason: 'deleted', ranges: [[40, 60]] }],
    missing: [
      [60, 70],
      [90, 100],
    ],
    behindBytes: 10,
    problems: ['missing_bytes'],
  })
  const totals = { storedBytes: 40, lostBytes: 20, missingBytes: 10, behindBytes: 10, problems: 1 }
  const lines = formatAudit({ ...audit([source({}), lossy], totals), ok: false }, true)
  expect(lines[1]).toMatch(/ 90 +40 +- +deleted 40-60 +60-70 +10 +10 +missing_bytes$/)
  expect(lines).toContain('read 90 bytes (90 B) = stored 40 + filtered 0 + lost 20 + missing 10')
  expect(lines[2]).toBe('')
  expect(lines.at(-1)).toBe('NOT ALL IS ACCOUNTED FOR: 1 problems, listed above.')
})

test('what filters left out is named by reason and size, and is not stored', () => {
  const filtered = source({
    seen: 110,
    filtered: [{ reason: 'start_at', ranges: [[100, 110]] }],
    leftOut: { dropped: 30, rate: 5 },
  })
  const lines = formatAudit(audit([filtered], { seenBytes: 110, storedBytes: 65, filteredBytes: 45 }), false)
  expect(lines[1]).toMatch(/ 110 +65 +start_at 100-110, dropped 30 bytes, rate 5 bytes +- +- +10 +10 +-$/)
  expect(lines).toContain('read 110 bytes (110 B) = stored 65 + filtered 45 + lost 0')
})
