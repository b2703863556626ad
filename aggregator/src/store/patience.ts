/** How long an answer is waited for. A store that is slower than that, again and again, gets more time: else nothing would ever arrive. */
import { StoreError } from './error.ts'

/** The time doubles up to so many times the first. */
const most = 8

export class Patience {
  readonly #first: number | undefined
  #factor = 1

  /** @param first milliseconds; undefined: as long as it takes */
  constructor(first: number | undefined) {
    this.#first = first
  }

  /** Rejects with {@link StoreError} `unavailable` when `work` takes too long; its signal has fired then, or when `signal` did. */
  async run<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal | undefined) => Promise<T>): Promise<T> {
    if (this.#first === undefined) return work(signal)
    const time = this.#first * this.#factor
    const late = AbortSignal.timeout(time)
    try {
      const result = await work(signal === undefined ? late : AbortSignal.any([late, signal]))
      this.#factor = 1
      return result
    } catch (cause) {
      if (!late.aborted || signal?.aborted) throw cause
      this.#factor = Math.min(most, this.#factor * 2)
      throw new StoreError('unavailable', `the store does not answer: no answer within ${time / 1000} s`, undefined, {
        cause,
      })
    }
  }
}
