/**
 * Entries on their way to one client: bounded, so that a client that is too slow costs no more memory than this and loses entries, of which
 * it is told. Pure: whoever asks brings the time.
 */
import type { DroppedEntry } from '../api/shapes.ts'
import { mergedLabels } from '../logql/entry-labels.ts'
import type { Entry } from '../logql/logs.ts'

export interface QueueLimits {
  readonly maxEntries: number
  /** Of lines and what goes with them, about. */
  readonly maxBytes: number
  /** How long an entry waits for earlier ones, milliseconds. */
  readonly delay: number
}

interface Waiting {
  readonly entry: Entry
  readonly bytes: number
  /** When it may go. */
  readonly due: number
}

/** What an entry costs beside its line, bytes, about. */
const overhead = 200
/** A frame has so many entries at most, and so many bytes or one entry more. */
const frameEntries = 500
const frameBytes = 1 << 20
/** Dropped entries that are told one by one; the others are counted. */
const maxTold = 5000

export class TailQueue {
  readonly #limits: QueueLimits
  #waiting: Waiting[] = []
  #bytes = 0
  #dropped: DroppedEntry[] = []
  /** Of all that were dropped. */
  droppedTotal = 0

  constructor(limits: QueueLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#waiting.length
  }

  get bytes(): number {
    return this.#bytes
  }

  push(entry: Entry, now: number): void {
    const { delay, maxBytes, maxEntries } = this.#limits
    const bytes = 2 * entry.line.length + overhead
    if (this.#waiting.length >= maxEntries || this.#bytes + bytes > maxBytes) {
      this.droppedTotal++
      if (this.#dropped.length < maxTold) this.#dropped.push({ time: entry.time, labels: mergedLabels(entry.labels) })
      return
    }
    this.#bytes += bytes
    this.#waiting.push({ entry, bytes, due: now + delay })
  }

  /** Everything, due or not, as it came. */
  takeAll(): Entry[] {
    const taken = this.#waiting
    this.#waiting = []
    this.#bytes = 0
    return taken.map(({ entry }) => entry)
  }

  /** Milliseconds until something may go; undefined when nothing waits. */
  dueIn(now: number): number | undefined {
    const [first] = this.#waiting
    if (first !== undefined) return Math.max(0, first.due - now)
    return this.#dropped.length > 0 ? 0 : undefined
  }

  /**
   * Entries that are due, as many as make one frame: as they came or, where they had to wait, in the order of their times and with those that
   * came later but are earlier.
   */
  take(now: number): Entry[] {
    if (this.#limits.delay > 0) this.#order(now)
    let count = 0
    for (let bytes = 0; count < frameEntries && bytes < frameBytes; count++) {
      const next = this.#waiting[count]
      if (next === undefined || next.due > now) break
      bytes += next.bytes
    }
    const taken = this.#waiting.splice(0, count)
    this.#bytes -= bytesOf(taken)
    return taken.map(({ entry }) => entry)
  }

  /** Puts what is due, and what is earlier than something due, ahead of the rest and in the order of its times. */
  #order(now: number): void {
    const due = this.#waiting.filter((waiting) => waiting.due <= now)
    if (due.length === 0) return
    const byTime = (a: Waiting, b: Waiting) => compareTimes(a.entry.time, b.entry.time)
    const last = due.reduce((a, b) => (byTime(a, b) < 0 ? b : a))
    const ripe = (waiting: Waiting) => waiting.due <= now || byTime(waiting, last) < 0
    this.#waiting = [
      ...this.#waiting
        .filter(ripe)
        .sort(byTime)
        .map((waiting) => ({ ...waiting, due: Math.min(waiting.due, now) })),
      ...this.#waiting.filter((waiting) => !ripe(waiting)),
    ]
  }

  /** What was dropped since the last call. */
  takeDropped(): DroppedEntry[] {
    const dropped = this.#dropped
    if (dropped.length > 0) this.#dropped = []
    return dropped
  }
}

const bytesOf = (waiting: readonly Waiting[]): number => waiting.reduce((sum, { bytes }) => sum + bytes, 0)

/** Orders times given as decimal nanoseconds. */
export function compareTimes(a: string, b: string): number {
  const [left, right] = [BigInt(a), BigInt(b)]
  return left < right ? -1 : left > right ? 1 : 0
}
