/** How a problem that repeats is kept from flooding a process's log. */

/** A cause is told at most this often, in milliseconds. */
const interval = 10_000

/**
 * Lets one message of each cause through per interval, with the number of those held back since. Causes are a bounded set: reasons,
 * never something that a peer made up.
 */
export class RepeatFilter {
  readonly #now: () => number
  readonly #causes = new Map<string, { until: number; held: number }>()

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** Calls `tell` with how many were held back, or holds this one back too. */
  pass(cause: string, tell: (heldBack: number) => void): void {
    const known = this.#causes.get(cause)
    const now = this.#now()
    if (known !== undefined && now < known.until) {
      known.held++
      return
    }
    this.#causes.set(cause, { until: now + interval, held: 0 })
    tell(known?.held ?? 0)
  }
}
