/** The tails that are running: how many a tenant may have, and what they are made of. */
import { setTimeout as sleep } from 'node:timers/promises'
import { ParameterError } from '../api/params.ts'
import type { LiveFeed } from './live-feed.ts'

export interface TailConfig {
  readonly maxTails: number
  readonly maxDuration: number
  readonly queueEntries: number
  readonly queueBytes: number
}

export interface TailMetrics {
  setRunning(tails: number): void
  sent(entries: number): void
  dropped(entries: number): void
}

export interface TailsOptions extends TailConfig {
  readonly feed: LiveFeed
  readonly metrics: TailMetrics
  /** Other aggregators bring entries to the same store: those come by asking it. */
  readonly sharedStore: boolean
  /** Everything that is durable now is in the store when the function that this gives returns true. */
  readonly storedMark: () => () => boolean
}

/** How often is looked whether the store has everything, milliseconds. */
const storedTick = 20
/** How long is waited for that: by then something is wrong with the store. */
const storedPatience = 60_000

export class Tails {
  readonly options: TailsOptions
  readonly #running = new Map<string, number>()

  constructor(options: TailsOptions) {
    this.options = options
  }

  /**
   * Counts a tail; returns what ends it.
   *
   * @param tenants as one text
   * @throws ParameterError when there are as many as there may be
   */
  begin(tenants: string): () => void {
    const { feed, maxTails } = this.options
    if (!feed.ready) throw new ParameterError('the store is not open yet')
    const count = (this.#running.get(tenants) ?? 0) + 1
    if (count > maxTails)
      throw new ParameterError(`max concurrent tail requests limit exceeded, count > limit (${count} > ${maxTails})`)
    this.#set(tenants, count)
    let ended = false
    return () => {
      if (!ended) this.#set(tenants, this.#running.get(tenants)! - 1)
      ended = true
    }
  }

  /** Resolves when everything that is durable now is in the store. */
  async untilStored(signal: AbortSignal): Promise<void> {
    const stored = this.options.storedMark()
    const until = performance.now() + storedPatience
    while (!stored()) {
      if (performance.now() > until) throw new Error('the store is behind: what was received is not in it yet')
      await sleep(storedTick, undefined, { signal })
    }
  }

  #set(tenants: string, count: number): void {
    if (count === 0) this.#running.delete(tenants)
    else this.#running.set(tenants, count)
    let all = 0
    for (const running of this.#running.values()) all += running
    this.options.metrics.setRunning(all)
  }
}
