/** Ranges that lie in this aggregator's write-ahead log and whose rows are not known to be in the store. Pure. */
import { addRange, type ByteRange, type ByteRanges, uncovered } from '@tributary/protocol/ranges.ts'
import { comparePositions, type WalPosition } from '../../wal/position.ts'

export interface PendingPart {
  /** Hex. */
  readonly source: string
  readonly session: string | undefined
  readonly ranges: ByteRanges
}

/** One message of the write-ahead log. */
interface PendingMessage {
  readonly parts: readonly PendingPart[]
  /** Its end; undefined while it is not durable. */
  end: WalPosition | undefined
}

export class Pending {
  /** By source, then by session. */
  readonly #ranges = new Map<string, Map<string | undefined, ByteRanges>>()
  /** In the order of the write-ahead log. */
  #messages: PendingMessage[] = []

  /**
   * The parts of a range that its session has not pending. What another session has may be refused when it is claimed, as soon as the
   * log tells of a fence: which of the two counts is for the claim to decide.
   */
  fresh(source: string, session: string | undefined, range: ByteRange): ByteRange[] {
    return uncovered(this.#ranges.get(source)?.get(session) ?? [], range)
  }

  /** Returns what {@link durable} takes when the message is. */
  add(parts: readonly PendingPart[], end?: WalPosition): PendingMessage {
    for (const { source, session, ranges } of parts) {
      let sessions = this.#ranges.get(source)
      if (sessions === undefined) this.#ranges.set(source, (sessions = new Map()))
      sessions.set(session, ranges.reduce(addRange, sessions.get(session) ?? []))
    }
    const message = { parts, end }
    this.#messages.push(message)
    return message
  }

  durable(message: PendingMessage, end: WalPosition): void {
    message.end = end
  }

  /** All that ends at or before `position` is in the store, or was refused. */
  stored(position: WalPosition): void {
    let count = 0
    for (const { end } of this.#messages) {
      if (end === undefined || comparePositions(end, position) > 0) break
      count++
    }
    for (const { parts } of this.#messages.splice(0, count)) {
      for (const { source, session, ranges } of parts) {
        const left = (this.#ranges.get(source)?.get(session) ?? []).flatMap((one) => uncovered(ranges, one))
        this.#set(source, session, left)
      }
    }
  }

  #set(source: string, session: string | undefined, ranges: ByteRanges): void {
    const sessions = this.#ranges.get(source)
    if (sessions === undefined) return
    if (ranges.length > 0) sessions.set(session, ranges)
    else sessions.delete(session)
    if (sessions.size === 0) this.#ranges.delete(source)
  }
}
