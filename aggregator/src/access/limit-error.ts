/** Which limit was met, in a closed list: label values of `aggregator_discarded_records_total`. Loki's words. */
export type LimitReason =
  | 'rate_limited'
  | 'line_too_long'
  | 'stream_limit'
  | 'missing_labels'
  | 'max_label_names_per_series'
  | 'label_name_too_long'
  | 'label_value_too_long'
  | 'structured_metadata_too_large'
  | 'structured_metadata_too_many'
  | 'greater_than_max_sample_age'
  | 'too_far_in_future'

/** What one message tells at most, characters: labels can be as long as all that is sent. */
const maxTold = 8192

/** A message that quotes what was sent, without the rest of it where that is long. A copy, so that it keeps nothing else in memory. */
export function told(message: string): string {
  return message.length <= maxTold ? message : `${Buffer.from(message.slice(0, maxTold)).toString()}…`
}

/** What is sent goes beyond a limit of its tenant. The message is the answer, in plain text, as Loki's clients know it. */
export class LimitError extends Error {
  override readonly name = 'LimitError'
  readonly reason: LimitReason
  /** 429: the same may be taken later. 400: never. */
  readonly statusCode: 400 | 429
  constructor(reason: LimitReason, message: string) {
    super(told(message))
    this.reason = reason
    this.statusCode = reason === 'rate_limited' || reason === 'stream_limit' ? 429 : 400
  }
}
