/** `tributary audit`: the ledger, source by source, compared with the store. */
import { formatSize } from '@tributary/protocol/units.ts'
import { ApiClient } from './api-client.ts'
import { formatTable } from './output.ts'
import type { Print } from './query.ts'

type Ranges = readonly (readonly [number, number])[]

/** One source as GET /api/v1/audit gives it. */
interface AuditedSource {
  readonly source: string
  readonly path: string
  readonly labels: Readonly<Record<string, string>>
  readonly seen: number
  readonly stored: Ranges
  readonly filtered: readonly { reason: string; ranges: Ranges }[]
  readonly lost: readonly { reason: string; ranges: Ranges }[]
  readonly records: number
  readonly missing: Ranges
  readonly missingRecords: number
  readonly doubledRecords: number
}

export interface AuditAnswer {
  readonly sources: readonly AuditedSource[]
  readonly ok: boolean
  readonly reason?: string
}

export interface AuditOptions {
  readonly addr: string
  readonly json?: boolean
  /** Print sources without any loss, too. */
  readonly all?: boolean
  /** How long to wait for what is accepted to be in the store. */
  readonly wait: string
}

/** Prints the audit; true when nothing is missing and nothing doubled. What is known to be lost is printed, and is not missing. */
export async function runAudit(options: AuditOptions, print: Print): Promise<boolean> {
  const audit = await new ApiClient(options.addr).getJson<AuditAnswer>('/api/v1/audit', { wait: options.wait })
  if (options.json) print(JSON.stringify(audit))
  else for (const line of formatAudit(audit, options.all ?? false)) print(line)
  return audit.ok
}

export function formatAudit({ sources, ok, reason }: AuditAnswer, all: boolean): string[] {
  const shown = sources.filter(
    (one) => all || one.lost.length > 0 || one.missing.length > 0 || one.missingRecords > 0 || one.doubledRecords > 0,
  )
  const heading = ['source', 'pod', 'read', 'stored', 'filtered', 'lost', 'missing', 'records', 'doubled']
  const rows = shown.map((one) => [
    one.source.slice(0, 12),
    [one.labels['namespace'], one.labels['pod'] ?? one.labels['filename'] ?? one.path, one.labels['container']]
      .filter(Boolean)
      .join('/'),
    one.seen,
    bytesIn(one.stored),
    byReason(one.filtered),
    byReason(one.lost),
    describe(one.missing, one.missingRecords),
    one.records,
    one.doubledRecords,
  ])
  const total = (pick: (one: AuditedSource) => number) => sources.reduce((sum, one) => sum + pick(one), 0)
  const outcomes = (kind: 'lost' | 'filtered') =>
    total((one) => one[kind].reduce((sum, { ranges }) => sum + bytesIn(ranges), 0))
  const read = total(({ seen }) => seen)
  const stored = total((one) => bytesIn(one.stored))
  const missing = total((one) => bytesIn(one.missing))
  return [
    ...(rows.length > 0 ? [...formatTable(heading, rows), ''] : []),
    `sources ${sources.length}, records ${total(({ records }) => records)}, doubled ${total(({ doubledRecords }) => doubledRecords)}, not in the store ${total(({ missingRecords }) => missingRecords)}`,
    `read ${read} (${formatSize(read)}) = stored ${stored} + filtered ${outcomes('filtered')} + lost ${outcomes('lost')} + missing ${missing} bytes`,
    ok ? 'Nothing is missing, nothing is doubled.' : `NOT ACCOUNTED FOR: ${reason ?? 'see the sources above'}`,
  ]
}

function bytesIn(ranges: Ranges): number {
  return ranges.reduce((sum, [first, end]) => sum + end - first, 0)
}

function byReason(parts: AuditedSource['lost']): string {
  return parts.map(({ reason, ranges }) => `${reason} ${describe(ranges, 0)}`).join(', ') || '-'
}

function describe(ranges: Ranges, records: number): string {
  const bytes = ranges.map(([first, end]) => `${first}-${end}`).join(' ')
  return [bytes, records > 0 ? `${records} records` : ''].filter(Boolean).join(', ') || '-'
}
