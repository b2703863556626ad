/** A ledger in the store, shared with other aggregators: its log, what this aggregator claims in it, and claims of those that are gone. */
import { join } from 'node:path'
import { type Disk, nodeDisk } from '@tributary/protocol/disk.ts'
import type { AggregatorEvents } from './events.ts'
import type { SourceAccount } from './ledger/account.ts'
import { readLedgerId, writeLedgerId } from './ledger/ledger-id.ts'
import { ClickHouseLog, type LogStore } from './ledger/shared/log-store.ts'
import { Resolver } from './ledger/shared/resolver.ts'
import { type AckMode, SharedLedger } from './ledger/shared/shared-ledger.ts'
import { SharedLog } from './ledger/shared/shared-log.ts'
import type { LedgerService } from './ledger-service.ts'
import type { LedgerRequest } from './load/messages.ts'
import type { AggregatorMetrics } from './metrics.ts'
import type { StoreClient } from './store/client.ts'
import { comparePositions, type WalPosition } from './wal/position.ts'
import type { Wal } from './wal/wal.ts'

export interface SharedLedgerServiceOptions {
  readonly client: StoreClient
  readonly dataDir: string
  /** Name of the write-ahead log: its cursor's id. */
  readonly writer: string
  /** How far the cursor says that the write-ahead log is in the store. */
  readonly stored: WalPosition
  readonly ack: AckMode
  /** Milliseconds. */
  readonly takeoverAfter: number
  readonly events: AggregatorEvents
  readonly metrics: AggregatorMetrics
}

export class SharedLedgerService implements LedgerService {
  readonly shared = true
  readonly still = undefined
  readonly intake: SharedLedger
  readonly #options: SharedLedgerServiceOptions
  readonly #store: LogStore
  readonly #log: SharedLog
  #wal: Wal | undefined
  #onReleased = () => {}
  #stored: WalPosition
  #releasing: Promise<void> = Promise.resolve()
  #known: string | undefined

  private constructor(options: SharedLedgerServiceOptions, known: string | undefined) {
    const { ack, client, events, metrics, stored, takeoverAfter, writer } = options
    this.#options = options
    this.#stored = stored
    this.#known = known
    this.#store = new ClickHouseLog(client)
    this.#log = new SharedLog({
      store: this.#store,
      writer,
      pollInterval: Math.min(1000, takeoverAfter / 4),
      onConflict: () => metrics.ledgerConflicts.inc(),
      onWritten: () => metrics.ledgerEntries.inc(),
      onError: (error) => events.sharedLedgerFailed(error),
    })
    this.intake = new SharedLedger({ log: this.#log, ack, knownId: known }, stored)
  }

  static async open(options: SharedLedgerServiceOptions, disk: Disk = nodeDisk): Promise<SharedLedgerService> {
    return new SharedLedgerService(options, await readLedgerId(disk, idPath(options.dataDir)))
  }

  /** The write-ahead log whose segments are given back when their rows are stored. */
  attach(wal: Wal, onReleased: () => void): void {
    this.#wal = wal
    this.#onReleased = onReleased
  }

  get stored(): WalPosition {
    return this.#stored
  }

  get calm(): boolean {
    return this.#log.loaded && this.#log.state.claims.size === 0
  }

  get openClaims(): number {
    return this.#log.state.claims.size
  }

  advance(position: WalPosition): void {
    if (comparePositions(position, this.#stored) <= 0) return
    this.#stored = position
    this.intake.stored(position)
    // What is claimed is in the store's own ledger: nothing here has to be durable first.
    this.#releasing = this.#releasing.then(async () => {
      try {
        await this.#wal?.release(position)
        this.#onReleased()
      } catch (error) {
        this.#options.events.snapshotFailed(error)
      }
    })
  }

  async lose(): Promise<never> {
    throw new Error('BUG: the loader claims what is lost itself')
  }

  async answer(ask: LedgerRequest): Promise<unknown> {
    if (ask.what === 'unfinished') {
      const unfinished = await this.intake.unfinished()
      await this.#remember()
      return unfinished
    }
    if (ask.what === 'claim') return this.intake.claim(ask.claim)
    if (ask.what === 'stands') return this.intake.stands(ask.seq)
    return this.intake.settle(ask.seq, ask.block)
  }

  async accounts(): Promise<Iterable<SourceAccount>> {
    await this.#log.refresh()
    return this.#log.state.accounts.values().map((account) => account.view())
  }

  async run(signal: AbortSignal): Promise<void> {
    const { events, metrics, takeoverAfter } = this.#options
    const resolver = new Resolver({
      log: this.#log,
      store: this.#store,
      after: takeoverAfter,
      onResolved: ({ seq, writer, days }, { stored }) => {
        metrics.resolvedClaims.inc(stored.length, 'stored')
        metrics.resolvedClaims.inc(days.length - stored.length, 'void')
        events.claimResolved(seq, writer, days.length, stored.length)
      },
      onError: (error) => events.sharedLedgerFailed(error),
    })
    const failed = (error: unknown) => {
      if (!signal.aborted) events.sharedLedgerUnusable(error)
    }
    await Promise.all([this.#log.run(signal).catch(failed), resolver.run(signal)])
  }

  /** Keeps the ledger's name, so that it can be told while the store does not answer. */
  async #remember(): Promise<void> {
    const { id } = this.#log.state
    if (id === this.#known) return
    await writeLedgerId(nodeDisk, idPath(this.#options.dataDir), id).catch((error: unknown) =>
      this.#options.events.snapshotFailed(error),
    )
    this.#known = id
  }

  async close(): Promise<void> {
    await this.#releasing
  }
}

const idPath = (dataDir: string) => join(dataDir, 'shared-ledger-id')
