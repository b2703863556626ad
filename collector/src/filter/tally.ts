/** What the filters of one chunk count, before it goes to the metrics: the filters may work in another thread. */
export interface Tally {
  /** Lines that did not parse, by parser. */
  readonly parseErrors: Map<string, number>
  /** What was redacted, by rule. */
  readonly redactions: Map<string, number>
  /** Records over the rate of their pod. */
  rateLimited: number
  /** Lines of which a part was not examined, as there is a limit of length and of time. */
  withheld: number
  /** Records that a module threw at. */
  moduleErrors: number
  /** What it threw last. */
  moduleError: string | undefined
}

export function emptyTally(): Tally {
  return {
    parseErrors: new Map(),
    redactions: new Map(),
    rateLimited: 0,
    withheld: 0,
    moduleErrors: 0,
    moduleError: undefined,
  }
}

export function isEmpty({ parseErrors, redactions, rateLimited, withheld, moduleErrors }: Tally): boolean {
  return parseErrors.size + redactions.size + rateLimited + withheld + moduleErrors === 0
}

export function resetTally(tally: Tally): void {
  if (tally.parseErrors.size > 0) tally.parseErrors.clear()
  if (tally.redactions.size > 0) tally.redactions.clear()
  tally.rateLimited = tally.withheld = tally.moduleErrors = 0
  tally.moduleError = undefined
}

export function countOne(counts: Map<string, number>, label: string): void {
  counts.set(label, (counts.get(label) ?? 0) + 1)
}
