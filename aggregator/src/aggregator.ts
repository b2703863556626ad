/** Opens what an aggregator is made of, in order: directory, store, write-ahead log and ledger, then what runs on them. */
import { join } from 'node:path'
import { lockDirectory } from '@tributary/protocol/directory-lock.ts'
import { makeNamedDirectory, nodeDisk } from '@tributary/protocol/disk.ts'
import { removeUnfinished } from './backup/backup.ts'
import type { AggregatorConfig } from './config.ts'
import { AggregatorEvents } from './events.ts'
import { formerIdsFile, openLedgerId, readFormerIds } from './ledger/ledger-id.ts'
import { type LedgerService, LocalLedgerService } from './ledger-service.ts'
import type { Logger } from './log.ts'
import { AggregatorMetrics } from './metrics.ts'
import { recover, recoverShared } from './recover.ts'
import { leavesReserve } from './retention/disk-reserve.ts'
import { RunningAggregator } from './running-aggregator.ts'
import { SharedLedgerService } from './shared-ledger-service.ts'
import { StoreClient } from './store/client.ts'
import { clickhouseConnection } from './store/config.ts'
import { type EmbeddedStore, openEmbedded } from './store/embedded.ts'
import type { WalEvent } from './wal/event.ts'
import type { Wal } from './wal/wal.ts'

export type { AggregatorStats, RunningAggregator } from './running-aggregator.ts'

/** Rejects with a message for people when the directory, an address or a certificate can't be used. */
export async function startAggregator(config: AggregatorConfig, { log }: { log: Logger }): Promise<RunningAggregator> {
  await using opened = new AsyncDisposableStack()
  await makeNamedDirectory(nodeDisk, 'dataDir', config.dataDir)
  const warn = (fields: object, message: string) => log.warn(fields, message)
  opened.use(await lockDirectory(config.dataDir, { key: 'dataDir', patience: 0, warn }))
  await removeUnfinished(config.dataDir)
  const metrics = new AggregatorMetrics()
  const events = new AggregatorEvents(log, metrics)
  const engine = await openStore(config, log, metrics)
  if (engine !== undefined) opened.use(engine)
  const connection = engine?.connection ?? clickhouseConnection(config.store.clickhouse)
  const client = new StoreClient(connection, log)
  opened.defer(() => client.close())
  let running: RunningAggregator | undefined
  const onReleased = () => running?.released()
  const { ledger, wal } = await openLedger({ config, client, events, metrics, onReleased })
  opened.defer(() => wal.close())
  running = new RunningAggregator({ config, log, metrics, events, client, connection, engine, ledger, wal })
  try {
    await running.open()
  } catch (error) {
    await running.close()
    throw error
  }
  running.owns(opened.move())
  return running
}

interface LedgerParts {
  readonly config: AggregatorConfig
  readonly client: StoreClient
  readonly events: AggregatorEvents
  readonly metrics: AggregatorMetrics
  readonly onReleased: () => void
}

/** Write-ahead log and ledger: the aggregator's own, or the one in the store. */
async function openLedger(parts: LedgerParts): Promise<{ ledger: LedgerService; wal: Wal }> {
  const { config, client, events, metrics, onReleased } = parts
  const { dataDir } = config
  const options = {
    disk: nodeDisk,
    dataDir,
    maxBytes: config.wal.maxBytes,
    segmentBytes: config.wal.segmentBytes,
    maxEntriesBytes: config.forward.maxEntriesBytes,
    onWalEvent: (event: WalEvent) => events.wal(event),
  }
  if (config.store.engine === 'embedded') {
    const onLedgerDamage = (error: Error, movedTo: string) => events.ledgerDamaged(error, movedTo)
    // The last of the volume is for the store, which can then drop days, or take what the log has.
    const room = (bytes: number) => leavesReserve(dataDir, bytes)
    const { ledger, wal } = await recover({ ...options, room, onLedgerDamage })
    const id = await openLedgerId(nodeDisk, join(dataDir, 'ledger-id'))
    const before = await readFormerIds(nodeDisk, join(dataDir, formerIdsFile))
    const onError = (error: unknown) => events.snapshotFailed(error)
    return { wal, ledger: new LocalLedgerService(ledger, { id, before }, { wal, onError, onReleased }) }
  }
  const onCursorLost = (message: string) => events.cursorLost(message)
  const { wal, cursor, chunks } = await recoverShared({ ...options, onCursorLost })
  const takeoverAfter = config.takeover.after
  const { id: writer, stored } = cursor
  const own = { client, dataDir, events, metrics, takeoverAfter, writer, stored, ack: config.ack }
  const ledger = await SharedLedgerService.open(own)
  ledger.attach(wal, onReleased)
  for (const { header, accepted, end } of chunks) ledger.intake.replay(header, accepted, end)
  return { wal, ledger }
}

function openStore(
  { dataDir, store }: AggregatorConfig,
  log: Logger,
  { registry }: AggregatorMetrics,
): Promise<EmbeddedStore> | undefined {
  if (store.engine === 'clickhouse') return undefined
  return openEmbedded({ directory: join(dataDir, 'store'), memoryBytes: store.memory, log, registry })
}
