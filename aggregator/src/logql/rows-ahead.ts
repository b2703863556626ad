/** The rows of a statement that is asked before it is its turn, beside another whose rows may be enough. */

export class RowsAhead {
  readonly #abort = new AbortController()
  readonly #rows: AsyncIterator<Buffer>
  #first: Promise<IteratorResult<Buffer>> | undefined

  /** Asks at once. @param ask ends the statement when its signal fires */
  constructor(ask: (signal: AbortSignal) => AsyncIterable<Buffer>) {
    this.#rows = rowsOf(ask, this.#abort.signal)
    this.#first = this.#rows.next()
    this.#first.catch(() => {}) // is told to whoever takes the rows
  }

  /** The rows, once. Leaving the loop ends the statement. */
  async *take(): AsyncGenerator<Buffer, void, undefined> {
    try {
      for (let next = this.#first; next !== undefined; next = this.#rows.next()) {
        const { done, value } = await next
        if (done) return
        yield value
      }
    } finally {
      this.cancel()
    }
  }

  /** Nobody wants the rows any more, or they were taken. */
  cancel(): void {
    this.#abort.abort()
    this.#first = undefined
    this.#rows.return?.().catch(() => {}) // ends with the statement
  }
}

/** An error of asking is one of the rows too. */
async function* rowsOf(
  ask: (signal: AbortSignal) => AsyncIterable<Buffer>,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  yield* ask(signal)
}
