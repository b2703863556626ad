/** Streams that had a record lately. In two halves of time, so that forgetting costs nothing: between half an hour and an hour back. */

const half = 1_800_000

export class ActiveStreams {
  #now = new Set<bigint | string>()
  #before = new Set<bigint | string>()
  #turnedAt: number

  /** @param now milliseconds of any clock that only goes forward */
  constructor(now: number) {
    this.#turnedAt = now
  }

  get size(): number {
    return this.#now.size + this.#before.size
  }

  /** Notes that a stream has records. False when it is a new one and there are `most` already; nothing is noted then. */
  touch(stream: bigint | string, most: number, now: number): boolean {
    this.#turn(now)
    if (this.#now.has(stream)) return true
    if (!this.#before.delete(stream) && this.size >= most) return false
    this.#now.add(stream)
    return true
  }

  #turn(now: number): void {
    if (now - this.#turnedAt < half) return
    this.#before = now - this.#turnedAt < 2 * half ? this.#now : new Set()
    this.#now = new Set()
    this.#turnedAt = now
  }
}
