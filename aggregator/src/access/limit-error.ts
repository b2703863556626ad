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

/** What is sent goes beyond a limit of its tenant. The message is the answer, in plain text, as Loki's clients know it. */
export class LimitError extends Error {
  override readonly name = 'LimitError'
  readonly reason: LimitReason
  /** 429: the same may be taken later. 400: never. */
  readonly statusCode: 400 | 429
  constructor(reason: LimitReason, message: string) {
    super(message)
    this.reason = reason
    this.statusCode = reason === 'rate_limited' || reason === 'stream_limit' ? 429 : 400
  }
}
