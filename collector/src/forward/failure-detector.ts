/**
 * Whether an aggregator that owes an answer is slow or dead, from how long its silences were before: phi accrual. Of every silence that an answer
 * ended, mean and deviation are kept; the suspicion (phi) of the present one is -log10 of the chance that a silence of this kind lasts even
 * longer. What is short for anyone is never suspicious: a process throttled to 100m of CPU stands still for 90 ms of every 100, and one that
 * collects garbage or waits for its disk for longer. Pure: it is told what passes.
 */
export interface DetectorOptions {
  /** No silence up to this long, ms, is suspicious. */
  readonly floorMs?: number
  /** However slow it was before, one longer than this is. */
  readonly ceilingMs: number
}

/** Silences remembered. */
const samples = 64
/** Eight nines of certainty: one false alarm in years of acknowledgements. */
const suspicious = 8
/** Silences of healthy peers differ by this much at least, ms: the clock that asks is no better. */
const minDeviationMs = 100
const defaultFloorMs = 2000
/**
 * Most that one look adds, ms: who could not look for longer was itself suspended or throttled, and the answers that came meanwhile wait to
 * be read.
 */
const maxStepMs = 500

export class FailureDetector {
  readonly #floorMs: number
  readonly #ceilingMs: number
  readonly #silences: number[] = []
  #next = 0
  #silentMs = 0
  #lookedAt: number | undefined

  constructor({ floorMs = defaultFloorMs, ceilingMs }: DetectorOptions) {
    this.#floorMs = Math.min(floorMs, ceilingMs)
    this.#ceilingMs = ceilingMs
  }

  /** To be called often: `owes` tells whether an answer is due. `now` in ms on any steady clock. */
  look(owes: boolean, now: number): void {
    const step = Math.min(Math.max(now - (this.#lookedAt ?? now), 0), maxStepMs)
    this.#lookedAt = now
    this.#silentMs = owes ? this.#silentMs + step : 0
  }

  /** Something was heard of it. */
  heard(): void {
    if (this.#silentMs === 0) return
    this.#silences[this.#next] = this.#silentMs
    this.#next = (this.#next + 1) % samples
    this.#silentMs = 0
  }

  /** It is another process, or connected anew: how long it was away says nothing of how it answers. */
  restart(): void {
    this.#silentMs = 0
  }

  /** For how long it has owed an answer and given none, ms. */
  get silentMs(): number {
    return this.#silentMs
  }

  get suspect(): boolean {
    if (this.#silentMs <= this.#floorMs) return false
    return this.#silentMs > this.#ceilingMs || this.phi >= suspicious
  }

  /** -log10 of the chance that it is still there: 1 is one in ten, 8 one in a hundred million. */
  get phi(): number {
    const { mean, deviation } = this.#usual()
    const y = (this.#silentMs - this.#floorMs - mean) / deviation
    // The logistic function that comes closest to the normal distribution's.
    const e = Math.exp(-y * (1.5976 + 0.070566 * y * y))
    return -Math.log10(y > 0 ? e / (1 + e) : 1 - 1 / (1 + e))
  }

  #usual(): { mean: number; deviation: number } {
    const all = this.#silences
    if (all.length === 0) return { mean: 0, deviation: minDeviationMs }
    const mean = all.reduce((sum, one) => sum + one, 0) / all.length
    const variance = all.reduce((sum, one) => sum + (one - mean) ** 2, 0) / all.length
    return { mean, deviation: Math.max(Math.sqrt(variance), minDeviationMs) }
  }
}
