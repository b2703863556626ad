/**
 * Which aggregator a source goes to: rendezvous hashing, so that every source sticks to one of them and the arrival or departure of one
 * moves only its share. Each aggregator draws a number for the source from an exponential distribution with its weight as the rate;
 * the smallest wins, and wins in proportion to the weight. Pure.
 */
import { createHash } from 'node:crypto'
import type { SourceId } from '@tributary/protocol/source.ts'

/** One that may be drawn. */
export interface Candidate {
  /** Of its name: {@link seedOf}. */
  readonly seed: number
  /** Greater than 0. */
  readonly weight: number
}

export function seedOf(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32LE(0)
}

/** Index of the winner; -1 of none. */
export function routeOf(source: SourceId, candidates: readonly Candidate[]): number {
  if (candidates.length < 2) return candidates.length - 1
  // The last eight bytes: a source of relayed messages begins with zeros.
  const own = mix(source.readUInt32LE(8)) ^ source.readUInt32LE(12)
  let best = -1
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < candidates.length; i++) {
    const { seed, weight } = candidates[i]!
    const drawn = (mix(mix(own) ^ seed) + 0.5) / 2 ** 32
    const time = -Math.log(drawn) / weight
    if (time < least) [best, least] = [i, time]
  }
  return best
}

/** Spreads every bit of a 32-bit number over all of them (the finalizer of MurmurHash3). */
function mix(value: number): number {
  let h = value ^ (value >>> 16)
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
