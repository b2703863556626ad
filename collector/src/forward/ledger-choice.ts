/**
 * Which ledger a collector sends to, of those that the aggregators it finds keep. Chunks may move between aggregators of one ledger only:
 * another would take as new what the first has accepted. So a collector stays with one ledger for as long as anyone may still keep it. Pure.
 */
export interface LedgerView {
  /** It is among the present addresses. */
  readonly listed: boolean
  /** As it told last; undefined as long as it never answered. */
  readonly identity: { readonly ledger: string; readonly shared: boolean } | undefined
  /** It could not be reached at least once. */
  readonly tried: boolean
  /** For how long it has owed an answer, ms. */
  readonly silentMs: number
}

export interface ChoiceTerms {
  /** How long the collector has been looking for aggregators, ms. */
  readonly waitedMs: number
  /** Silent for this long one counts as gone, ms. */
  readonly takeoverAfter: number
}

/** At the first start, how long an aggregator may take to answer before one that did is taken, ms. */
const patienceMs = 2000

/** The ledger to use from now on; undefined as long as none is known. `views` in the order of the configuration. */
export function chooseLedger(
  current: string | undefined,
  views: readonly LedgerView[],
  terms: ChoiceTerms,
): string | undefined {
  const offered = views.filter(({ listed, identity }) => listed && identity !== undefined).map((one) => one.identity!)
  if (current !== undefined && views.some((view) => mayKeep(view, current, offered.some(isShared), terms)))
    return current
  if (current === undefined && !isSettled(views, offered.some(isShared), terms)) return undefined
  return bestOf(offered) ?? current
}

const isShared = ({ shared }: { readonly shared: boolean }) => shared

/** Whether this aggregator keeps the ledger, or may turn out to once it answers. */
function mayKeep(
  { listed, identity, silentMs }: LedgerView,
  ledger: string,
  sharedOffered: boolean,
  { takeoverAfter }: ChoiceTerms,
): boolean {
  const gone = silentMs >= takeoverAfter
  if (identity !== undefined) return identity.ledger === ledger && (listed || !gone)
  // One that never answers must not keep a collector from a ledger that is made for several.
  return listed && !(sharedOffered && gone)
}

/** Nothing better is to be expected. */
function isSettled(views: readonly LedgerView[], sharedOffered: boolean, { waitedMs }: ChoiceTerms): boolean {
  if (sharedOffered || waitedMs >= patienceMs) return true
  return views.every(({ listed, identity, tried }) => !listed || identity !== undefined || tried)
}

/** A shared one before others, the one that most keep before others, the first before others. */
function bestOf(offered: readonly { readonly ledger: string; readonly shared: boolean }[]): string | undefined {
  const keepers = (ledger: string) => offered.filter((one) => one.ledger === ledger).length
  const [best] = offered.toSorted(
    (a, b) => Number(b.shared) - Number(a.shared) || keepers(b.ledger) - keepers(a.ledger),
  )
  return best?.ledger
}
