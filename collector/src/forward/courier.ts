/**
 * Turns what was read into Forward messages and brings them to the aggregators: which one, compressed how, within one byte budget.
 * A promise it gives resolves when an aggregator has acknowledged, that is, has it durably.
 */
import { randomBytes } from 'node:crypto'
import {
  type Ack,
  type AskedSource,
  type ChunkHeader,
  type Compression,
  chunkId,
  ledgerQueryOptions,
  type StreamMetadata,
} from '@tributary/protocol/chunk.ts'
import { ChunkEncoder, type EncodedOptions } from '@tributary/protocol/chunk-encoder.ts'
import { compress } from '@tributary/protocol/compression.ts'
import { forwardMessage, packedMessage } from '@tributary/protocol/forward.ts'
import { encode } from '@tributary/protocol/msgpack.ts'
import type { ByteRanges } from '@tributary/protocol/ranges.ts'
import type { SourceId } from '@tributary/protocol/source.ts'
import type { AggregatorSnapshot, RouteSnapshot } from '../diagnosis/snapshot.ts'
import type { CollectorMetrics } from '../metrics.ts'
import type { Aggregator } from './aggregator.ts'
import { type Aggregators, stateOf, type Takeover } from './aggregators.ts'
import { Assignments } from './assignments.ts'
import type { ByteBudget } from './budget.ts'
import { encodeSurroundings, FluentdEncoder } from './fluentd-records.ts'
import type { Parcel } from './parcel.ts'
import { routeOf } from './route.ts'

export interface CourierOptions {
  readonly aggregators: Aggregators
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
const chunkTag = encode('tributary')
/** What a message costs besides its bytes while it waits: a hundred bytes of log must not hold a kilobyte nobody counts. */
const relayOverhead = 1024
/** Multiples of it, modulo 1, are spread evenly however many are taken. */
const goldenRatio = 0.6180339887498949

export class Courier {
  readonly #options: CourierOptions
  /** Names this process to the aggregators, which take no more chunks of the one before it. */
  readonly #session = randomBytes(8).toString('hex')
  readonly #chunks = new ChunkEncoder(this.#session)
  readonly #fluentd = new FluentdEncoder()
  readonly #encoded = new WeakMap<StreamMetadata['metadata'], readonly [Buffer, Buffer]>()
  readonly #assignments = new Assignments<Aggregator>()
  /** What waits until an aggregator is known that it may be sent to. */
  #parked: Parcel[] = []
  #relayedBytes = 0
  /** Called whenever there may be room again, for the log files and for applications. */
  onRoom: () => void = () => undefined
  onRelayRoom: () => void = () => undefined

  constructor(options: CourierOptions) {
    this.#options = options
    const { aggregators } = options
    aggregators.onChange = () => this.#changed()
    aggregators.onTakeover = (takeover) => this.#takeOver(takeover)
  }

  /** An aggregator can be sent to. */
  get connected(): boolean {
    return this.#options.aggregators.usable
  }

  get inFlightBytes(): number {
    return this.#options.budget.used
  }

  /** Messages that are not acknowledged. */
  get waiting(): number {
    return this.#options.aggregators.all.reduce((sum, { sender }) => sum + sender.waiting, this.#parked.length)
  }

  /** Whether another chunk of this source may be read now. */
  hasRoom(source: SourceId): boolean {
    const { budget, aggregators, window } = this.#options
    if (!budget.open) return false
    const { candidates } = aggregators
    const to = this.#routeOf(source)
    if (to === undefined || to.chunks >= window) return false
    if (to === candidates[0] && candidates.length === 1) return true
    // Who does not answer gets nothing more while others do, and nobody gets so much that nothing is left for the others.
    return (to.usable || !aggregators.usable) && to.bytes < budget.limit / 2
  }

  /** Takes `bytes` of the budget for records that are on their way here; call the result when they came, or won't. */
  hold(bytes: number): () => void {
    return this.#options.budget.take(bytes)
  }

  /** How the aggregators do. */
  aggregators(): AggregatorSnapshot[] {
    const { aggregators, window } = this.#options
    return aggregators.all.map((one) => ({
      address: one.key,
      from: one.from,
      state: stateOf(one, aggregators.candidates),
      listed: one.listed,
      connected: one.sender.connected,
      failure: one.sender.failure,
      waiting: one.sender.waiting,
      window,
      silentFor: one.sender.silentMs,
    }))
  }

  /** Why aggregators are refused, and the way out. */
  get refusal(): string | undefined {
    return this.#options.aggregators.refusal
  }

  /** The aggregator that gets a source's chunks, and why it does. */
  routeTo(source: SourceId): RouteSnapshot | undefined {
    const { aggregators } = this.#options
    const to = this.#routeOf(source)
    if (to === undefined) return undefined
    const wanted = this.#candidateOf(source)
    const chunks = this.#assignments.inFlight(source)
    const others = aggregators.candidates.length
    if (wanted !== undefined && wanted !== to)
      return { address: to.key, why: 'in_flight', chunks, others, next: wanted.key }
    if (!aggregators.usable) return { address: to.key, why: 'none_usable', chunks, others }
    return { address: to.key, why: others === 1 ? 'only' : 'hash', chunks, others }
  }

  /** Which ranges of the sources the aggregators' ledgers have, by source in hexadecimal. A plain Fluentd has no ledger: nothing, then. */
  async ask(sources: readonly AskedSource[]): Promise<Map<string, ByteRanges>> {
    const { format } = this.#options
    const answers = new Map<string, ByteRanges>(sources.map(({ source }) => [source.toString('hex'), []]))
    if (format === 'fluentd') return answers
    const asked: Promise<void>[] = []
    for (const own of Map.groupBy(sources, ({ source }) => this.#candidateOf(source)).values()) {
      for (let i = 0; i < own.length; i += queryBatch) asked.push(this.#askOne(own.slice(i, i + queryBatch), answers))
    }
    await Promise.all(asked)
    return answers
  }

  async #askOne(asked: readonly AskedSource[], answers: Map<string, ByteRanges>): Promise<void> {
    const id = randomBytes(16).toString('base64')
    const pieces = forwardMessage('tributary', nothing, ledgerQueryOptions(id, asked, this.#session))
    const { ranges } = await this.#send({ kind: 'query', id, pieces, source: asked[0]!.source })
    for (const [i, { source }] of asked.entries()) answers.set(source.toString('hex'), ranges?.[i] ?? [])
  }

  /** Sends the records of a range. `records` may be overwritten once this returned; the promise resolves at the ack. */
  deliver(header: ChunkHeader, records: Buffer, count: number): Promise<void> {
    const { format, compression, metrics } = this.#options
    const encoded = format === 'fluentd' ? this.#fluentd.encode(records, this.#surroundings(header)) : records
    const entries = compression === 'none' ? Buffer.from(encoded) : compress(encoded, compression)
    metrics.sentChunks.inc()
    metrics.sentBytes.inc(entries.length)
    return this.#sendChunk(header, entries, count, compression)
  }

  /** Tells that a range has no records, and why (`header.outcome`). */
  report(header: ChunkHeader): Promise<void> {
    return this.#sendChunk(header, nothing, 0, 'none')
  }

  async #sendChunk(header: ChunkHeader, entries: Uint8Array, count: number, compression: Compression): Promise<void> {
    const { format, metrics } = this.#options
    const { source, range, seam } = header
    const fluentd = format === 'fluentd'
    const { id, bytes } = fluentd
      ? fluentdOptions(header, count, compression)
      : this.#chunks.encode(header, count, compression)
    const pieces = packedMessage(fluentd ? encode(fluentdTag(header)) : chunkTag, entries, bytes)
    const readAt = performance.now()
    await this.#send({ kind: 'chunk', id, pieces, source, next: seam?.source, entries })
    metrics.ackDelay.observe((performance.now() - readAt) / 1000)
    metrics.ackedChunks.inc()
    metrics.ackedBytes.inc(range[1] - range[0])
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

  /**
   * Name of the aggregator that takes a message which could go to any; empty while none is known. The same number gets the same one for as long
   * as they are the same, and numbers that count up are spread by weight.
   */
  relayRoute(preferred: number): string {
    const { candidates } = this.#options.aggregators
    if (candidates.length < 2) return candidates[0]?.key ?? ''
    const { budget } = this.#options
    const open = candidates.filter(({ bytes }) => bytes < budget.limit / 2)
    const choice = open.length > 0 ? open : candidates
    let at = ((preferred * goldenRatio) % 1) * choice.reduce((sum, { weight }) => sum + weight, 0)
    return (choice.find(({ weight }) => (at -= weight) < 0) ?? choice[0]!).key
  }

  /** Passes on a message of an application; resolves with its acknowledgement. */
  async relay(to: string, id: string, source: SourceId, pieces: readonly Buffer[]): Promise<void> {
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, relayOverhead)
    this.#relayedBytes += bytes
    await this.#send({ kind: 'relay', id, pieces, source }, this.#options.aggregators.get(to))
    this.#relayedBytes -= bytes
    this.#tellRoom()
  }

  #tellRoom(): void {
    this.onRoom()
    this.onRelayRoom()
  }

  /** Hands a message to an aggregator and resolves with its acknowledgement, whoever gives it in the end. */
  #send(
    message: Pick<Parcel, 'kind' | 'id' | 'pieces' | 'source'> & {
      readonly next?: SourceId | undefined
      /** Among the pieces, and nobody else's: its memory is given back. */
      readonly entries?: Uint8Array
    },
    to?: Aggregator,
  ): Promise<Ack> {
    const { next, entries, ...rest } = message
    const { kind, pieces } = rest
    const bytes =
      kind === 'query' ? 0 : pieces.reduce((sum, { length }) => sum + length, kind === 'relay' ? relayOverhead : 0)
    const release = this.#options.budget.take(bytes)
    return new Promise((resolve) => {
      const parcel: Parcel = {
        ...rest,
        next,
        bytes,
        writing: 0,
        settle: (ack) => {
          this.#over(parcel)
          release()
          if (entries !== undefined && parcel.writing === 0) giveBack(entries)
          resolve(ack)
        },
      }
      this.#put(parcel, to?.member ? to : undefined)
    })
  }

  #put(parcel: Parcel, preferred?: Aggregator): void {
    const to = preferred ?? (parcel.kind === 'chunk' ? this.#routeOf(parcel.source) : this.#candidateOf(parcel.source))
    if (to === undefined) {
      this.#parked.push(parcel)
      return
    }
    parcel.at = to
    if (parcel.kind === 'chunk') {
      this.#assignments.sent(parcel.source, to)
      if (parcel.next) this.#assignments.sent(parcel.next, to)
    }
    to.put(parcel)
  }

  /** It does not wait for its aggregator any more. */
  #over(parcel: Parcel): void {
    parcel.at?.release(parcel)
    this.#unassign(parcel)
  }

  #unassign({ kind, source, next }: Parcel): void {
    if (kind !== 'chunk') return
    this.#assignments.over(source)
    if (next) this.#assignments.over(next)
  }

  #changed(): void {
    const parked = this.#parked
    this.#parked = []
    for (const parcel of parked) this.#put(parcel)
    this.#tellRoom()
  }

  /** Sends what waits for an aggregator to others: byte for byte the same, so that the ledger knows it again. */
  #takeOver({ from, what }: Takeover): void {
    const taken = from.withdraw(what)
    for (const parcel of taken) this.#unassign(parcel)
    for (const parcel of taken) this.#put(parcel)
    this.#options.metrics.movedMessages.inc(taken.length)
    this.#tellRoom()
  }

  /** Where a source's next chunk goes: to where those before it are, until they are acknowledged. */
  #routeOf(source: SourceId): Aggregator | undefined {
    return (this.#assignments.size === 0 ? undefined : this.#assignments.of(source)) ?? this.#candidateOf(source)
  }

  #candidateOf(source: SourceId): Aggregator | undefined {
    const { candidates } = this.#options.aggregators
    return candidates[routeOf(source, candidates)]
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

/**
 * Gives memory that nobody uses any more back at once. V8 comes to it when it collects garbage, which the sizes of such buffers make it do: a
 * whole heap is gone through for the sake of a few of them.
 */
function giveBack({ buffer, byteLength }: Uint8Array): void {
  // What is a part of a buffer shares it with others.
  if (byteLength > 0 && byteLength === buffer.byteLength && buffer instanceof ArrayBuffer) buffer.transfer(0)
}

function fluentdOptions({ source, range }: ChunkHeader, size: number, compression: Compression): EncodedOptions {
  const id = chunkId(source, range)
  return { id, bytes: encode({ chunk: id, size, ...(compression === 'none' ? {} : { compressed: compression }) }) }
}

/** The tag Fluent Bit gives to the same file, which people's match rules know. */
function fluentdTag({ labels, metadata, path }: ChunkHeader): string {
  if (labels['pod'] === undefined) return `file${path.replaceAll('/', '.')}`
  return `kube.var.log.containers.${labels['pod']}_${labels['namespace']}_${labels['container']}-${metadata['container_id'] ?? ''}.log`
}
