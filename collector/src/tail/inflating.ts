/**
 * How many compressed files are read at a time. Each takes memory for as long as it is in the middle: a node with hundreds of logs has
 * hundreds of them at the first start. One that has a place keeps it to its end, as going on later costs a start from the beginning.
 */
import type { Generation } from './generation.ts'
import { GzipFile } from './log-file.ts'

const places = 4
/** Who had no turn for this long, ms, gives up its place: its aggregator is away, or its log is not read at present. */
const idleMs = 5000

export class Inflating {
  /** When each had its last turn, ms on the monotonic clock; the longest ago first. */
  readonly #turns = new Map<Generation, number>()

  /** Whether a generation may be read now, as far as memory goes. */
  admit(generation: Generation, now: number): boolean {
    if (!isInflated(generation)) return true
    if (!this.#turns.delete(generation) && this.#turns.size >= places && !this.#makeRoom(now)) return false
    this.#turns.set(generation, now)
    return true
  }

  #makeRoom(now: number): boolean {
    for (const [one, at] of this.#turns) {
      if (isInflated(one) && one.file !== undefined && now - at < idleMs) continue
      if (one.file instanceof GzipFile && !one.saving) one.file.rest()
      this.#turns.delete(one)
      return true
    }
    return false
  }
}

function isInflated({ name, file, state, ended, unread }: Generation): boolean {
  // What was read to its end gives up its place at once, though its last chunk may be on its way.
  if (state === 'done' || (ended && unread === 0)) return false
  return name.gzip && (file === undefined || file.gzip)
}
