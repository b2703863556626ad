/** A message on its way, with what decides where it may be sent. */
import type { SourceId } from '@tributary/protocol/source.ts'
import type { Aggregator } from './aggregator.ts'
import type { Message } from './sender.ts'

/** `chunk`: of log files, or the report of a gap. `relay`: an application's. `query`: of the ledger. */
export type ParcelKind = 'chunk' | 'relay' | 'query'

export interface Parcel extends Message {
  readonly kind: ParcelKind
  /** Whose bytes it has, or by what it is spread over the aggregators. */
  readonly source: SourceId
  /** The source that a chunk's last record goes on in. */
  readonly next: SourceId | undefined
  /** What it takes of the budget. */
  readonly bytes: number
  /** The aggregator it waits for; undefined while none is known. */
  at?: Aggregator
}
