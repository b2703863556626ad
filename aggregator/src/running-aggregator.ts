/** An aggregator that is open: receiver, loader, API, and how they are watched and closed. */
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { userSecrets } from '@tributary/protocol/forward-users.ts'
import type { Security } from '@tributary/protocol/receive/connection.ts'
import { Receiver } from '@tributary/protocol/receive/receiver.ts'
import { Secret } from '@tributary/protocol/secret.ts'
import { type TlsFilePaths, TlsFiles } from '@tributary/protocol/tls-files.ts'
import type { WatchedFileEvents } from '@tributary/protocol/watched-file.ts'
import type { FastifyInstance } from 'fastify'
import { Access } from './access/access.ts'
import { Credentials } from './access/credentials.ts'
import { TenantLimits } from './access/tenant-limits.ts'
import { createApi } from './api/server.ts'
import { runAudit } from './audit.ts'
import type { AggregatorConfig } from './config.ts'
import type { AggregatorEvents } from './events.ts'
import { Health } from './health.ts'
import type { LedgerService } from './ledger-service.ts'
import { MessageDecoder } from './load/decode-message.ts'
import { LoaderThread } from './load/loader-thread.ts'
import type { DecodeSettings, LoaderSettings } from './load/messages.ts'
import type { Logger } from './log.ts'
import { defaultTenant } from './logql/tenant-scope.ts'
import type { AggregatorMetrics } from './metrics.ts'
import { Pusher } from './push/pusher.ts'
import { Intake } from './receive/intake.ts'
import { walDirectory } from './recover.ts'
import { HouseKeeping } from './retention/house-keeping.ts'
import type { StoreClient } from './store/client.ts'
import type { StoreConnection } from './store/connection.ts'
import type { EmbeddedStore } from './store/embedded.ts'
import { StoreError } from './store/error.ts'
import { migrate } from './store/migrations.ts'
import { applyTiering } from './store/tiering.ts'
import { SyslogReceiver } from './syslog/receiver.ts'
import { LiveFeed } from './tail/live-feed.ts'
import { Tails } from './tail/tails.ts'
import { comparePositions, type WalPosition } from './wal/position.ts'
import type { Wal } from './wal/wal.ts'

export interface AggregatorStats {
  /** Records accepted from collectors, and rows put into the store, since the start. */
  readonly receivedRecords: number
  readonly storedRows: number
  /** Bytes of the write-ahead log that are not in the store yet. */
  readonly behindBytes: number
  readonly connections: number
  /** The senders wait because nothing more fits. */
  readonly paused: boolean
  /** What was refused, set aside, or failed and is tried again. */
  readonly errors: number
}

/** How often health is looked at and gauges are set, in milliseconds. */
const tick = 1000
/** How long a request to the store may be answered late before it counts as away, in milliseconds. */
const storePatience = 30_000
/** How long answering what was received may take when closing, in milliseconds. */
const ackPatience = 5000

/** Pause before the store's schema is tried again, in milliseconds. */
const storeRetry = 2000

export const version = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version

/** What {@link RunningAggregator} works with; all of it open. */
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

export class RunningAggregator {
  readonly #parts: Parts
  readonly #intake: Intake
  readonly #pusher: Pusher
  readonly #limits: TenantLimits
  readonly #feed = new LiveFeed()
  readonly #tails: Tails
  readonly #health = new Health(performance.now())
  readonly #stop = new AbortController()
  readonly #stopLedger = new AbortController()
  #receiver: Receiver | undefined
  #syslog: SyslogReceiver | undefined
  #loader: LoaderThread | undefined
  #api: FastifyInstance | undefined
  #timer: NodeJS.Timeout | undefined
  #storing: Promise<void> = Promise.resolve()
  #resources: AsyncDisposableStack | undefined
  #closed: Promise<number> | undefined
  #draining = false
  /** When the store last answered, of {@link performance.now}. */
  #storeAnswered = performance.now()
  #receivedRecords = 0
  /** What tells the store from every other, once it is known. */
  #identity: string | undefined

  constructor(parts: Parts) {
    const { config, events, ledger, metrics, wal } = parts
    this.#parts = parts
    this.#limits = new TenantLimits({ limits: config.limits, overrides: config.tenants.overrides })
    this.#intake = new Intake({
      wal,
      ledger: ledger.intake,
      metrics,
      maxEntriesBytes: config.forward.maxEntriesBytes,
      onDurable: () => this.#proceed(),
      onAdmitted: (records) => {
        this.#receivedRecords += records
      },
      onUnsupported: (signal) => events.unsupported(signal),
      tenantOf: tenantOf(config.forward),
      limits: this.#limits,
    })
    this.#pusher = new Pusher({
      ...config.push,
      limiter: this.#limits,
      append: (message, tenant) => this.#intake.push(message, tenant),
      full: () => this.#intake.full,
      onTaken: (outcome) => events.pushed(outcome),
      onRefused: (problem) => metrics.pushErrors.inc(1, problem),
      onRepeat: () => metrics.repeatedPushes.inc(),
    })
    this.#tails = new Tails({
      ...config.tail,
      feed: this.#feed,
      sharedStore: config.store.engine === 'clickhouse',
      storedMark: () => {
        const { committed } = wal
        return () => comparePositions(ledger.stored, committed) >= 0
      },
      metrics: {
        setRunning: (tails) => metrics.tails.set(tails),
        sent: (entries) => metrics.tailedRecords.inc(entries),
        dropped: (entries) => metrics.tailDropped.inc(entries),
      },
    })
  }

  /** Segments of the write-ahead log were given back: there may be room for more. */
  released(): void {
    // To become empty the log may have gone on in a new segment.
    this.#loader?.committed(this.#parts.wal.committed)
    this.#proceed()
  }

  async open(): Promise<void> {
    const { config, events, metrics, wal } = this.#parts
    this.#api = this.#createApi()
    await this.#api.listen({ host: config.http.listen, port: config.http.port })
    const { forward } = config
    this.#receiver = await Receiver.open(
      { ...forward, tls: tlsFiles('forward.tls', forward.tls, events.files), ...security(forward, events.files) },
      this.#intake,
      { onError: (error, peer) => events.refused(error, peer), onConnection: () => metrics.connections.inc() },
    )
    wal.onEntries((entries) => this.#feed.committed(entries))
    if (config.syslog.enabled) this.#syslog = await this.#openSyslog()
    wal.onCommit((position) => {
      metrics.walCommits.inc()
      this.#loader?.committed(position)
    })
    this.#timer = setInterval(() => this.#observe(), tick)
    this.#storing = this.#useStore()
    this.#parts.log.info({ forwardPort: this.forwardPort, httpPort: this.httpPort }, 'the aggregator is open')
  }

  /** What lives as long as this: closed last. */
  owns(resources: AsyncDisposableStack): void {
    this.#resources = resources
  }

  get forwardPort(): number {
    return this.#receiver!.port
  }

  /** Port of syslog, where it is received. */
  get syslogPort(): number | undefined {
    return this.#syslog?.port
  }

  get httpPort(): number {
    return (this.#api!.server.address() as AddressInfo).port
  }

  /** Process id of the embedded store's engine. */
  get enginePid(): number | undefined {
    return this.#parts.engine?.pid
  }

  /** Everything before it is in the store. */
  stored(): WalPosition {
    return this.#parts.ledger.stored
  }

  /** Everything received so far is in the store. */
  caughtUp(): boolean {
    return (
      this.#intake.undurableBytes === 0 && comparePositions(this.#parts.ledger.stored, this.#parts.wal.committed) >= 0
    )
  }

  stats(): AggregatorStats {
    return {
      receivedRecords: this.#receivedRecords,
      storedRows: this.#parts.events.storedRows,
      behindBytes: this.#behindBytes(),
      connections: this.#receiver?.connections ?? 0,
      paused: this.#receiver?.paused ?? false,
      errors: this.#parts.events.errors,
    }
  }

  /**
   * Stops taking data, acknowledges what was received, loads for as long as `shutdown.drain` allows, and closes. How many bytes of the
   * write-ahead log are not in the store.
   */
  close(): Promise<number> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<number> {
    const { config, events, ledger, log } = this.#parts
    this.#draining = true
    // What is acknowledged only when it is stored takes as long as that.
    const patience = config.ack === 'stored' ? Math.max(ackPatience, config.shutdown.drain) : ackPatience
    await Promise.all([this.#receiver?.close(AbortSignal.timeout(patience)), this.#closeSyslog()])
    this.#stop.abort()
    await this.#loader?.close(AbortSignal.timeout(config.shutdown.drain))
    clearInterval(this.#timer)
    this.#stopLedger.abort()
    await this.#storing
    await this.#api?.close()
    await ledger.close()
    const left = this.#behindBytes()
    if (left > 0) events.leftBehind(left)
    await this.#resources?.disposeAsync()
    log.info({ behindBytes: left }, 'the aggregator is closed')
    return left
  }

  /** Brings the store's schema up to date, for as long as it takes, then loads and drops what is too old. */
  async #useStore(): Promise<void> {
    const { client, config, log, metrics } = this.#parts
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        this.#identity = await migrate(client, log)
        await this.#placeLines()
        break
      } catch (error) {
        log.error({ err: error }, 'the store cannot be used yet')
        this.#parts.events.loadError = (error as Error).message
        await sleep(storeRetry, undefined, { signal }).catch(() => {}) // closing ends the loop
      }
    }
    if (signal.aborted) return
    const ledger = this.#parts.ledger.run(this.#stopLedger.signal)
    this.#loader = this.#startLoader()
    await new HouseKeeping({ client, config, log, metrics: metrics.retention }).run(signal)
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
        this.#storeAnswered = performance.now()
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
      onDeath: (error) => events.loaderDied(error),
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

  #openSyslog(): Promise<SyslogReceiver> {
    const { config, events, metrics } = this.#parts
    return SyslogReceiver.open({
      config: config.syslog,
      tls: tlsFiles('syslog.tls', config.syslog.tls, events.files),
      sink: this.#intake,
      metrics: metrics.syslog,
      onProblem: (reason, peer, detail) => events.syslogProblem(reason, peer, detail),
    })
  }

  /** What was received is durable soon, or the log is full: then it is not waited for. */
  async #closeSyslog(): Promise<void> {
    await Promise.race([this.#syslog?.close(), sleep(ackPatience, undefined, { ref: false })])
  }

  /** There may be room for more. */
  #proceed(): void {
    this.#receiver?.proceed()
    this.#syslog?.proceed()
  }

  #createApi(): FastifyInstance {
    const { client, config, events, ledger, log, metrics } = this.#parts
    const tls = tlsFiles('http.tls', config.http.tls, events.files)
    return createApi({
      store: client,
      access: new Access(new Credentials(config.http.auth.credentials, events.files), config.tenants.enabled),
      version,
      log,
      registry: metrics.registry,
      tenantLimits: (tenant) => this.#limits.of(tenant),
      retentionMs: config.store.retention,
      tails: this.#tails,
      push: {
        maxBodyBytes: config.push.maxBodyBytes,
        take: (body, tenant) => this.#pusher.take(body, tenant, Date.now()),
      },
      ready: () =>
        this.#draining
          ? { ready: false, reason: 'it is about to end, and empties its write-ahead log' }
          : this.#loader === undefined || !this.#feed.ready
            ? { ready: false, reason: 'the store is not open yet' }
            : { ready: true },
      problem: () => this.#health.problem(performance.now()),
      audit: (waitMs, signal) =>
        runAudit(
          { client, accounts: () => ledger.accounts(), caughtUp: () => this.caughtUp() && ledger.calm },
          waitMs,
          signal,
        ),
      limits: config.http,
      ...(tls === undefined ? {} : { tls }),
    })
  }

  #observe(): void {
    const { client, events, metrics, wal } = this.#parts
    const now = performance.now()
    client.ping().then(
      () => {
        this.#storeAnswered = performance.now()
      },
      () => {}, // its silence is what is looked at
    )
    this.#health.observe(
      {
        committed: wal.committed,
        stored: this.#parts.ledger.stored,
        undurableBytes: this.#intake.undurableBytes,
        walFull: wal.full || wal.stalled !== undefined,
        storeAnswers: now - this.#storeAnswered < storePatience && events.backPressure === undefined,
        loadError: events.loadError,
      },
      now,
    )
    metrics.openConnections.set(this.#receiver?.connections ?? 0)
    metrics.receivePaused.set(this.#receiver?.paused ? 1 : 0)
    metrics.pendingBytes.set(this.#receiver?.pendingBytes ?? 0)
    metrics.undurableBytes.set(this.#intake.undurableBytes)
    metrics.pushHeldBytes.set(this.#pusher.heldBytes)
    metrics.storeAddresses.set(client.endpoints.count)
    metrics.storeHealthyAddresses.set(client.endpoints.healthy)
    metrics.storeBackPressure.set(events.backPressure === undefined ? 0 : 1)
    metrics.walBytes.set(wal.bytes)
    metrics.walFull.set(wal.full || wal.stalled !== undefined ? 1 : 0)
    metrics.behindBytes.set(this.#behindBytes())
    metrics.openClaims.set(this.#parts.ledger.openClaims)
  }

  #behindBytes(): number {
    const { wal } = this.#parts
    const { stored } = this.#parts.ledger
    if (stored.segment === wal.committed.segment) return Math.max(0, wal.committed.offset - stored.offset)
    return Math.max(0, wal.bytes - (stored.segment === wal.oldest.segment ? stored.offset : 0))
  }
}

function tlsFiles(key: string, paths: TlsFilePaths, events: WatchedFileEvents): TlsFiles | undefined {
  return paths.certFile === undefined ? undefined : new TlsFiles(key, paths, events)
}

function security(
  { sharedKey, sharedKeyFile, users }: AggregatorConfig['forward'],
  events: WatchedFileEvents,
): { readonly security?: Security } {
  const key = Secret.from('forward.sharedKey', sharedKey, sharedKeyFile, events)
  if (key === undefined) return {}
  // Differs from the host name under which a collector on this machine sends, see checkPong.
  const own = { hostname: `aggregator.${hostname()}`, sharedKey: key }
  return { security: users === undefined ? own : { ...own, users: userSecrets('forward.users', users, events) } }
}

/** Whose data a sender brings, by the user it has shown to be. */
function tenantOf({
  users = {},
  tenant,
}: AggregatorConfig['forward']): (user: string | undefined) => string | undefined {
  const tenants = new Map(
    Object.entries(users).flatMap(([name, user]) =>
      typeof user === 'string' || user.tenant === undefined ? [] : [[name, user.tenant] as const],
    ),
  )
  const nameOf = (name: string) => (name === defaultTenant ? undefined : name)
  return (user) => nameOf((user === undefined ? undefined : tenants.get(user)) ?? tenant)
}
