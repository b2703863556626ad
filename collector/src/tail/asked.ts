import type { AskedSource } from '@tributary/protocol/chunk.ts'
import type { Generation } from './generation.ts'

/** What the ledger is asked about a source. */
export function askedOf({ id, frontier }: Generation): AskedSource {
  return { source: id, keep: frontier.offset }
}
