/**
 * Keeps a collector process that is gone from changing what its successor was told. When a collector asks the ledger, it reads on
 * exactly behind what is accepted, and may join lines differently from then on; chunks of the process before it, which may still lie
 * in a connection's buffers, must not be accepted any more. Nothing of it needs to be durable: a restart ends all connections.
 */
import type { ChunkHeader } from '@tributary/protocol/chunk.ts'
import type { SourceId } from '@tributary/protocol/source.ts'

/** Sources remembered; of the oldest beyond it nothing can be on its way any more. */
const capacity = 200_000
/** Sessions remembered; each collector process has one. */
const maxSessions = 10_000

interface Fence {
  readonly session: string
  /** Of the session: sessions count up in the order in which they were first heard of. */
  readonly number: number
}

export class SessionFence {
  /** By source. */
  readonly #fences = new Map<string, Fence>()
  /** Those heard of last at the end. */
  readonly #sessions = new Map<string, number>()
  #heardOf = 0

  /**
   * From now on only chunks of this session are taken for these sources. A query of a process that is gone may be read after its
   * successor's: a session that was heard of before the one a source is held for changes nothing.
   */
  raise(sources: readonly SourceId[], session: string | undefined): void {
    if (session === undefined) return
    const number = this.#numberOf(session)
    for (const source of sources) {
      const key = source.toString('latin1')
      const fence = this.#fences.get(key)
      if (fence !== undefined && fence.number > number) continue
      this.#fences.delete(key)
      this.#fences.set(key, { session, number })
    }
    dropOldest(this.#fences, capacity)
  }

  /** Whether a chunk may be taken. One that tells no session, or of a source nobody asked for, may. */
  lets({ source, seam, session }: Pick<ChunkHeader, 'source' | 'seam' | 'session'>): boolean {
    if (session === undefined) return true
    this.#numberOf(session)
    return this.#isOf(source, session) && (seam === undefined || this.#isOf(seam.source, session))
  }

  #isOf(source: SourceId, session: string): boolean {
    const fence = this.#fences.get(source.toString('latin1'))
    return fence === undefined || fence.session === session
  }

  #numberOf(session: string): number {
    const number = this.#sessions.get(session) ?? ++this.#heardOf
    this.#sessions.delete(session)
    this.#sessions.set(session, number)
    dropOldest(this.#sessions, maxSessions)
    return number
  }
}

function dropOldest(map: Map<string, unknown>, size: number): void {
  for (const key of map.keys()) {
    if (map.size <= size) break
    map.delete(key)
  }
}
