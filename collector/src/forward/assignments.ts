/**
 * Where the chunks of a source are that wait for their acknowledgement: as long as there are any the source stays there, so that its chunks
 * arrive in their order. Whoever has none in flight goes where the hash says. Bounded by what is in flight. Pure.
 */
import type { SourceId } from '@tributary/protocol/source.ts'

interface Assignment<To> {
  readonly to: To
  chunks: number
}

export class Assignments<To> {
  readonly #bySource = new Map<string, Assignment<To>>()

  /** Where a source's chunks in flight are; undefined when there are none. */
  of(source: SourceId): To | undefined {
    return this.#bySource.get(keyOf(source))?.to
  }

  /** Chunks of a source that are in flight. */
  inFlight(source: SourceId): number {
    return this.#bySource.get(keyOf(source))?.chunks ?? 0
  }

  /** A chunk of the source goes to `to`, where those before it are. */
  sent(source: SourceId, to: To): void {
    const key = keyOf(source)
    const found = this.#bySource.get(key)
    if (found?.to === to) found.chunks++
    else this.#bySource.set(key, { to, chunks: 1 + (found?.chunks ?? 0) })
  }

  /** One was acknowledged, or taken back. */
  over(source: SourceId): void {
    const key = keyOf(source)
    const found = this.#bySource.get(key)
    if (found !== undefined && --found.chunks === 0) this.#bySource.delete(key)
  }

  get size(): number {
    return this.#bySource.size
  }
}

function keyOf(source: SourceId): string {
  return source.toString('latin1')
}
