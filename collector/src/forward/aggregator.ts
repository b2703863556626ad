/** One aggregator that the collector knows: how it is reached, how it does, and how much waits for it. */
import type { Endpoint } from '../resolve/directory.ts'
import { FailureDetector } from './failure-detector.ts'
import type { Parcel } from './parcel.ts'
import { seedOf } from './route.ts'
import type { Sender } from './sender.ts'

/** An aggregator that owes an answer for this long is asked for a sign of life, ms: a store that is slow delays acknowledgements, not this. */
const pingAfterMs = 1000

export class Aggregator {
  readonly key: string
  readonly seed: number
  readonly sender: Sender<Parcel>
  readonly #detector: FailureDetector
  #endpoint: Endpoint
  /** It is among the present addresses. */
  listed = true
  /** It keeps the ledger in use. */
  member = false
  /** Chunks that wait for it, and bytes of all that does. */
  chunks = 0
  bytes = 0

  /** @param takeoverAfter ms */
  constructor(endpoint: Endpoint, sender: Sender<Parcel>, takeoverAfter: number) {
    this.key = endpoint.key
    this.seed = seedOf(endpoint.key)
    this.sender = sender
    this.#endpoint = endpoint
    this.#detector = new FailureDetector({ ceilingMs: takeoverAfter })
    sender.onAnswer = () => this.#detector.heard()
  }

  get weight(): number {
    return this.#endpoint.weight
  }

  get standby(): boolean {
    return this.#endpoint.standby
  }

  /** The configured address it comes from. */
  get from(): string {
    return this.#endpoint.from
  }

  get suspect(): boolean {
    return this.sender.connected && this.#detector.suspect
  }

  get usable(): boolean {
    return this.member && this.sender.connected && !this.#detector.suspect
  }

  /** For how long it has given no sign of life although one was due, ms. */
  get silentMs(): number {
    return this.#detector.silentMs
  }

  get identity() {
    return this.sender.identity
  }

  get tried(): boolean {
    return this.sender.failures > 0
  }

  /** Its address, weight or rank changed. */
  update(endpoint: Endpoint): void {
    this.#endpoint = endpoint
    this.sender.redirect(endpoint)
  }

  opened(): void {
    this.#detector.restart()
  }

  /** `now` in ms on the monotonic clock. */
  look(now: number): void {
    const { connected, waiting } = this.sender
    this.#detector.look(!connected || waiting > 0, now)
    if (connected && this.#detector.silentMs >= pingAfterMs) this.sender.ping()
  }

  put(parcel: Parcel): void {
    if (parcel.kind === 'chunk') this.chunks++
    this.bytes += parcel.bytes
    this.sender.put(parcel)
  }

  /** A parcel was acknowledged. */
  release({ kind, bytes }: Parcel): void {
    if (kind === 'chunk') this.chunks--
    this.bytes -= bytes
  }

  /** Takes back all that waits, or only queries, in the order of sending. */
  withdraw(what: 'all' | 'queries'): Parcel[] {
    const taken = this.sender.withdraw(({ kind }) => what === 'all' || kind === 'query')
    for (const parcel of taken) this.release(parcel)
    return taken
  }
}
