/** Which aggregators take sources at the moment, of those that keep the ledger in use. Pure. */
export interface Standing {
  /** It is among the present addresses. */
  readonly listed: boolean
  /** Connected, and not suspected to be dead. */
  readonly usable: boolean
  readonly standby: boolean
  readonly weight: number
}

/**
 * Those that are listed and usable; of those that stand by as many as make up for the weight that is missing. Where none is usable, what comes
 * waits at those that are listed; where none is listed, at those that were.
 */
export function candidatesOf<S extends Standing>(members: readonly S[]): S[] {
  const listed = members.filter((one) => one.listed)
  const usable = withStandbys(listed)
  if (usable.length > 0) return usable
  const leaving = members.filter((one) => one.usable)
  if (leaving.length > 0) return leaving
  if (listed.length === 0) return [...members]
  const active = listed.filter((one) => !one.standby)
  return active.length > 0 ? active : listed
}

function withStandbys<S extends Standing>(listed: readonly S[]): S[] {
  const active = listed.filter((one) => !one.standby)
  const taken = active.filter((one) => one.usable)
  let missing = weightOf(active) - weightOf(taken)
  for (const one of listed) {
    const needed = missing > 0 || active.length === 0
    if (!one.standby || !one.usable || !needed) continue
    taken.push(one)
    missing -= one.weight
  }
  return taken
}

function weightOf(all: readonly Standing[]): number {
  return all.reduce((sum, { weight }) => sum + weight, 0)
}
