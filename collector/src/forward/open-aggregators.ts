/** All aggregators that the configuration names, now and as their names come to stand for others. */
import type { Logger } from 'pino'
import type { CollectorConfig } from '../config.ts'
import { fileEvents } from '../file-events.ts'
import type { CollectorMetrics } from '../metrics.ts'
import { AggregatorDirectory, type NameTrouble } from '../resolve/directory.ts'
import { Aggregators } from './aggregators.ts'
import { identityOf } from './identity.ts'
import type { Parcel } from './parcel.ts'
import { Sender } from './sender.ts'

export interface OpenOptions {
  /** The ledger that an earlier process used. */
  readonly ledger?: string | undefined
  readonly log: Logger
  readonly metrics: CollectorMetrics
}

export interface OpenAggregators {
  readonly aggregators: Aggregators
  /** Connects to them. Until then what is for them waits. */
  connect(): void
  /** Configured names that do not resolve. */
  readonly nameTroubles: () => readonly NameTrouble[]
  close(): Promise<void>
}

export function openAggregators(
  { aggregator, forward, node }: Pick<CollectorConfig, 'aggregator' | 'forward' | 'node'>,
  { ledger, log, metrics }: OpenOptions,
): OpenAggregators {
  const { address, ackTimeout, takeoverAfter, dns } = aggregator
  const { credentials, tls } = identityOf({ aggregator, node }, fileEvents(log, metrics))
  const directory = new AggregatorDirectory({ addresses: address, dns, log, metrics })
  const aggregators = new Aggregators({
    open: (endpoint) =>
      new Sender<Parcel>({
        name: endpoint.key,
        to: endpoint,
        credentials,
        ackTimeout,
        identify: forward.format === 'tributary',
        log,
        metrics,
        ...(tls ? { tls } : {}),
      }),
    format: forward.format,
    takeoverAfter,
    ledger,
    onTrouble: () => directory.refresh(),
    log,
    metrics,
  })
  return {
    aggregators,
    connect() {
      directory.onChange = () => aggregators.update(directory.endpoints)
      aggregators.update(directory.endpoints)
    },
    nameTroubles: () => directory.troubles,
    async close() {
      await Promise.all([directory.close(), aggregators.close()])
    },
  }
}
