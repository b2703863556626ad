/** What a push brings, whatever it was written in: streams of entries. */

export interface PushEntry {
  /** Since 1970; negative before. */
  readonly seconds: number
  readonly nanoseconds: number
  readonly line: Buffer
  /** Structured metadata; undefined where there is none. */
  readonly metadata: Readonly<Record<string, string>> | undefined
}

export interface PushStream {
  /** As `{a="b"}`, for messages. */
  readonly name: string
  /** None is empty. */
  readonly labels: Readonly<Record<string, string>>
  readonly entries: readonly PushEntry[]
}

/** Why nothing of a push was taken, in a closed list: label values of a metric. Limits of a tenant have reasons of their own. */
export type PushProblem = 'body' | 'encoding' | 'too_large' | 'busy' | 'stalled'

/** Nothing of a push was taken. The message goes to whoever sent it, as plain text. */
export class PushError extends Error {
  override readonly name = 'PushError'
  readonly statusCode: number
  readonly problem: PushProblem

  constructor(statusCode: number, problem: PushProblem, message: string, options?: ErrorOptions) {
    super(message, options)
    this.statusCode = statusCode
    this.problem = problem
  }
}
