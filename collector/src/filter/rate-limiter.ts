import type { RateLimit } from '../metadata/log-policy.ts'

interface Bucket {
  lines: number
  /** When `lines` was right, ms. */
  at: number
}

/** Buckets that are remembered; beyond it that of the pod that wrote least recently is forgotten, and begins full. */
const capacity = 4096

/** Token buckets by name, each filled with `linesPerSecond` up to `burst`. The clock is read once per chunk. */
export class RateLimiter {
  readonly #buckets = new Map<string, Bucket>()
  readonly #now: () => number

  /** @param now ms, never going back */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Fills the bucket up to now. It is for the records of one chunk. */
  bucket(name: string, { linesPerSecond, burst }: RateLimit): Bucket {
    const now = this.#now()
    const known = this.#buckets.get(name)
    // Those that are used lately stand last.
    this.#buckets.delete(name)
    if (known === undefined) {
      if (this.#buckets.size >= capacity) this.#buckets.delete(this.#buckets.keys().next().value!)
      const fresh = { lines: burst, at: now }
      this.#buckets.set(name, fresh)
      return fresh
    }
    known.lines = Math.min(burst, known.lines + ((now - known.at) / 1000) * linesPerSecond)
    known.at = now
    this.#buckets.set(name, known)
    return known
  }
}

/** Whether there is room for one more line. */
export function takeLine(bucket: Bucket): boolean {
  if (bucket.lines < 1) return false
  bucket.lines--
  return true
}

export type { Bucket }
