/** The stages that drop records, made for one log. A stage that can't apply to the log is not made. */
import type { RateLimit } from '../metadata/log-policy.ts'
import type { Condition } from './condition.ts'
import { type Bucket, type RateLimiter, takeLine } from './rate-limiter.ts'
import type { RecordView } from './record-view.ts'
import { Sampler } from './sampling.ts'
import type { Stage } from './stage.ts'

/** Leaves out what meets the condition. */
export function dropStage(name: string, condition: Condition | boolean): Stage | undefined {
  if (condition === false) return undefined
  if (condition === true) return { name, apply: () => 'dropped' }
  return {
    name,
    begin: (chunk) => condition.begin(chunk),
    apply: (record) => (condition.test(record) ? 'dropped' : undefined),
  }
}

/** Leaves out the records of one stream, or of both. */
export function excludeStage(name: string, excluded: readonly [boolean, boolean]): Stage | undefined {
  if (!excluded.includes(true)) return undefined
  return { name, apply: ({ stream }) => (excluded[stream] ? 'excluded' : undefined) }
}

/** Leaves out all but a share of the records that meet the condition. */
export function sampleStage(
  name: string,
  rate: number,
  identity: string,
  condition: Condition | boolean,
): Stage | undefined {
  if (rate >= 1 || condition === false) return undefined
  const sampler = new Sampler(rate, identity)
  return {
    name,
    begin(chunk) {
      sampler.begin(chunk)
      if (condition !== true) condition.begin(chunk)
    },
    apply: (record) => (meets(condition, record) && !sampler.keeps(record) ? 'sampled' : undefined),
  }
}

export interface RateOptions {
  readonly limiter: RateLimiter
  /** Of the bucket: whatever shares it shares the rate. */
  readonly bucket: string
  readonly limit: RateLimit
  readonly condition: Condition | boolean
  onLimited(): void
}

export function rateStage(name: string, options: RateOptions): Stage | undefined {
  const { limiter, limit, condition, onLimited } = options
  if (condition === false) return undefined
  let bucket: Bucket
  return {
    name,
    begin(chunk) {
      bucket = limiter.bucket(options.bucket, limit)
      if (condition !== true) condition.begin(chunk)
    },
    apply(record) {
      if (!meets(condition, record) || takeLine(bucket)) return undefined
      onLimited()
      return 'rate'
    },
  }
}

/** The stage for records of one stream only. */
export function ofStream(stream: number, stage: Stage | undefined): Stage | undefined {
  if (stage === undefined) return undefined
  return {
    name: stage.name,
    begin: (chunk) => stage.begin?.(chunk),
    apply: (record) => (record.stream === stream ? stage.apply(record) : undefined),
  }
}

function meets(condition: Condition | boolean, record: RecordView): boolean {
  return condition === true || (condition !== false && condition.test(record))
}
