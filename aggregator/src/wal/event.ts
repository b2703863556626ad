/** What the write-ahead log has to tell. */
import type { ByteRanges } from '@tributary/protocol/ranges.ts'
import { rangesBySource } from '../ledger/parts.ts'
import type { RecordHead } from './record.ts'

/** What a damaged record accounted for. */
export interface DamagedRecord {
  /** Hex. */
  readonly source: string
  readonly ranges: ByteRanges
  readonly records: number
}

export type WalEvent =
  /** Bytes in or behind the last commit, which was never confirmed. `copy` is where they were set aside. */
  | { readonly kind: 'torn_tail'; readonly segment: number; readonly bytes: number; readonly copy?: string }
  /** Bytes between records that are none. */
  | {
      readonly kind: 'corrupt'
      readonly segment: number
      readonly start: number
      readonly end: number
      readonly copy?: string
      /** What it was, if its head could be read and it was admitted. */
      readonly lost?: readonly DamagedRecord[]
    }
  | { readonly kind: 'corrupt_head'; readonly segment: number }
  /** Segments that should be there, `from` to `to`, are not, or end too early. */
  | { readonly kind: 'missing_segments'; readonly from: number; readonly to: number }
  | { readonly kind: 'stalled'; readonly reason: string }
  | { readonly kind: 'resumed' }

/** What is lost with a record whose head is sound. */
export function lostOf(head: RecordHead | undefined): { readonly lost?: readonly DamagedRecord[] } {
  if (head?.source === undefined || head.accepted.length === 0) return {}
  const { source, accepted, records, seam } = head
  const next = seam?.source.toString('hex')
  const parts = rangesBySource(source, seam, accepted)
  return { lost: parts.map((part) => ({ ...part, records: part.source === next ? seam!.records : records })) }
}
