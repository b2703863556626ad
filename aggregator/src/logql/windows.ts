/**
 * How entries fall into the windows of a range aggregation. The window of the step at time t is (t - range, t].
 *
 * Entries are put into buckets, and windows together from buckets. With n = ts - (first step - range) - 1, the window of step k holds n
 * from k*step up to, not including, k*step + range. So its edges lie where n mod step is 0 or (range mod step), and two buckets for each
 * step are enough to be exact, whatever the two durations are.
 */
import type { Parameters } from './sql.ts'

/** The steps at which a metric query is evaluated, nanoseconds: start, start + step, … */
export interface Steps {
  readonly start: bigint
  /** Positive; irrelevant when there is one point. */
  readonly step: bigint
  readonly points: number
}

export interface Windows {
  /** The time of n = 0. */
  readonly origin: bigint
  /** Of the last entry that any window holds. */
  readonly last: bigint
  readonly step: bigint
  readonly range: bigint
  readonly points: number
}

export function windowsOf(range: bigint, offset: bigint, steps: Steps): Windows {
  const first = steps.start - offset
  // A single point is at the end of its window however long its step is, and with one as long there is one bucket.
  const step = steps.points === 1 && range > steps.step ? range : steps.step
  return {
    origin: first - range + 1n,
    last: first + BigInt(steps.points - 1) * steps.step,
    step,
    range,
    points: steps.points,
  }
}

/**
 * The bucket of a row, and what rows must meet to be in any window.
 *
 * @param time the expression of a row's time, nanoseconds since 1970
 */
export function bucketSql(
  parameters: Parameters,
  { origin, step, range }: Windows,
  time = 'toUnixTimestamp64Nano(ts)',
) {
  const n = `(${time} - ${parameters.int(origin)})`
  const phase = range % step
  const place = `${n} % ${parameters.int(step)}`
  const half = phase === 0n ? '0' : `(${place} >= ${parameters.int(phase)})`
  return {
    bucket: `2 * intDiv(${n}, ${parameters.int(step)}) + ${half}`,
    conditions: range < step ? [`${place} < ${parameters.int(range)}`] : [],
  }
}

/** The steps whose windows hold a bucket: a run, as one of the ends belongs to the next window already. */
export class BucketSteps {
  readonly #points: number
  /** How many steps before its own a bucket reaches back to: of the bucket up to the phase, and of the one after it. */
  readonly #reach: readonly [number, number]

  constructor({ step, range, points }: Pick<Windows, 'step' | 'range' | 'points'>) {
    this.#points = points
    // No bucket is further than its window: the quotient is bounded by the points, not by the durations.
    const whole = Number(min(range / step, BigInt(Number.MAX_SAFE_INTEGER)))
    this.#reach = range % step === 0n ? [whole - 1, whole - 1] : [whole, whole - 1]
  }

  first(bucket: number): number {
    return Math.max(0, Math.floor(bucket / 2) - this.#reach[bucket % 2]!)
  }

  /** Less than the first when there is none. */
  last(bucket: number): number {
    return Math.min(this.#points - 1, Math.floor(bucket / 2))
  }
}

export const min = (a: bigint, b: bigint): bigint => (a < b ? a : b)
export const max = (a: bigint, b: bigint): bigint => (a > b ? a : b)
