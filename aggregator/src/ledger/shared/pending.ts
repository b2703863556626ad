/** Ranges that lie in this aggregator's write-ahead log and whose rows are not known to be in the store. Pure. */
import { addRange, type ByteRange, type ByteRanges, uncovered, unionOf } from '@tributary/protocol/ranges.ts'
import { comparePositions, type WalPosition } from '../../wal/position.ts'
import { meet } from './claim-request.ts'

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

  /** The parts of a range that no session has pending. */
  fresh(source: string, range: ByteRange): ByteRange[] {
    const known = this.#ranges.get(source)
    return known === undefined ? [range] : uncovered(unionOf(...known.values()), range)
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

  /** Bytes of other sessions from `keep` on will not be claimed: whoever sends them again is to be listened to. */
  cut(source: string, session: string, keep: number): void {
    const sessions = this.#ranges.get(source)
    for (const [other, ranges] of sessions ?? []) {
      if (other === session || other === undefined) continue
      this.#set(source, other, meet(ranges, [[0, keep]]))
    }
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
