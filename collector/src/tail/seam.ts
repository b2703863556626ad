/** Where a source ends and the next one begins. A rotation falls between any two lines, also between those of one record. Pure. */
import type { Generation } from './generation.ts'

/** A chunk's bytes that reach over the end of their source. */
export interface Seam {
  readonly successor: Generation
  /** How many of the bytes are of the first source. */
  readonly bytes: number
}

/** Whether the last record of a source may go on in `successor`: the same container's next file, of which nothing was read yet. */
export function maySpan(generation: Generation, successor: Generation | undefined): successor is Generation {
  if (successor === undefined || successor.state === 'done') return false
  const sameLog = successor.name.restart === generation.name.restart && successor.format === generation.format
  return sameLog && successor.position === 0 && successor.limit > 0
}
