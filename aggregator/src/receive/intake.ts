/**
 * What becomes of a message: checked, trimmed to what is new, appended to the write-ahead log, and acknowledged when it is durable
 * there. The message itself stays as it came; only the option map is decoded.
 */
import { type ChunkHeader, encodeAck } from '@tributary/protocol/chunk.ts'
import { CompressionError } from '@tributary/protocol/compression.ts'
import type { ForwardMessage } from '@tributary/protocol/forward.ts'
import { MsgpackError } from '@tributary/protocol/msgpack.ts'
import type { ByteRanges } from '@tributary/protocol/ranges.ts'
import type { Origin } from '@tributary/protocol/receive/connection.ts'
import { ReceiveError } from '@tributary/protocol/receive/receive-error.ts'
import type { Sink } from '@tributary/protocol/receive/receiver.ts'
import { LimitError } from '../access/limit-error.ts'
import type { TenantLimits } from '../access/tenant-limits.ts'
import type { IntakeLedger } from '../ledger/intake-ledger.ts'
import { headerOfTenant, sourceOfTenant } from '../ledger/tenant-source.ts'
import { defaultTenant } from '../logql/tenant-scope.ts'
import type { AggregatorMetrics } from '../metrics.ts'
import type { WalPosition } from '../wal/position.ts'
import { maxRanges, type WalRecord } from '../wal/record.ts'
import type { Wal } from '../wal/wal.ts'
import { type CheckedMessage, checkMessage } from './check-message.ts'
import { countRecords } from './count-records.ts'

export interface IntakeOptions {
  readonly wal: Pick<Wal, 'append' | 'full' | 'stalled'>
  readonly ledger: IntakeLedger
  readonly metrics: AggregatorMetrics
  readonly maxEntriesBytes: number
  /** Called when bytes became durable: there may be room for more. */
  readonly onDurable: () => void
  /** Records of a chunk were accepted. */
  readonly onAdmitted?: (records: number) => void
  /** Metrics or traces were acknowledged and dropped. */
  readonly onUnsupported: (signal: string) => void
  /** Whose data a sender brings; undefined for the default tenant's. */
  readonly tenantOf?: (user: string | undefined) => string | undefined
  /** What the tenants may send; without it there are no limits. */
  readonly limits?: Pick<TenantLimits, 'checkStream' | 'delay'>
}

/** Who sends: as {@link Origin}, which tests need not make whole. */
type Sender = Pick<Origin, 'user' | 'hold'> & Partial<Pick<Origin, 'ended'>>

/** A connection is not held longer than this, milliseconds: well below the time after which a sender gives up waiting. */
const longestHold = 20_000

export class Intake implements Sink {
  readonly #options: IntakeOptions
  #undurableBytes = 0
  /** Resolves when all that was appended so far is durable: the log commits in order. */
  #lastAppend: Promise<WalPosition> = Promise.resolve({ segment: 0, offset: 0 })

  constructor(options: IntakeOptions) {
    this.#options = options
  }

  get undurableBytes(): number {
    return this.#undurableBytes
  }

  get full(): boolean {
    return this.#options.wal.full || this.#options.wal.stalled !== undefined
  }

  /** Takes one message; the answer, once it may be given. Throws {@link ReceiveError} for one that is refused. */
  accept(bytes: Buffer, from?: Sender): Promise<Buffer | undefined> | undefined {
    const { metrics, maxEntriesBytes, onUnsupported } = this.#options
    metrics.receivedBytes.inc(bytes.length)
    const checked = checkMessage(bytes, maxEntriesBytes)
    if (checked.kind === 'unsupported') {
      onUnsupported(checked.signal)
      return checked.chunk === undefined ? undefined : Promise.resolve(encodeAck({ ack: checked.chunk }))
    }
    metrics.messages.inc(1, checked.kind)
    if (checked.kind === 'heartbeat') return undefined
    const tenant = this.#options.tenantOf?.(from?.user)
    if (checked.kind === 'query') return this.#answer(checked, tenant, from)
    const durable =
      checked.kind === 'foreign'
        ? this.#acceptForeign(checked, bytes, tenant, from)
        : this.#admit(checked, bytes, tenant, from)
    const { chunk } = checked
    if (chunk === undefined) return durable.then(() => undefined)
    const begun = performance.now()
    return durable
      .then((end) => this.#options.ledger.acknowledgeable(end))
      .then(() => {
        metrics.ackSeconds.observe((performance.now() - begun) / 1000)
        return encodeAck({ ack: chunk })
      })
  }

  #acceptForeign(
    { message, chunk }: Extract<CheckedMessage, { kind: 'foreign' }>,
    bytes: Buffer,
    tenant: string | undefined,
    from: Sender | undefined,
  ): Promise<WalPosition> {
    // Its labels are not known before it is decoded; a sender that collects has a tag for each file.
    // Fluent Bit waits for an acknowledgement as long as the connection is there.
    this.#checkStream(tenant, message.tag, chunk === undefined ? false : 'once answered')
    this.#charge(tenant, bytes.length, from)
    return this.#append([], bytes, { tenant })
  }

  /** @param fatal whether the connection has to end, because its sender repeats what was not acknowledged only on another one */
  #checkStream(tenant: string | undefined, stream: string, fatal: ReceiveError['fatal']): void {
    try {
      this.#options.limits?.checkStream(tenant ?? defaultTenant, stream, stream)
    } catch (error) {
      if (!(error instanceof LimitError)) throw error
      this.#options.metrics.limitDelays.inc(1, 'stream_limit')
      throw new ReceiveError('limited', error.message, fatal, { cause: error })
    }
  }

  /** Books what a tenant has sent. Beyond its rate the connection is read later: the sender waits, and nothing is lost. */
  #charge(tenant: string | undefined, bytes: number, from: Sender | undefined): void {
    const ms = this.#options.limits?.delay(tenant ?? defaultTenant, bytes) ?? 0
    if (ms <= 0) return
    this.#options.metrics.limitDelays.inc(1, 'rate_limited')
    from?.hold(Math.min(ms, longestHold))
  }

  /** Takes what was accepted of a push; resolves when it is durable. */
  async push(message: Buffer, tenant: string): Promise<void> {
    const end = await this.#append([], message, { tenant: tenant === defaultTenant ? undefined : tenant })
    await this.#options.ledger.acknowledgeable(end)
  }

  /** What is accepted of the sources. Told only once it is durable: a collector never sends again what it is told here. */
  async #answer(
    { chunk, sources, session }: Extract<CheckedMessage, { kind: 'query' }>,
    tenant: string | undefined,
    from: Sender | undefined,
  ): Promise<Buffer> {
    const asked = sources.map(({ source, keep }) => ({ source: sourceOfTenant(source, tenant), keep }))
    const answer = this.#options.ledger.ask({ sources: asked, session, waits: () => from?.ended !== true })
    answer.catch(() => {}) // awaited below, when what is accepted by now is durable
    await this.#lastAppend
    return encodeAck({ ack: chunk, ...(await answer) })
  }

  /** Appends what is new of a chunk. For one that is not new at all: resolves when what covers it is durable. With where that ends. */
  #admit(
    { header: sent, records, message }: Extract<CheckedMessage, { kind: 'chunk' }>,
    bytes: Buffer,
    tenant: string | undefined,
    from: Sender | undefined,
  ): Promise<WalPosition> {
    const { ledger, metrics } = this.#options
    const header = headerOfTenant(sent, tenant)
    if (!ledger.lets(header)) {
      metrics.fencedChunks.inc()
      throw new ReceiveError('fenced', 'a chunk of a collector process that another one has taken over from', true)
    }
    if (header.outcome === undefined) this.#checkStream(tenant, JSON.stringify(header.labels), true)
    const admitted = ledger.admit(header, records, (ranges) => this.#count(header, message, ranges))
    const { ranges, bookings } = admitted
    const [own, next] = bookings
    const admittedRecords = own!.records + (next?.records ?? 0)
    metrics.receivedRecords.inc(admittedRecords)
    this.#options.onAdmitted?.(admittedRecords)
    if (ranges.length === 0) {
      metrics.duplicateChunks.inc()
      return this.#lastAppend
    }
    // What comes again costs nothing: a sender that waits for long may have to connect anew.
    this.#charge(tenant, Math.max(bytes.length, Math.min(header.rawBytes, this.#options.maxEntriesBytes)), from)
    const [first, end] = ranges[0]!
    if (first !== header.range[0] || end !== header.range[1]) metrics.trimmedChunks.inc()
    // A record of the log has room for so many ranges only: the message stands there once for each lot of them.
    const lots = Array.from({ length: Math.ceil(ranges.length / maxRanges) }, (_, i) =>
      ranges.slice(i * maxRanges, (i + 1) * maxRanges),
    )
    // How the records are spread over the lots is not known: the first one stands for all.
    const appended = Promise.all(
      lots.map((lot, i) =>
        this.#append(lot, bytes, {
          tenant,
          source: header.source,
          records: i === 0 ? own!.records : 0,
          ...(header.seam ? { seam: { ...header.seam, records: i === 0 ? next!.records : 0 } } : {}),
        }),
      ),
    )
    return appended.then((ends) => {
      const end = ends.at(-1)!
      ledger.confirm(admitted, end)
      return end
    })
  }

  #count(header: ChunkHeader, message: ForwardMessage, ranges: ByteRanges): number {
    if (header.outcome !== undefined || header.relayed) return 0
    try {
      return countRecords(message.entries, ranges, this.#options.maxEntriesBytes)
    } catch (error) {
      if (!(error instanceof MsgpackError || error instanceof CompressionError)) throw error
      throw new ReceiveError('bad_entries', error.message, false, { cause: error })
    }
  }

  #append(
    accepted: ByteRanges,
    message: Buffer,
    of: Pick<WalRecord, 'source' | 'records' | 'seam' | 'tenant'>,
  ): Promise<WalPosition> {
    const { wal, onDurable } = this.#options
    this.#undurableBytes += message.length
    const appended = wal.append({ accepted, message, receivedAt: Date.now(), ...of }).then(
      (end) => {
        this.#undurableBytes -= message.length
        onDurable()
        return end
      },
      (error: unknown) => {
        this.#undurableBytes -= message.length
        throw error
      },
    )
    this.#lastAppend = appended
    appended.catch(() => {}) // told to whoever waits for the answer
    return appended
  }
}
