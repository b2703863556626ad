/** Which of several addresses of one store to try, in which order. Pure: what happened and when is told. */

/** How long an address that failed is left for later: from, to, milliseconds. Doubled with each failure. */
const shortest = 1_000
const longest = 30_000

interface State {
  failures: number
  /** Before it, the others are tried first. */
  heldUntil: number
}

export class EndpointOrder {
  readonly #states: readonly State[]
  /** The one in use: staying with it keeps what its caches hold, and reads what was written there. */
  #current: number

  /** @param first where to begin, so that several aggregators spread over the addresses */
  constructor(count: number, first = 0) {
    this.#states = Array.from({ length: count }, () => ({ failures: 0, heldUntil: 0 }))
    this.#current = first
  }

  /** All of them: those that work first, the one in use before the others; then those that failed, first whose time ends first. */
  order(now: number): number[] {
    const held = (index: number) => Math.max(0, this.#states[index]!.heldUntil - now)
    const distance = (index: number) => (index - this.#current + this.#states.length) % this.#states.length
    return this.#states.map((_, index) => index).sort((a, b) => held(a) - held(b) || distance(a) - distance(b))
  }

  failed(index: number, now: number): void {
    const state = this.#states[index]!
    state.heldUntil = now + Math.min(longest, shortest * 2 ** state.failures)
    state.failures++
  }

  /** It did what it was asked, and is used from now on. */
  used(index: number): void {
    this.answered(index)
    this.#current = index
  }

  /** It works. What is in use stays. */
  answered(index: number): void {
    const state = this.#states[index]!
    state.failures = 0
    state.heldUntil = 0
  }

  /** How many did not fail the last time. */
  get healthy(): number {
    return this.#states.filter(({ failures }) => failures === 0).length
  }
}
