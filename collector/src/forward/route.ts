/**
 * Which aggregator a source goes to: rendezvous hashing, so that every source sticks to one address and adding or removing an
 * address moves only that address's share. Pure.
 */
import { createHash } from 'node:crypto'
import type { SourceId } from '@tributary/protocol/source.ts'

export function routeOf(source: SourceId, addresses: readonly string[]): number {
  let best = 0
  let bestWeight = -1
  for (const [i, address] of addresses.entries()) {
    const weight = createHash('sha256').update(source).update(address).digest().readUIntBE(0, 6)
    if (weight > bestWeight) [best, bestWeight] = [i, weight]
  }
  return best
}

/** The preferred one of the aggregators, or the next that is connected, if any is. */
export function connectedRoute(preferred: number, senders: readonly { readonly connected: boolean }[]): number {
  const first = preferred % senders.length
  for (let i = 0; i < senders.length; i++) {
    const candidate = (first + i) % senders.length
    if (senders[candidate]!.connected) return candidate
  }
  return first
}
