/** How long to wait before the n-th attempt: doubling, capped, with full jitter so that a fleet doesn't come back in step. Pure. */
export function retryDelay(attempt: number, random: number, baseMs = 200, capMs = 15_000): number {
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 20))
  return ceiling * (0.5 + random / 2)
}
