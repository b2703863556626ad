/**
 * What becomes of an application's message: checked, passed on as it came, and acknowledged when an aggregator has it. It is
 * neither decompressed nor decoded here, so a small process can take much, and a bomb goes off nowhere.
 */
import { encodeAck, relayPart } from '@tributary/protocol/chunk.ts'
import { chunkOf, type ForwardMessage } from '@tributary/protocol/forward.ts'
import { checkEntries, parseReceived, unsupportedSignal } from '@tributary/protocol/receive/check-entries.ts'
import type { Origin } from '@tributary/protocol/receive/connection.ts'
import type { Sink } from '@tributary/protocol/receive/receiver.ts'
import type { Courier } from '../forward/courier.ts'
import type { CollectorMetrics } from '../metrics.ts'
import { withoutDeepEntries } from './deep-entries.ts'
import type { Peers } from './peers.ts'
import { relayMessage } from './relay-message.ts'
import { Repeats } from './repeats.ts'

export interface IntakeOptions {
  readonly courier: Pick<Courier, 'open' | 'relayedBytes' | 'relayRoute' | 'relay'>
  readonly peers: Peers
  /** `fluentd`: what is passed on carries nothing of ours. */
  readonly format: 'tributary' | 'fluentd'
  readonly metrics: CollectorMetrics
  /** Metrics or traces were acknowledged and dropped. */
  readonly onUnsupported: (signal: string) => void
  /** Entries that nest too deep were left out of a message. */
  readonly onLeftOut: (entries: number) => void
}

/** What an aggregator takes by default; what it would refuse must be refused here, before anyone waits for its acknowledgement. */
const maxEntriesBytes = 128 << 20
/** Acknowledged messages that are recognised when they come again: those of some minutes from an application that batches. */
const remembered = 4096

export class Intake implements Sink {
  readonly #options: IntakeOptions
  readonly #repeats = new Repeats(remembered)
  /** Connections are spread over the aggregators as they come. */
  readonly #routes = new WeakMap<Origin, number>()
  #connections = 0

  constructor(options: IntakeOptions) {
    this.#options = options
  }

  get undurableBytes(): number {
    return this.#options.courier.relayedBytes
  }

  get full(): boolean {
    return !this.#options.courier.open
  }

  /** Takes one message; its acknowledgement, if one is asked for. Throws ReceiveError for a message that is refused. */
  accept(bytes: Buffer, from: Origin): Promise<Buffer | undefined> | undefined {
    const { metrics } = this.#options
    metrics.inputBytes.inc(bytes.length)
    const message = parseReceived(bytes)
    if (message === undefined) return undefined
    metrics.inputMessages.inc()
    const chunk = chunkOf(message)
    const done = this.#take(bytes, message, chunk, from)
    return chunk === undefined ? undefined : done.then(() => encodeAck({ ack: chunk }))
  }

  /** Resolves when the message is durable, or there is nothing to keep of it. */
  #take(bytes: Buffer, message: ForwardMessage, chunk: string | undefined, from: Origin): Promise<void> {
    const signal = unsupportedSignal(message)
    if (signal !== undefined) this.#options.onUnsupported(signal)
    else checkEntries(message, maxEntriesBytes)
    if (signal !== undefined) return Promise.resolve()
    const { leftOut, ...kept } = withoutDeepEntries(bytes, message)
    if (leftOut > 0) this.#options.onLeftOut(leftOut)
    if (kept.message.entries.length === 0) return Promise.resolve()
    if (chunk === undefined) return this.#relay(kept.bytes, kept.message, from)
    const { acked, repeated } = this.#repeats.take(bytes, from, () => this.#relay(kept.bytes, kept.message, from))
    if (repeated) this.#options.metrics.inputRepeats.inc()
    return acked
  }

  #relay(bytes: Buffer, message: ForwardMessage, from: Origin): Promise<void> {
    const { courier, peers, format, metrics } = this.#options
    const to = courier.relayRoute(this.#routeOf(from))
    const peer = peers.at(from.address)
    const place = peer.place(to, bytes.length)
    const { source, range, id } = place
    const own = {
      chunk: id,
      ...(format === 'fluentd' ? {} : { tributary: relayPart(peer.stream, source, range) }),
    }
    const pieces = relayMessage(bytes, message, own)
    peer.book(to, place)
    const acked = courier.relay(to, id, source, pieces)
    metrics.inputInFlightBytes.set(courier.relayedBytes)
    return acked.then(() => {
      metrics.inputAcked.inc()
      metrics.inputInFlightBytes.set(courier.relayedBytes)
    })
  }

  #routeOf(from: Origin): number {
    let route = this.#routes.get(from)
    if (route === undefined) {
      route = this.#connections++
      this.#routes.set(from, route)
    }
    return route
  }
}
