/** What is done with one stream of one container's log: the configuration's word, unless the pod's annotations say otherwise. */
export interface StreamPolicy {
  /** Its lines are left out, filtered(excluded). */
  readonly exclude: boolean
  /** Name of the parser whose fields become attributes of the record. */
  readonly parser: string | undefined
  /** Which lines make one record: `auto` for all languages, one language, `off`, or the name of a configured start pattern. */
  readonly multiline: string
  /** Share of records that is kept, 0 to 1. */
  readonly sample: number
  readonly rateLimit: RateLimit | undefined
}

export interface RateLimit {
  readonly linesPerSecond: number
  /** Lines that may come at once after a quiet time. */
  readonly burst: number
}

/** Of stdout and of stderr. */
export type LogPolicy = readonly [stdout: StreamPolicy, stderr: StreamPolicy]

const usual: StreamPolicy = {
  exclude: false,
  parser: undefined,
  multiline: 'auto',
  sample: 1,
  rateLimit: undefined,
}

/** What holds where nobody said anything. */
export const usualPolicy: LogPolicy = [usual, usual]
