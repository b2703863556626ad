/** Compares what the ledger says with what the store holds, source by source. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { LeftOut } from '@tributary/protocol/chunk.ts'
import { type ByteRanges, totalBytes } from '@tributary/protocol/ranges.ts'
import type { SourceAccount } from './ledger/account.ts'
import { type ExpiredRows, expiredRows } from './retention/expired-rows.ts'
import type { StoreClient } from './store/client.ts'
import { ofFiles } from './store/row-stream.ts'

/** Rows of one source in the store. */
export interface StoredRows {
  readonly rows: number
  /** Rows with different offsets: fewer than rows where some are stored twice. */
  readonly offsets: number
}

export type AuditProblem =
  /** Bytes between others that are neither stored nor filtered nor lost. */
  | 'missing_bytes'
  /** The store has fewer rows than were accepted. */
  | 'missing_rows'
  /** The store has rows twice. */
  | 'doubled_rows'
  /** The store has rows that were never accepted. */
  | 'unknown_rows'

export interface AuditedSource extends SourceAccount {
  readonly rowsInStore: number
  readonly distinctOffsets: number
  /** Rows that retention has dropped. */
  readonly expiredRows: number
  /** Rows that were dropped because the store's volume was nearly full. */
  readonly shedRows: number
  /** Bytes at the end that the collector has seen and that have not arrived yet. */
  readonly behindBytes: number
  readonly problems: readonly AuditProblem[]
}

export interface AuditTotals {
  readonly sources: number
  readonly records: number
  readonly rowsInStore: number
  readonly expiredRows: number
  readonly shedRows: number
  readonly seenBytes: number
  readonly storedBytes: number
  readonly filteredBytes: number
  readonly lostBytes: number
  readonly missingBytes: number
  readonly behindBytes: number
  readonly problems: number
}

export interface Audit {
  readonly sources: readonly AuditedSource[]
  readonly totals: AuditTotals
  /** Whether what was received before the audit is in the store: if not, rows on their way count as missing. */
  readonly caughtUp: boolean
  readonly ok: boolean
}

/**
 * Judges one source. Pure.
 *
 * @param before and after: the ledger's account before what had been received was in the store, and after the rows were counted. They
 * differ where a source is being written, or where loading found a loss
 */
export function auditSource(
  before: SourceAccount,
  after: SourceAccount,
  { rows, offsets }: StoredRows,
  dropped: ExpiredRows,
): AuditedSource {
  const tail = after.missing.at(-1)
  const behindBytes = tail !== undefined && tail[1] === after.seen ? tail[1] - tail[0] : 0
  const problems: AuditProblem[] = []
  if (totalBytes(after.missing) > behindBytes) problems.push('missing_bytes')
  if (offsets + dropped.retention + dropped.disk < Math.min(before.records, after.records))
    problems.push('missing_rows')
  if (rows > offsets) problems.push('doubled_rows')
  if (offsets > after.records) problems.push('unknown_rows')
  return {
    ...after,
    rowsInStore: rows,
    distinctOffsets: offsets,
    expiredRows: dropped.retention,
    shedRows: dropped.disk,
    behindBytes,
    problems,
  }
}

export function auditTotals(sources: readonly AuditedSource[]): AuditTotals {
  const sum = (of: (source: AuditedSource) => number) => sources.reduce((total, source) => total + of(source), 0)
  const inAll = (sets: readonly { readonly ranges: ByteRanges }[]) =>
    sets.reduce((total, { ranges }) => total + totalBytes(ranges), 0)
  return {
    sources: sources.length,
    records: sum(({ records }) => records),
    rowsInStore: sum(({ rowsInStore }) => rowsInStore),
    expiredRows: sum(({ expiredRows }) => expiredRows),
    shedRows: sum(({ shedRows }) => shedRows),
    seenBytes: sum(({ seen }) => seen),
    storedBytes: sum(({ stored, leftOut }) => totalBytes(stored) - bytesOf(leftOut)),
    filteredBytes: sum(({ filtered, leftOut }) => inAll(filtered) + bytesOf(leftOut)),
    lostBytes: sum(({ lost }) => inAll(lost)),
    missingBytes: sum(({ missing, behindBytes }) => totalBytes(missing) - behindBytes),
    behindBytes: sum(({ behindBytes }) => behindBytes),
    problems: sum(({ problems }) => problems.length),
  }
}

function bytesOf(leftOut: LeftOut): number {
  return Object.values(leftOut).reduce((sum, bytes) => sum + bytes, 0)
}

export interface AuditOptions {
  readonly client: Pick<StoreClient, 'query'>
  readonly accounts: () => Promise<Iterable<SourceAccount>>
  /** Everything received by now is in the store. */
  readonly caughtUp: () => boolean
}

/** How often it is looked whether everything is in the store, in milliseconds. */
const waitStep = 50

/** @param waitMs how long to wait until what was received is in the store */
export async function runAudit(options: AuditOptions, waitMs: number, signal: AbortSignal): Promise<Audit> {
  const { client, accounts } = options
  const before = [...(await accounts())]
  const caughtUp = await waitFor(options.caughtUp, waitMs, signal)
  const stored = await storedRows(client, signal)
  const expired = await expiredRows(client, signal)
  const after = new Map([...(await accounts())].map((account) => [account.source, account]))
  const sources = before.map((account) =>
    auditSource(
      account,
      after.get(account.source) ?? account,
      stored.get(account.source) ?? { rows: 0, offsets: 0 },
      expired.get(account.source) ?? { retention: 0, disk: 0 },
    ),
  )
  const totals = auditTotals(sources)
  return { sources, totals, caughtUp, ok: totals.problems === 0 }
}

async function waitFor(condition: () => boolean, waitMs: number, signal: AbortSignal): Promise<boolean> {
  for (const deadline = performance.now() + waitMs; !condition(); ) {
    if (performance.now() >= deadline) return false
    await sleep(waitStep, undefined, { signal })
  }
  return true
}

async function storedRows(client: Pick<StoreClient, 'query'>, signal: AbortSignal): Promise<Map<string, StoredRows>> {
  const { rows } = await client.query<{ id: string; n: string; offsets: string }>(
    `SELECT lower(hex(source)) AS id, count() AS n, uniqExact(offset) AS offsets
     FROM logs WHERE ${ofFiles} GROUP BY source`,
    {},
    { signal, maxExecutionSeconds: 600 },
  )
  return new Map(rows.map(({ id, n, offsets }) => [id, { rows: Number(n), offsets: Number(offsets) }]))
}
