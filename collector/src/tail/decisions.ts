/** Whether each log is read, and how, where that is not known or may have changed. */

import type { Family } from './family.ts'
import type { InputProblems } from './input-problems.ts'
import type { Reader } from './reader.ts'
import type { Decision } from './treatment.ts'
import type { Turns } from './turns.ts'

export interface DecisionsOptions {
  families(): Iterable<Family>
  /** Whether and how a log is read; the same object as before where nothing changed. */
  decide(family: Family, now: number): Decision
  readonly reader: Reader
  readonly turns: Turns
  readonly problems: InputProblems
  /** The log is to be looked at soon, whenever it was last. */
  pollSoon(family: Family): void
}

export class Decisions {
  readonly #options: DecisionsOptions
  /** There is a log to be decided about. */
  #due = false

  constructor(options: DecisionsOptions) {
    this.#options = options
  }

  /** A log is there about which nothing was decided. */
  added(): void {
    this.#due = true
  }

  /** What the decision about a log depends on has changed. */
  reconsider(concerns: (family: Family) => boolean = () => true): void {
    for (const family of this.#options.families()) if (concerns(family)) family.undecided = true
    this.#due = true
  }

  /** Decides what is to be decided; true when that changed something. */
  decide(now: number): boolean {
    if (!this.#due) return false
    this.#due = false
    let changed = false
    for (const family of this.#options.families()) {
      if (!family.undecided) continue
      const before = family.decision
      if (!family.reading) family.decision = this.#options.decide(family, now)
      const { decision } = family
      this.#due ||= family.undecided
      if (decision === undefined || decision === before) continue
      changed = true
      if (decision.verdict === 'excluded') this.#leaveOut(family)
      else if (before?.verdict === 'excluded') this.#takeUp(family)
    }
    return changed
  }

  /** Stops reading a log that was read until now. What of it is known and unread is left out. */
  #leaveOut(family: Family): void {
    for (const generation of family.generations) {
      generation.close()
      if (generation.state !== 'reading') continue
      this.#options.reader.skip(generation, generation.size, { kind: 'filtered', reason: 'excluded' })
    }
  }

  /** Reads on in a log that was left out for a while. */
  #takeUp(family: Family): void {
    this.#options.pollSoon(family)
    family.relist()
    for (const generation of family.generations) {
      if (generation.state !== 'reading' || generation.name.gzip) continue
      try {
        this.#options.turns.open(generation)
      } catch (error) {
        this.#options.problems.tell(generation.path, 'unreadable', error as Error)
      }
    }
  }
}
