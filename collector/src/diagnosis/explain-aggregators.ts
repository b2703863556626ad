/** What is said about the aggregators: which are away, suspected or refused, and why a source goes to the one it goes to. Pure. */
import { ago, type Finding, fine, notice, problem } from './finding.ts'
import type { AggregatorSnapshot, CollectorSnapshot, RouteSnapshot } from './snapshot.ts'

/** What concerns all logs. */
export function explainAggregators({ aggregators, refusal, unresolved }: CollectorSnapshot): Finding[] {
  const usable = aggregators.some(({ state }) => state === 'in_use')
  return [
    ...unresolved.map(({ address, reason, known }) =>
      (known === 0 && !usable ? problem : notice)(
        'unresolved',
        `the name in ${address} does not resolve (${reason}): ${known === 0 ? 'no address of it is known' : `the ${known} addresses it had are kept`}; trying again for ever`,
      ),
    ),
    ...(refusal === undefined ? [] : [problem('aggregators_refused', refusal)]),
    ...aggregators.flatMap((one) => explainOne(one, usable)),
  ]
}

function explainOne(
  { address, state, listed, failure, waiting, silentFor }: AggregatorSnapshot,
  others: boolean,
): Finding[] {
  const left = listed ? '' : ', which is not among the addresses any more'
  const kept = waiting === 0 ? '' : `; ${waiting} messages wait for it`
  // Where others take its share, one that is away holds up no more than what waits for it.
  const level = others ? notice : problem
  if (state === 'away')
    return [
      level(
        'aggregator_away',
        `not connected to the aggregator ${address}${left} (${ago(silentFor)} since its last answer): ${failure === undefined ? '' : `${failure}; `}trying again for ever${others ? `; others take its share${kept}` : ''}`,
      ),
    ]
  if (state === 'suspect')
    return [
      level(
        'aggregator_suspect',
        `the aggregator ${address}${left}${left && ','} owes an answer for longer than ever before${kept}`,
      ),
    ]
  return []
}

/** Which aggregator a source goes to, and why it is that one. */
export function explainRoute(route: RouteSnapshot | undefined): Finding[] {
  if (route === undefined) return []
  const { address, why, chunks, others, next } = route
  const reasons: Record<RouteSnapshot['why'], string> = {
    only: 'it is the only one in use',
    hash: `by its hash, of ${others} in use`,
    in_flight: `${chunks} of its chunks wait there; when they are acknowledged it goes to ${next}`,
    none_usable: 'none answers at the moment',
  }
  return [fine('route', `it is sent to ${address}: ${reasons[why]}`)]
}
