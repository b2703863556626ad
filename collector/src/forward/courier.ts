/**
 * Turns what was read into Forward messages and brings them to the aggregators: which one, compressed how, within one byte budget.
 * A promise it gives resolves when an aggregator has acknowledged, that is, has it durably.
 */
import { randomBytes } from 'node:crypto'
import {
  type AskedSource,
  type ChunkHeader,
  type Compression,
  chunkId,
  chunkOptions,
  ledgerQueryOptions,
  type StreamMetadata,
} from '@tributary/protocol/chunk.ts'
import { compress } from '@tributary/protocol/compression.ts'
import { forwardMessage } from '@tributary/protocol/forward.ts'
import type { ByteRanges } from '@tributary/protocol/ranges.ts'
import type { SourceId } from '@tributary/protocol/source.ts'
import type { AggregatorSnapshot } from '../diagnosis/snapshot.ts'
import type { CollectorMetrics } from '../metrics.ts'
import type { ByteBudget } from './budget.ts'
import { encodeSurroundings, FluentdEncoder } from './fluentd-records.ts'
import { connectedRoute, routeOf } from './route.ts'
import type { Sender } from './sender.ts'

export interface CourierOptions {
  readonly senders: readonly Sender[]
  readonly format: 'tributary' | 'fluentd'
  readonly compression: Compression
  /** Most messages that may wait for one aggregator. */
  readonly window: number
  readonly budget: ByteBudget
  readonly metrics: CollectorMetrics
}

/** Sources asked for in one ledger query. */
const queryBatch = 4096
const nothing = new Uint8Array(0)
/** What a message costs besides its bytes while it waits: a hundred bytes of log must not hold a kilobyte nobody counts. */
const relayOverhead = 1024

export class Courier {
  readonly #options: CourierOptions
  /** Names this process to the aggregators, which take no more chunks of the one before it. */
  readonly #session = randomBytes(8).toString('hex')
  readonly #addresses: readonly string[]
  readonly #fluentd = new FluentdEncoder()
  readonly #encoded = new WeakMap<StreamMetadata['metadata'], readonly [Buffer, Buffer]>()
  /** Messages of applications that wait for each aggregator. The window is for chunks: what waits here has the budget as its bound. */
  readonly #relayed: number[]
  #relayedBytes = 0
  /** Called whenever there may be room again, for the log files and for applications. */
  onRoom: () => void = () => undefined
  onRelayRoom: () => void = () => undefined

  constructor(options: CourierOptions) {
    this.#options = options
    this.#addresses = options.senders.map(({ address }) => address)
    this.#relayed = options.senders.map(() => 0)
  }

  get connected(): boolean {
    return this.#options.senders.every(({ connected }) => connected)
  }

  get inFlightBytes(): number {
    return this.#options.budget.used
  }

  /** The longest time, in ms, for which an aggregator with messages waiting has acknowledged nothing. */
  get silentMs(): number {
    return Math.max(0, ...this.#options.senders.filter(({ waiting }) => waiting > 0).map(({ silentMs }) => silentMs))
  }

  /** Whether another chunk of this source may be read now. */
  hasRoom(source: SourceId): boolean {
    const { budget, senders, window } = this.#options
    const i = this.#route(source)
    return budget.open && senders[i]!.waiting - this.#relayed[i]! < window
  }

  /** Takes `bytes` of the budget for records that are on their way here; call the result when they came, or won't. */
  hold(bytes: number): () => void {
    return this.#options.budget.take(bytes)
  }

  /** How the aggregators do. */
  aggregators(): AggregatorSnapshot[] {
    const { senders, window } = this.#options
    return senders.map(({ address, connected, waiting, silentMs }) => ({
      address,
      connected,
      waiting,
      window,
      silentFor: silentMs,
    }))
  }

  /** Address of the aggregator that gets a source's chunks. */
  aggregatorOf(source: SourceId): string {
    return this.#sender(source).address
  }

  /** Which ranges of the sources the aggregators' ledgers have, by source in hexadecimal. A plain Fluentd has no ledger: nothing, then. */
  async ask(sources: readonly AskedSource[]): Promise<Map<string, ByteRanges>> {
    const { senders, format } = this.#options
    const answers = new Map<string, ByteRanges>(sources.map(({ source }) => [source.toString('hex'), []]))
    if (format === 'fluentd') return answers
    const asked: Promise<void>[] = []
    for (const sender of senders) {
      const own = sources.filter(({ source }) => this.#sender(source) === sender)
      for (let i = 0; i < own.length; i += queryBatch)
        asked.push(this.#askOne(sender, own.slice(i, i + queryBatch), answers))
    }
    await Promise.all(asked)
    return answers
  }

  async #askOne(sender: Sender, asked: readonly AskedSource[], answers: Map<string, ByteRanges>): Promise<void> {
    const id = randomBytes(16).toString('base64')
    const query = forwardMessage('tributary', nothing, ledgerQueryOptions(id, asked, this.#session))
    const { ranges } = await sender.send(id, query)
    for (const [i, { source }] of asked.entries()) answers.set(source.toString('hex'), ranges?.[i] ?? [])
  }

  /** Sends the records of a range. `records` may be overwritten once this returned; the promise resolves at the ack. */
  deliver(header: ChunkHeader, records: Buffer, count: number): Promise<void> {
    const { format, compression, metrics } = this.#options
    const encoded = format === 'fluentd' ? this.#fluentd.encode(records, this.#surroundings(header)) : records
    const entries = compression === 'none' ? Buffer.from(encoded) : compress(encoded, compression)
    metrics.sentChunks.inc()
    metrics.sentBytes.inc(entries.length)
    return this.#send(header, entries, count, compression)
  }

  /** Tells that a range has no records, and why (`header.outcome`). */
  report(header: ChunkHeader): Promise<void> {
    return this.#send(header, nothing, 0, 'none')
  }

  async #send(header: ChunkHeader, entries: Uint8Array, count: number, compression: Compression): Promise<void> {
    const { format, budget, metrics } = this.#options
    const tag = format === 'fluentd' ? fluentdTag(header) : 'tributary'
    const id = chunkId(header.source, header.range)
    const own = chunkOptions({ ...header, session: this.#session }, count, compression)
    const options =
      format === 'fluentd'
        ? { chunk: id, size: count, ...(compression === 'none' ? {} : { compressed: compression }) }
        : own
    const message = forwardMessage(tag, entries, options)
    const release = budget.take(message.reduce((sum, piece) => sum + piece.length, 0))
    const readAt = performance.now()
    await this.#sender(header.source).send(id, message)
    release()
    metrics.ackDelay.observe((performance.now() - readAt) / 1000)
    metrics.ackedChunks.inc()
    metrics.ackedBytes.inc(header.range[1] - header.range[0])
    this.#tellRoom()
  }

  /** Another message of an application may be read now. */
  get open(): boolean {
    return this.#options.budget.open
  }

  /** Bytes of the budget that messages of applications hold. */
  get relayedBytes(): number {
    return this.#relayedBytes
  }

  /** Which aggregator takes a message that could go to any: the preferred one unless only others are connected. */
  relayRoute(preferred: number): number {
    const { senders } = this.#options
    return senders.length === 1 ? 0 : connectedRoute(preferred, senders)
  }

  /** Passes on a message of an application; resolves with its acknowledgement. */
  async relay(to: number, id: string, message: readonly Buffer[]): Promise<void> {
    const { budget, senders } = this.#options
    const bytes = message.reduce((sum, piece) => sum + piece.length, relayOverhead)
    const release = budget.take(bytes)
    this.#relayedBytes += bytes
    this.#relayed[to]!++
    await senders[to]!.send(id, message)
    release()
    this.#relayedBytes -= bytes
    this.#relayed[to]!--
    this.#tellRoom()
  }

  #tellRoom(): void {
    this.onRoom()
    this.onRelayRoom()
  }

  #sender(source: SourceId): Sender {
    return this.#options.senders[this.#route(source)]!
  }

  #route(source: SourceId): number {
    return this.#addresses.length === 1 ? 0 : routeOf(source, this.#addresses)
  }

  /** A source's metadata is one object for its life, so what is encoded from it is found by it. */
  #surroundings(stream: StreamMetadata): readonly [Buffer, Buffer] {
    let found = this.#encoded.get(stream.metadata)
    if (!found) {
      found = encodeSurroundings(stream)
      this.#encoded.set(stream.metadata, found)
    }
    return found
  }
}

/** The tag Fluent Bit gives to the same file, which people's match rules know. */
function fluentdTag({ labels, metadata, path }: ChunkHeader): string {
  if (labels['pod'] === undefined) return `file${path.replaceAll('/', '.')}`
  return `kube.var.log.containers.${labels['pod']}_${labels['namespace']}_${labels['container']}-${metadata['container_id'] ?? ''}.log`
}
