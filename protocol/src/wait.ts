/** Waiting as what repeats something does it, so that tests can decide when the time is over. */
import { setTimeout as sleep } from 'node:timers/promises'

/** Resolves after so many milliseconds, or as soon as the signal comes: whoever waits looks at it then. Never rejects. */
export type Wait = (ms: number, signal: AbortSignal) => Promise<void>

export const wait: Wait = (ms, signal) => sleep(ms, undefined, { signal }).catch(() => {})
