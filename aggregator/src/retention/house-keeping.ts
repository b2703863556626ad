/** All that drops rows from the store: retention, and for the embedded store the disk guard. One at a time. */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { AggregatorConfig } from '../config.ts'
import type { Logger } from '../log.ts'
import type { StoreClient } from '../store/client.ts'
import { DiskGuard } from './disk-guard.ts'
import type { RetentionMetrics } from './metrics.ts'
import { Retention } from './retention.ts'

export interface HouseKeepingOptions {
  readonly client: StoreClient
  readonly config: Pick<AggregatorConfig, 'dataDir' | 'store'>
  readonly log: Logger
  readonly metrics: RetentionMetrics
}

export class HouseKeeping {
  readonly #retention: Retention
  /** Only where the store's volume is known. */
  readonly #guard: DiskGuard | undefined
  #work: Promise<unknown> = Promise.resolve()

  constructor({ client, config, log, metrics }: HouseKeepingOptions) {
    const { engine, maxDiskUsage: maxUsage, minFreeDisk: minFree, retention, retentionRules: rules } = config.store
    const alone = <T>(work: () => Promise<T>) => this.#alone(work)
    this.#retention = new Retention({ client, policy: { retention, rules }, log, metrics, alone, id: randomUUID() })
    if (engine === 'clickhouse') return
    const directory = join(config.dataDir, 'store')
    this.#guard = new DiskGuard({ client, directory, limits: { minFree, maxUsage }, log, metrics, alone })
  }

  /** Until `signal`. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#retention.run(signal), this.#guard?.run(signal)])
  }

  /** Runs while nothing is dropped or deleted. */
  still<T>(work: () => Promise<T>): Promise<T> {
    return this.#alone(work)
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#work.then(work)
    this.#work = done.catch(() => {}) // told to whoever asked for it
    return done
  }
}
