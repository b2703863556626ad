/** What a running aggregator is made of. */
import type { AggregatorConfig } from './config.ts'
import type { AggregatorEvents } from './events.ts'
import type { LedgerService } from './ledger-service.ts'
import type { Logger } from './log.ts'
import type { AggregatorMetrics } from './metrics.ts'
import type { StoreClient } from './store/client.ts'
import type { StoreConnection } from './store/connection.ts'
import type { EmbeddedStore } from './store/embedded.ts'
import type { Wal } from './wal/wal.ts'

/** All of it is open. */
export interface Parts {
  readonly config: AggregatorConfig
  readonly log: Logger
  readonly metrics: AggregatorMetrics
  readonly events: AggregatorEvents
  readonly client: StoreClient
  readonly connection: StoreConnection
  readonly engine: EmbeddedStore | undefined
  readonly ledger: LedgerService
  readonly wal: Wal
}
