/** Opens what an aggregator is made of, in order: directory, store, write-ahead log and ledger, then what runs on them. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { nodeDisk } from '@tributary/protocol/disk.ts'
import type { AggregatorConfig } from './config.ts'
import { lockDirectory } from './directory-lock.ts'
import { AggregatorEvents } from './events.ts'
import type { Logger } from './log.ts'
import { AggregatorMetrics } from './metrics.ts'
import { recover } from './recover.ts'
import { RunningAggregator } from './running-aggregator.ts'
import { StoreClient } from './store/client.ts'
import { clickhouseConnection } from './store/config.ts'
import { type EmbeddedStore, openEmbedded } from './store/embedded.ts'

export type { AggregatorStats, RunningAggregator } from './running-aggregator.ts'

/** Rejects with a message for people when the directory, an address or a certificate can't be used. */
export async function startAggregator(config: AggregatorConfig, { log }: { log: Logger }): Promise<RunningAggregator> {
  await using opened = new AsyncDisposableStack()
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 })
  opened.use(await lockDirectory(config.dataDir))
  const metrics = new AggregatorMetrics()
  const events = new AggregatorEvents(log, metrics)
  const engine = await openStore(config, log, metrics)
  if (engine !== undefined) opened.use(engine)
  const connection = engine?.connection ?? clickhouseConnection(config.store.clickhouse)
  const client = new StoreClient(connection, log)
  opened.defer(() => client.close())
  const { ledger, wal } = await recover({
    disk: nodeDisk,
    dataDir: config.dataDir,
    maxBytes: config.wal.maxBytes,
    segmentBytes: config.wal.segmentBytes,
    maxEntriesBytes: config.forward.maxEntriesBytes,
    onWalEvent: (event) => events.wal(event),
    onLedgerDamage: (error, movedTo) => events.ledgerDamaged(error, movedTo),
  })
  opened.defer(() => wal.close())
  const running = new RunningAggregator({ config, log, metrics, events, client, connection, engine, ledger, wal })
  try {
    await running.open()
  } catch (error) {
    await running.close()
    throw error
  }
  running.owns(opened.move())
  return running
}

function openStore(
  { dataDir, store }: AggregatorConfig,
  log: Logger,
  { registry }: AggregatorMetrics,
): Promise<EmbeddedStore> | undefined {
  if (store.engine === 'clickhouse') return undefined
  return openEmbedded({ directory: join(dataDir, 'store'), memoryBytes: store.memory, log, registry })
}
