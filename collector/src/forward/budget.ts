/** The byte budget of everything that is read and not acknowledged. What it can't grant is not read: the log files are the buffer. */
export class ByteBudget {
  #limit: number
  #used = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** What is taken beyond a smaller limit stays taken. */
  resize(limit: number): void {
    this.#limit = limit
  }

  get limit(): number {
    return this.#limit
  }

  get used(): number {
    return this.#used
  }

  /** There is room for at least one more chunk; it may overshoot by that one chunk. */
  get open(): boolean {
    return this.#used < this.#limit
  }

  /** Takes `bytes` until the returned function is called; calling it twice gives back once. */
  take(bytes: number): () => void {
    this.#used += bytes
    let held = bytes
    return () => {
      this.#used -= held
      held = 0
    }
  }
}
