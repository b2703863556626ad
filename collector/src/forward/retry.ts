/**
 * How long to wait before the n-th attempt, ms: doubling up to the cap, of which the upper half is by chance, so that a fleet doesn't come back in step. The
 * cap is what an aggregator that is back may go on being missed for. Pure.
 *
 * @param random from 0 to below 1
 */
export function retryDelay(attempt: number, random: number, baseMs = 200, capMs = 5000): number {
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 20))
  return ceiling * (0.5 + random / 2)
}
