/** What the main thread and the loader's thread tell each other. */
import type { ByteRanges } from '@tributary/protocol/ranges.ts'
import type { Limits, TenantsConfig } from '../access/config.ts'
import type { BlockRange, Claim } from '../ledger/shared/entry.ts'
import type { StoreConnection } from '../store/connection.ts'
import type { StoreErrorCode } from '../store/error.ts'
import type { WalPosition } from '../wal/position.ts'

/** How rows are made of messages. */
export interface DecodeSettings {
  readonly maxEntriesBytes: number
  readonly discoverServiceName: boolean
  readonly detectLevel: boolean
  readonly detectTrace: boolean
  readonly limits: Limits
  readonly overrides: TenantsConfig['overrides']
}

/** What the loader's thread is started with. */
export interface LoaderSettings extends DecodeSettings {
  readonly walDirectory: string
  readonly cursorPath: string
  readonly quarantineDirectory: string
  /** Oldest position in the write-ahead log: where loading begins without a cursor. */
  readonly oldest: WalPosition
  readonly committed: WalPosition
  readonly store: StoreConnection
  /** The ledger is shared with other aggregators: blocks are claimed in it. */
  readonly shared: boolean
  readonly blockRows: number
  readonly blockBytes: number
  readonly blockDelay: number
}

export type ToLoader =
  | { readonly kind: 'committed'; readonly position: WalPosition }
  /** Load what is committed, then end. */
  | { readonly kind: 'stop' }
  /** End now. What is not in the store stays in the write-ahead log. */
  | { readonly kind: 'cut' }
  /** Let no block go on its way, answered by `held` once none is; until `go`. */
  | { readonly kind: 'hold' }
  | { readonly kind: 'go' }
  /** The loss is durable in the ledger. */
  | { readonly kind: 'booked'; readonly loss: number }
  | LedgerReply

/** What the loader asks of a shared ledger, which the main thread keeps. */
export type LedgerRequest =
  | { readonly what: 'unfinished' }
  | { readonly what: 'claim'; readonly claim: Claim }
  | { readonly what: 'stands'; readonly seq: number }
  | { readonly what: 'settle'; readonly seq: number; readonly block: BlockRange }

export interface LedgerReply {
  readonly kind: 'reply'
  readonly request: number
  readonly value?: unknown
  /** Why there is no value. */
  readonly failure?: string
}

export type FromLoader =
  /** The loader begins; `id` is the cursor's, which the rows' sources depend on. */
  | { readonly kind: 'opened'; readonly id: string }
  /** Answered by `reply` with the same number. */
  | { readonly kind: 'ledger'; readonly request: number; readonly ask: LedgerRequest }
  | { readonly kind: 'held' }
  /** Everything before `position` is in the store, and the cursor on disk says so. */
  | { readonly kind: 'stored'; readonly position: WalPosition }
  | { readonly kind: 'block'; readonly report: BlockReport }
  | { readonly kind: 'retry'; readonly retry: Retry }
  | { readonly kind: 'warning'; readonly fields: Readonly<Record<string, unknown>>; readonly message: string }
  | { readonly kind: 'quarantined'; readonly quarantined: Quarantined }
  /** The loader waits for `booked` with the same number. */
  | {
      readonly kind: 'loss'
      readonly loss: number
      /** Hex. */
      readonly source: string
      readonly ranges: ByteRanges
      /** How many records the ledger counted for them. */
      readonly records: number
    }
  /** The cursor could not be read and was set aside. */
  | { readonly kind: 'cursorLost'; readonly message: string }
  | { readonly kind: 'wal'; readonly event: string; readonly fields: Readonly<Record<string, unknown>> }

/** Something failed and is tried again. */
export interface Retry {
  readonly reason: StoreErrorCode | 'cursor'
  readonly message: string
  /** How often in a row it failed. */
  readonly attempt: number
  /** Milliseconds until the next attempt. */
  readonly delay: number
}

/** One block that is in the store. */
export interface BlockReport {
  readonly rows: number
  /** Of lines. */
  readonly bytes: number
  readonly malformed: number
  readonly clamped: number
  readonly truncated: number
  /** Wall time of the insert. */
  readonly insertSeconds: number
  /** CPU time of the loader's thread since the last report. */
  readonly cpuSeconds: number
}

export interface Quarantined {
  readonly position: WalPosition
  readonly reason: 'msgpack' | 'compression' | 'too_large'
  readonly message: string
  /** Where it was kept, if it was. */
  readonly path: string | undefined
}
