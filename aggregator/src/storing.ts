/** What an aggregator does with its store: brings the schema up to date, loads the write-ahead log, drops what is too old. */
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TenantLimits } from './access/tenant-limits.ts'
import { BackupError, Backups } from './backup/backup.ts'
import { MessageDecoder } from './load/decode-message.ts'
import { LoaderThread } from './load/loader-thread.ts'
import type { DecodeSettings, LoaderSettings } from './load/messages.ts'
import type { Parts } from './parts.ts'
import { walDirectory } from './recover.ts'
import { HouseKeeping } from './retention/house-keeping.ts'
import { watchBackfill } from './store/backfill.ts'
import { StoreError } from './store/error.ts'
import { migrate } from './store/migrations.ts'
import { migrations } from './store/schema.ts'
import { applyTiering } from './store/tiering.ts'
import type { LiveFeed } from './tail/live-feed.ts'
import type { WalPosition } from './wal/position.ts'

/** Pause before the store's schema is tried again, in milliseconds. */
const storeRetry = 2000

export class Storing {
  readonly #parts: Parts
  readonly #limits: TenantLimits
  readonly #feed: LiveFeed
  readonly #stop = new AbortController()
  readonly #stopLedger = new AbortController()
  readonly #backups = new Backups()
  #loader: LoaderThread | undefined
  #houseKeeping: HouseKeeping | undefined
  #work: Promise<void> = Promise.resolve()
  /** What tells the store from every other, once it is known. */
  #identity: string | undefined
  #answeredAt = performance.now()

  constructor(parts: Parts, { limits, feed }: { limits: TenantLimits; feed: LiveFeed }) {
    this.#parts = parts
    this.#limits = limits
    this.#feed = feed
  }

  /** When the store last took something, of {@link performance.now}. */
  get answeredAt(): number {
    return this.#answeredAt
  }

  /** The schema is up to date, and the loader runs. */
  get opened(): boolean {
    return this.#loader !== undefined
  }

  /** Starts; tries until the store can be used. */
  start(): void {
    this.#work = this.#useStore()
  }

  /** The write-ahead log is durable up to `position`, or went on in a new segment. */
  committed(position: WalPosition): void {
    this.#loader?.committed(position)
  }

  /** Asks whether the store is there; the answer shows in {@link answeredAt}. */
  ping(): void {
    this.#parts.client.ping().then(
      () => {
        this.#answeredAt = performance.now()
      },
      () => {}, // its silence is what is looked at
    )
  }

  /** The data directory as it is at one moment, as an archive (docs/backup.md). Throws BackupError. */
  async backUp(): Promise<Readable> {
    const { config, ledger, log, wal } = this.#parts
    if (ledger.still === undefined)
      throw new BackupError('with store.engine: clickhouse the rows are not here: back up the server (docs/backup.md)')
    const [loader, houseKeeping] = [this.#loader, this.#houseKeeping]
    if (loader === undefined || houseKeeping === undefined)
      throw new BackupError('the store is not open yet: try again')
    const { archive, bytes, files, heldMs } = await this.#backups.take({
      dataDir: config.dataDir,
      committed: () => wal.committed,
      loader,
      keepingRows: (work) => houseKeeping.still(work),
      keepingLedger: ledger.still,
    })
    log.info({ bytes, files, heldMs: Math.round(heldMs) }, 'a backup is being read')
    return archive
  }

  /** Loads what is left for as long as `drain` milliseconds allow, and tells all else to end. */
  async close(drain: number): Promise<void> {
    this.#stop.abort()
    await this.#loader?.close(AbortSignal.timeout(drain))
    this.#stopLedger.abort()
  }

  /** Resolves when nothing is asked of the store any more. */
  ended(): Promise<void> {
    return this.#work
  }

  /** Brings the store's schema up to date, for as long as it takes, then loads and drops what is too old. */
  async #useStore(): Promise<void> {
    const { client, config, log, metrics } = this.#parts
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        this.#identity = await migrate(client, log, migrations, signal)
        await this.#placeLines()
        break
      } catch (error) {
        if (signal.aborted) return
        log.error({ err: error }, 'the store cannot be used yet')
        this.#parts.events.loadError = (error as Error).message
        await sleep(storeRetry, undefined, { signal }).catch(() => {}) // closing ends the loop
      }
    }
    if (signal.aborted) return
    const ledger = this.#parts.ledger.run(this.#stopLedger.signal)
    this.#loader = this.#startLoader()
    this.#houseKeeping = new HouseKeeping({ client, config, log, metrics: metrics.retention })
    const counting = watchBackfill(client, log, signal)
    await this.#houseKeeping.run(signal)
    await counting
    await ledger
  }

  /** A policy that the server does not have is told and keeps nothing from being stored: lines stay where they were kept so far. */
  async #placeLines(): Promise<void> {
    const { client, config, log } = this.#parts
    if (config.store.engine === 'embedded') return
    try {
      await applyTiering(client, log, config.store.clickhouse)
    } catch (error) {
      if (!(error instanceof StoreError) || error.retryable) throw error
      log.error({ err: error }, 'lines are not kept where the configuration wants them')
    }
  }

  #startLoader(): LoaderThread {
    const { events } = this.#parts
    return new LoaderThread(() => this.#loaderSettings(), {
      onOpened: (id) => this.#feed.decodeWith(new MessageDecoder({ ...this.#decoding(), limits: this.#limits, id })),
      onStored: (position) => this.#parts.ledger.advance(position),
      onBlock: (report) => {
        this.#answeredAt = performance.now()
        events.loaded(report)
      },
      onRetry: (retry) => events.loadFailed(retry),
      onWarning: (fields, message) => this.#parts.log.warn(fields, message),
      onQuarantined: (quarantined) => events.quarantined(quarantined),
      onLoss: async (source, ranges, records) => {
        events.lost(source, await this.#parts.ledger.lose(source, ranges, 'corrupt', records))
      },
      onLedgerRequest: (ask) => this.#parts.ledger.answer(ask),
      onCursorLost: (message) => events.cursorLost(message),
      onWalEvent: (event, fields) => events.walRead(event, fields),
      onDeath: (error, heapMegabytes) => events.loaderDied(error, heapMegabytes),
    })
  }

  #loaderSettings(): LoaderSettings {
    const { config, connection, wal } = this.#parts
    return {
      walDirectory: walDirectory(config.dataDir),
      cursorPath: join(config.dataDir, 'cursor'),
      quarantineDirectory: join(config.dataDir, 'quarantine'),
      oldest: wal.oldest,
      committed: wal.committed,
      store: { ...connection, identity: this.#identity },
      shared: this.#parts.ledger.shared,
      ...config.load,
      ...this.#decoding(),
    }
  }

  #decoding(): DecodeSettings {
    const { config } = this.#parts
    const { labels, limits, tenants } = config
    return { ...labels, limits, overrides: tenants.overrides, maxEntriesBytes: config.forward.maxEntriesBytes }
  }
}
