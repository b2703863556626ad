/**
 * One client's tail: what the store has, then what becomes durable. It listens first and asks the store once that has everything from before
 * it listened; what it heard meanwhile and the store gave it too is told apart by source and offset. So nothing is told twice or left out at
 * the seam.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { DroppedEntry } from '../api/shapes.ts'
import { comparePlaces, type Entry } from '../logql/logs.ts'
import type { LiveFeed, LiveRow } from './live-feed.ts'
import type { TailPipeline } from './tail-pipeline.ts'
import { compareTimes, type QueueLimits, TailQueue } from './tail-queue.ts'

export interface TailerOptions {
  readonly feed: Pick<LiveFeed, 'listen'>
  readonly pipeline: TailPipeline
  readonly limits: QueueLimits
  /** Resolves when all that is durable now is in the store. */
  readonly untilStored: (signal: AbortSignal) => Promise<void>
  /** The newest entries of the store, oldest first. */
  readonly history: (signal: AbortSignal) => Promise<readonly Entry[]>
  /** What the store got lately, whoever brought it. Where several aggregators share a store, that is how the others' entries come. */
  readonly recent?: ((signal: AbortSignal) => Promise<readonly Entry[]>) | undefined
  /** Resolves when there is room for the next frame. */
  readonly send: (entries: readonly Entry[], dropped: readonly DroppedEntry[]) => Promise<void>
  readonly onDropped: (entries: number) => void
}

/** How long entries are gathered for a frame, milliseconds. */
const gather = 20
const historyFrame = 500
/** How often the store is asked for other aggregators' entries, milliseconds. */
const pollEvery = 2000
/** Entries that are remembered, so that they are not shown again when the store has them. */
const maxSeen = 50_000

export class Tailer {
  readonly #options: TailerOptions
  readonly #queue: TailQueue
  #wake = () => {}
  #toldDropped = 0
  /** Set once the store did not answer. */
  #failure: { readonly reason: unknown } | undefined
  readonly #seen = new Seen()

  constructor(options: TailerOptions) {
    this.#options = options
    this.#queue = new TailQueue(options.limits)
  }

  /** Until the signal, or until something goes wrong; throws then. */
  async run(signal: AbortSignal): Promise<never> {
    const { feed, history, pipeline, recent, send, untilStored } = this.#options
    const stop = feed.listen({ wants: (stream) => pipeline.wants(stream), take: (row) => this.#take(row) })
    const wake = () => this.#wake()
    signal.addEventListener('abort', wake)
    try {
      await untilStored(signal)
      // What is there before is history, shown or beyond its limit.
      for (const { place } of (await recent?.(signal)) ?? []) this.#seen.add(place)
      const begin = inOrder(await history(signal), this.#queue.takeAll())
      if (recent !== undefined) for (const { place } of begin) this.#seen.add(place)
      this.#poll(signal).catch((reason) => {
        this.#failure = { reason } // looked at with the next frame
        this.#wake()
      })
      for (let at = 0; at < begin.length; at += historyFrame) {
        signal.throwIfAborted()
        await send(begin.slice(at, at + historyFrame), [])
      }
      // No race with the polling: a promise that is pending remembers every race that it ran.
      for (;;) await this.#sendNext(signal)
    } finally {
      signal.removeEventListener('abort', wake)
      stop()
    }
  }

  #take(row: LiveRow): void {
    const entry = this.#options.pipeline.run(row)
    if (entry === undefined) return
    if (this.#options.recent !== undefined) this.#seen.add(entry.place)
    this.#queue.push(entry, performance.now())
    this.#wake()
  }

  /** Rejects when the store does not answer, or with the signal. */
  async #poll(signal: AbortSignal): Promise<void> {
    const { recent } = this.#options
    if (recent === undefined) return
    for (;;) {
      await sleep(pollEvery, undefined, { signal })
      for (const entry of await recent(signal))
        if (this.#seen.add(entry.place)) this.#queue.push(entry, performance.now())
      this.#wake()
    }
  }

  async #sendNext(signal: AbortSignal): Promise<void> {
    await this.#due(signal)
    signal.throwIfAborted()
    if (this.#failure) throw this.#failure.reason
    const entries = this.#queue.take(performance.now())
    const dropped = this.#queue.takeDropped()
    const total = this.#queue.droppedTotal
    if (total > this.#toldDropped) this.#options.onDropped(total - this.#toldDropped)
    this.#toldDropped = total
    if (entries.length > 0 || dropped.length > 0) await this.#options.send(entries, dropped)
  }

  /** Waits until something may go, and a little longer for what comes with it. */
  async #due(signal: AbortSignal): Promise<void> {
    for (let due = this.#queue.dueIn(performance.now()); due !== 0; due = this.#queue.dueIn(performance.now())) {
      if (signal.aborted || this.#failure) return
      await new Promise<void>((resolve) => {
        const timer = due === undefined ? undefined : setTimeout(resolve, due)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      this.#wake = () => {}
      await sleep(gather)
    }
  }
}

/** History and what was heard while it was read, each entry once, by time. */
function inOrder(history: readonly Entry[], heard: readonly Entry[]): Entry[] {
  const shown = new Set(history.map(({ place }) => place))
  return [...history, ...heard.filter(({ place }) => !shown.has(place))].sort(
    (a, b) => compareTimes(a.time, b.time) || comparePlaces(a.place, b.place),
  )
}

/** Places of entries that were shown lately, or need not be. */
class Seen {
  readonly #places = new Set<string>()

  /** False when it was there. */
  add(place = ''): boolean {
    if (this.#places.has(place)) return false
    this.#places.add(place)
    if (this.#places.size > maxSeen) this.#places.delete(this.#places.values().next().value!)
    return true
  }
}
