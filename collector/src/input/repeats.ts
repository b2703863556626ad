/**
 * Tells whether an application sends a message again because it could not know that the first one arrived. The same bytes on a
 * connection that got its answer are a new message: Fluent Bit's chunk ids are hashes, and two equal lines may be two lines.
 */
import { hash } from 'node:crypto'
import type { Connection } from '@tributary/protocol/receive/connection.ts'

/** The connection that a message came on: whether an answer can still get there. */
type Origin = Pick<Connection['origin'], 'closed'>

interface UnderWay {
  readonly acked: Promise<void>
  origin: Origin
}

export class Repeats {
  readonly #underWay = new Map<string, UnderWay>()
  /** Those acknowledged last, oldest first, with the connection that was told. */
  readonly #acked = new Map<string, Origin>()
  readonly #remembered: number

  /** @param remembered how many acknowledged messages are remembered */
  constructor(remembered: number) {
    this.#remembered = remembered
  }

  /**
   * Takes a message once.
   *
   * @param relay passes it on; called only when it is new
   * @returns its acknowledgement, and whether it was known
   */
  take(message: Buffer, origin: Origin, relay: () => Promise<void>): { acked: Promise<void>; repeated: boolean } {
    const key = hash('sha256', message, 'base64')
    const underWay = this.#underWay.get(key)
    if (underWay !== undefined) {
      underWay.origin = origin
      return { acked: underWay.acked, repeated: true }
    }
    if (this.#acked.get(key)?.closed) {
      this.#remember(key, origin)
      return { acked: Promise.resolve(), repeated: true }
    }
    const entry: UnderWay = { origin, acked: relay().then(() => this.#settle(key)) }
    this.#underWay.set(key, entry)
    return { acked: entry.acked, repeated: false }
  }

  #settle(key: string): void {
    const { origin } = this.#underWay.get(key)!
    this.#underWay.delete(key)
    this.#remember(key, origin)
  }

  #remember(key: string, origin: Origin): void {
    this.#acked.delete(key)
    this.#acked.set(key, origin)
    if (this.#acked.size > this.#remembered) this.#acked.delete(this.#acked.keys().next().value!)
  }
}
