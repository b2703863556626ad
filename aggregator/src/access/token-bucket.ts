/** Bytes a second with a burst. Pure but for its state: whoever asks brings the time. */
/** Nobody waits longer for what others sent, seconds. */
const mostOwed = 60

export class TokenBucket {
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #filledAt: number

  /**
   * @param perSecond bytes a second
   * @param now milliseconds of any clock that only goes forward
   */
  constructor(perSecond: number, burst: number, now: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
    this.#filledAt = now
  }

  /** Takes all of it or nothing. */
  take(bytes: number, now: number): boolean {
    this.#fill(now)
    if (bytes > this.#tokens) return false
    this.#tokens -= bytes
    return true
  }

  /** Takes what has arrived already, on credit where need be; milliseconds until nothing is owed. */
  owe(bytes: number, now: number): number {
    this.#fill(now)
    this.#tokens = Math.max(this.#tokens - bytes, -mostOwed * this.#perSecond)
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#perSecond) * 1000
  }

  #fill(now: number): void {
    const elapsed = Math.max(0, now - this.#filledAt)
    this.#filledAt = now
    this.#tokens = Math.min(this.#burst, this.#tokens + (elapsed / 1000) * this.#perSecond)
  }
}
