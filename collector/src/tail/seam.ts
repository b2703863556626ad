/** Where a source ends and the next one begins. A rotation falls between any two lines, also between those of one record. Pure. */
import type { Generation } from './generation.ts'

/** A chunk's bytes that reach over the end of their source. */
export interface Seam {
  readonly successor: Generation
  /** How many of the bytes are of the first source. */
  readonly bytes: number
}

/**
 * Whether the last record of a source may go on in `successor`: the same container's next file, of which nothing was read yet. A
 * renamed file without one has a successor in which nothing stands yet. All sources are booked in one ledger, whichever aggregator they go to.
 */
export function maySpan(generation: Generation, successor: Generation | undefined): boolean {
  const { name, format } = generation
  if (successor === undefined) return name.rotation !== ''
  if (successor.state === 'done' || successor.position > 0 || successor.limit === 0) return false
  return successor.name.restart === name.restart && successor.format === format
}
