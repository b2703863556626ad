/** `tributary audit`: the ledger, source by source, compared with the store. */
import type { Audit, AuditedSource } from '@tributary/aggregator/audit.ts'
import { type ByteRanges, totalBytes } from '@tributary/protocol/ranges.ts'
import { formatSize } from '@tributary/protocol/units.ts'
import { ApiClient } from './api-client.ts'
import { formatTable } from './output.ts'
import type { Print } from './query.ts'

export interface AuditOptions {
  readonly addr: string
  readonly json?: boolean
  /** Print only sources with a loss or a problem. */
  readonly brief?: boolean
  /** How long to wait for what is accepted to be in the store. */
  readonly wait: string
}

/** Prints the audit; true when nothing is missing and nothing doubled. What is known to be lost is printed, and is not missing. */
export async function runAudit(options: AuditOptions, print: Print): Promise<boolean> {
  const audit = await new ApiClient(options.addr).getJson<Audit>('/api/v1/audit', { wait: options.wait })
  if (options.json) print(JSON.stringify(audit))
  else for (const line of formatAudit(audit, options.brief ?? false)) print(line)
  return audit.ok
}

const heading = ['source', 'log', 'read', 'stored', 'filtered', 'lost', 'missing', 'records', 'in store', 'problems']

export function formatAudit({ sources, totals, caughtUp, ok }: Audit, brief: boolean): string[] {
  const shown = sources.filter((one) => !brief || one.lost.length > 0 || one.problems.length > 0)
  const rows = shown.map(rowOf).sort((a, b) => (a[1]! < b[1]! ? -1 : 1))
  const { seenBytes, behindBytes, storedBytes, filteredBytes, lostBytes, missingBytes, records, rowsInStore } = totals
  const read = seenBytes - behindBytes
  return [
    ...(rows.length > 0 ? [...formatTable(heading, rows), ''] : []),
    `${totals.sources} sources, ${records} records, ${rowsInStore} rows in the store`,
    `read ${read} bytes (${formatSize(read)}) = stored ${storedBytes} + filtered ${filteredBytes} + lost ${lostBytes}${missingBytes === 0 ? '' : ` + missing ${missingBytes}`}`,
    ...droppedRows(totals),
    ...(behindBytes > 0 ? [`on their way: ${behindBytes} bytes that the collectors have seen and not sent yet`] : []),
    ...(caughtUp ? [] : ['the store had not caught up with what was received; ask again, or with a longer --wait']),
    ok
      ? 'Nothing is missing and nothing is doubled.'
      : `NOT ALL IS ACCOUNTED FOR: ${totals.problems} problems, listed above.`,
  ]
}

/** What is known to have left the store is not missing. */
function droppedRows({ expiredRows, shedRows }: Audit['totals']): string[] {
  const parts = [
    ...(expiredRows > 0 ? [`${expiredRows} rows by retention`] : []),
    ...(shedRows > 0 ? [`${shedRows}${expiredRows > 0 ? '' : ' rows'} because its volume was nearly full`] : []),
  ]
  return parts.length === 0 ? [] : [`dropped from the store: ${parts.join(', ')}`]
}

function rowOf(one: AuditedSource): (string | number)[] {
  const { labels, path, seen, behindBytes } = one
  const log = labels['pod'] === undefined ? path : `${labels['namespace']}/${labels['pod']}/${labels['container']}`
  // What is only on its way is no gap.
  const gaps = one.missing.slice(0, behindBytes > 0 ? -1 : undefined)
  return [
    one.source.slice(0, 12),
    log,
    seen - behindBytes,
    totalBytes(one.stored) - Object.values(one.leftOut).reduce((sum, bytes) => sum + bytes, 0),
    [byReason(one.filtered), leftOut(one)].filter((part) => part !== '').join(', ') || '-',
    byReason(one.lost) || '-',
    formatRanges(gaps) || '-',
    one.records,
    one.rowsInStore,
    one.problems.join(' ') || '-',
  ]
}

function byReason(parts: AuditedSource['lost'] | AuditedSource['filtered']): string {
  return parts.map(({ reason, ranges }) => `${reason} ${formatRanges(ranges)}`).join(', ')
}

/** What the collector's filters left out lies between what is stored: it has a size, and no ranges of its own. */
function leftOut({ leftOut }: AuditedSource): string {
  return Object.entries(leftOut)
    .map(([reason, bytes]) => `${reason} ${bytes} bytes`)
    .join(', ')
}

function formatRanges(ranges: ByteRanges): string {
  return ranges.map(([first, end]) => `${first}-${end}`).join(' ')
}
