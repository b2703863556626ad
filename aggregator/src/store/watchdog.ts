/** Notices an engine that lives but does not answer, so that it can be killed: nothing else would ever end that. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface WatchdogTimes {
  /** Between two questions, milliseconds. */
  readonly interval: number
  /**
   * How long an engine may be silent, milliseconds. A process that gets little CPU stalls for seconds; one that has not run a
   * `SELECT 1` for this long, with a session kept for such things, never will.
   */
  readonly patience: number
}

export const defaultTimes: WatchdogTimes = { interval: 5_000, patience: 60_000 }

/** Resolves true once the engine at `url` has been silent for too long, and false when `signal` fires. */
export async function isSilent(
  url: string,
  { interval, patience }: WatchdogTimes,
  signal: AbortSignal,
): Promise<boolean> {
  for (let heard = performance.now(); ; ) {
    // Cut short by the signal, which is looked at below.
    await sleep(interval, undefined, { signal, ref: false }).catch(() => {})
    if (signal.aborted) return false
    if (await answers(url, patience, signal)) heard = performance.now()
    else if (performance.now() - heard > patience) return !signal.aborted
  }
}

async function answers(url: string, patience: number, signal: AbortSignal): Promise<boolean> {
  try {
    const response = await fetch(`${url}/ping`, { signal: AbortSignal.any([signal, AbortSignal.timeout(patience)]) })
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false // how often in a row is counted by the caller
  }
}
