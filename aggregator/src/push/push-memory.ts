/** Memory that pushes take together, each from the first byte of its body until it is durable. Bounded, whatever their heads promise. */
import { PushError } from './push-request.ts'

/** What one push has of it. */
export interface HeldMemory {
  /** Throws {@link PushError} when pushes would have more together than they may; one alone may have as much as it needs. */
  grow(bytes: number): void
  /** Gives all of it back. */
  release(): void
}

export class PushMemory {
  readonly #maxBytes: number
  #held = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get heldBytes(): number {
    return this.#held
  }

  hold(): HeldMemory {
    let own = 0
    return {
      grow: (bytes) => {
        if (this.#held > own && this.#held + bytes > this.#maxBytes)
          throw new PushError(503, 'busy', 'too many pushes are under way, try again')
        own += bytes
        this.#held += bytes
      },
      release: () => {
        this.#held -= own
        own = 0
      },
    }
  }
}
