/**
 * Keeps a collector process that is gone from changing what its successor was told. When a collector asks the ledger, it reads on
 * exactly behind what is accepted, and may join lines differently from then on; chunks of the process before it, which may still lie
 * in a connection's buffers, must not be accepted any more. Nothing of it needs to be durable: a restart ends all connections.
 */
import type { ChunkHeader } from '@tributary/protocol/chunk.ts'
import type { SourceId } from '@tributary/protocol/source.ts'

/** Sources remembered; of the oldest beyond it nothing can be on its way any more. */
const capacity = 200_000

export class SessionFence {
  readonly #sessions = new Map<string, string>()

  /** From now on only chunks of this session are taken for these sources. */
  raise(sources: readonly SourceId[], session: string | undefined): void {
    if (session === undefined) return
    for (const source of sources) {
      const key = source.toString('latin1')
      this.#sessions.delete(key)
      this.#sessions.set(key, session)
    }
    for (const key of this.#sessions.keys()) {
      if (this.#sessions.size <= capacity) break
      this.#sessions.delete(key)
    }
  }

  /** Whether a chunk may be taken. One that tells no session, or of a source nobody asked for, may. */
  lets({ source, seam, session }: Pick<ChunkHeader, 'source' | 'seam' | 'session'>): boolean {
    return this.#isOf(source, session) && (seam === undefined || this.#isOf(seam.source, session))
  }

  #isOf(source: SourceId, session: string | undefined): boolean {
    const known = session === undefined ? undefined : this.#sessions.get(source.toString('latin1'))
    return known === undefined || known === session
  }
}
