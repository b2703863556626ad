/** What went wrong since the start, to be asked for later: a bounded memory. What it forgets is in the collector's own log. */
import type { ByteRange } from '@tributary/protocol/ranges.ts'

export interface Gap {
  readonly path: string
  readonly kind: 'lost' | 'filtered'
  readonly reason: string
  readonly range: ByteRange
}

export interface Trouble {
  readonly path: string
  readonly text: string
  /** Ms on the monotonic clock. */
  readonly at: number
}

/** Of each kind; with paths of usual length well under a megabyte. */
const capacity = 1000

export class Journal {
  readonly #gaps: Gap[] = []
  /** The newest of each path, in the order in which they came. */
  readonly #troubles = new Map<string, Trouble>()

  gap(gap: Gap): void {
    this.#gaps.push(gap)
    if (this.#gaps.length > capacity) this.#gaps.shift()
  }

  trouble(path: string, text: string, at: number): void {
    this.#troubles.delete(path)
    this.#troubles.set(path, { path, text, at })
    if (this.#troubles.size > capacity) this.#troubles.delete(this.#troubles.keys().next().value!)
  }

  /** The path could be read after all. */
  mended(path: string): void {
    if (this.#troubles.size > 0) this.#troubles.delete(path)
  }

  gaps(): readonly Gap[] {
    return this.#gaps
  }

  troubles(): Iterable<Trouble> {
    return this.#troubles.values()
  }

  troubleOf(path: string): Trouble | undefined {
    return this.#troubles.get(path)
  }
}
