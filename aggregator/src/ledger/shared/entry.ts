/**
 * What aggregators tell each other through the log of the shared ledger (docs/formats/shared-ledger.md). Every aggregator reads the same
 * entries in the same order, so all of them come to the same accounts. Pure.
 */
import type { LeftOut, Outcome } from '@tributary/protocol/chunk.ts'
import type { ByteRanges } from '@tributary/protocol/ranges.ts'
import type { WalPosition } from '../../wal/position.ts'

/** Raised when an older reader could misread what a newer writer appends. */
export const entryVersion = 1

/** What a claim has of one source, session and day. */
export interface ClaimPart {
  /** Hex. */
  readonly source: string
  /** The collector process whose chunks they were in; see session-fence.ts. */
  readonly session?: string
  /** Days since 1970 of the rows; undefined for bytes without any, which are settled with the claim itself. */
  readonly day?: number
  /** In bytes of the source, not claimed before. */
  readonly ranges: ByteRanges
  readonly records: number
  /** Bytes of the source that its collector has seen to exist. */
  readonly seen: number
  readonly outcome?: Outcome
  readonly leftOut?: LeftOut
  /** What is known of the source, where the accounts don't have it yet. */
  readonly about?: SourceDescription
}

export interface SourceDescription {
  readonly path: string
  readonly labels: Readonly<Record<string, string>>
  readonly metadata: Readonly<Record<string, string>>
}

/** A part of a write-ahead log: what one block is made of. */
export interface BlockRange {
  readonly from: WalPosition
  readonly to: WalPosition
}

/** The rows of a block are about to be inserted. Its number is that of its entry. */
export interface Claim {
  readonly block: BlockRange
  /** Days of its rows, also of those that have no source. Each is inserted by itself. */
  readonly days: readonly number[]
  readonly parts: readonly ClaimPart[]
  /** On a cluster: the shard that takes its rows, from 1. Whoever repeats or replaces an insert of it does so there. */
  readonly shard?: number
}

/** What became of a claim whose writer was gone. */
export interface Resolution {
  readonly claim: number
  /** Days of it whose rows are in the store. The others never will be: their ranges are free again. */
  readonly stored: readonly number[]
}

/** A collector process asked for sources: what older ones sent beyond `keep` is not claimed any more. */
export interface RaisedFence {
  readonly session: string
  readonly sources: readonly (readonly [source: string, keep: number])[]
}

/** Applied in the order of the fields. An entry without any tells that its writer is alive. */
export interface LogEntry {
  /** Claims of the writer whose rows are in the store. */
  readonly settled?: readonly number[]
  /** Claims of somebody else, who is gone: from here on they are resolved, and not settled. */
  readonly contested?: readonly number[]
  readonly resolved?: readonly Resolution[]
  readonly claim?: Claim
  readonly fences?: readonly RaisedFence[]
  /** The accounts up to this entry, without it, are in the table of snapshots. */
  readonly snapshot?: number
}

/** An entry as it lies in the log. */
export interface LogRow {
  readonly seq: number
  /** Random, of the entry: by it its writer knows whether the place is its own. */
  readonly entry: string
  readonly writer: string
  /** When the store wrote it, ms since 1970. */
  readonly at: number
  readonly body: string
}

/** Written by a newer version of this program. */
export class LogVersionError extends Error {
  override readonly name = 'LogVersionError'
}

export function encodeEntry(entry: LogEntry): string {
  return JSON.stringify({ v: entryVersion, ...entry })
}

/** Throws {@link LogVersionError}. */
export function decodeEntry(body: string): LogEntry {
  const { v, ...entry } = JSON.parse(body) as LogEntry & { v: number }
  if (v === entryVersion) return entry
  throw new LogVersionError(
    `the shared ledger has an entry of version ${v}, this program reads version ${entryVersion}: a newer version wrote it`,
  )
}
