/** A sleep that can be cut short, also before it began: what happened in between is not missed. */
export class Wake {
  #pending = false
  #resolve: (() => void) | undefined

  now(): void {
    this.#pending = true
    this.#resolve?.()
  }

  /** Resolves after `ms`, or at once when {@link now} was called since the last time this returned. */
  async after(ms: number): Promise<void> {
    if (!this.#pending) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms)
        this.#resolve = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#resolve = undefined
    this.#pending = false
  }
}
