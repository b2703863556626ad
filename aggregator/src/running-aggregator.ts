/** An aggregator that is open: receiver, loader, API, and how they are watched and closed. */
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Receiver } from '@tributary/protocol/receive/receiver.ts'
import type { FastifyInstance } from 'fastify'
import manifest from '../package.json' with { type: 'json' }
import { Access } from './access/access.ts'
import { Credentials } from './access/credentials.ts'
import { TenantLimits } from './access/tenant-limits.ts'
import { createApi } from './api/server.ts'
import { runAudit } from './audit.ts'
import { Health } from './health.ts'
import type { Parts } from './parts.ts'
import { Pusher } from './push/pusher.ts'
import { Intake } from './receive/intake.ts'
import { forwardSecurity, tenantOf, tlsFiles } from './sender-security.ts'
import { Storing } from './storing.ts'
import { SyslogReceiver } from './syslog/receiver.ts'
import { LiveFeed } from './tail/live-feed.ts'
import { Tails } from './tail/tails.ts'
import { comparePositions, type WalPosition } from './wal/position.ts'

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
/** How long queries and all else that is asked of the store may take when closing, in milliseconds. */
const storeLastPatience = 3000
/** How long answering what was received may take when closing, in milliseconds. */
const ackPatience = 5000

export const { version } = manifest

export class RunningAggregator {
  readonly #parts: Parts
  readonly #intake: Intake
  readonly #pusher: Pusher
  readonly #limits: TenantLimits
  readonly #feed = new LiveFeed()
  readonly #tails: Tails
  readonly #health = new Health(performance.now())
  readonly #storing: Storing
  #receiver: Receiver | undefined
  #syslog: SyslogReceiver | undefined
  #api: FastifyInstance | undefined
  #timer: NodeJS.Timeout | undefined
  #resources: AsyncDisposableStack | undefined
  #closed: Promise<number> | undefined
  #draining = false
  #receivedRecords = 0

  constructor(parts: Parts) {
    const { config, events, ledger, metrics, wal } = parts
    this.#parts = parts
    this.#limits = new TenantLimits({ limits: config.limits, overrides: config.tenants.overrides })
    this.#storing = new Storing(parts, { limits: this.#limits, feed: this.#feed })
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
    this.#storing.committed(this.#parts.wal.committed)
    this.#proceed()
  }

  async open(): Promise<void> {
    const { config, events, metrics, wal } = this.#parts
    this.#api = this.#createApi()
    await this.#api.listen({ host: config.http.listen, port: config.http.port })
    const { forward } = config
    this.#receiver = await Receiver.open(
      {
        ...forward,
        tls: tlsFiles('forward.tls', forward.tls, events.files),
        ...forwardSecurity(forward, events.files),
      },
      this.#intake,
      { onError: (error, peer) => events.refused(error, peer), onConnection: () => metrics.connections.inc() },
    )
    wal.onEntries((entries) => this.#feed.committed(entries))
    if (config.syslog.enabled) this.#syslog = await this.#openSyslog()
    wal.onCommit((position) => {
      metrics.walCommits.inc()
      this.#storing.committed(position)
    })
    this.#timer = setInterval(() => this.#observe(), tick)
    this.#storing.start()
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
    const { client, config, events, ledger, log } = this.#parts
    this.#draining = true
    // What is acknowledged only when it is stored takes as long as that.
    const patience = config.ack === 'stored' ? Math.max(ackPatience, config.shutdown.drain) : ackPatience
    await Promise.all([this.#receiver?.close(AbortSignal.timeout(patience)), this.#closeSyslog()])
    await this.#storing.close(config.shutdown.drain)
    clearInterval(this.#timer)
    // What a store that hangs was asked would be waited for much longer than anybody waits for the end.
    const breaking = setInterval(() => void client.close(), storeLastPatience)
    await Promise.all([this.#storing.ended(), this.#api?.close()])
    clearInterval(breaking)
    await ledger.close()
    const left = this.#behindBytes()
    if (left > 0) events.leftBehind(left)
    await this.#resources?.disposeAsync()
    log.info({ behindBytes: left }, 'the aggregator is closed')
    return left
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
        receive: (body, length) => this.#pusher.receive(body, length),
        take: (body, tenant) => this.#pusher.take(body, tenant, Date.now()),
      },
      ready: () =>
        this.#draining
          ? { ready: false, reason: 'it is about to end, and empties its write-ahead log' }
          : !this.#storing.opened || !this.#feed.ready
            ? { ready: false, reason: 'the store is not open yet' }
            : { ready: true },
      problem: () => this.#health.problem(performance.now()),
      backup: () => this.#storing.backUp(),
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
    this.#storing.ping()
    this.#health.observe(
      {
        committed: wal.committed,
        stored: this.#parts.ledger.stored,
        undurableBytes: this.#intake.undurableBytes,
        walFull: wal.full || wal.stalled !== undefined,
        storeAnswers: now - this.#storing.answeredAt < storePatience && events.backPressure === undefined,
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
