/** What one query may take. */
export interface QueryLimits {
  /** Milliseconds. */
  readonly timeoutMs: number
  /** Series in the answer. */
  readonly maxSeries: number
  /** Entries in the answer. */
  readonly maxEntries: number
  /** Rows that a statement may read from the store; 0 for any number. */
  readonly maxRows: number
  /** Memory that a statement may take in the store, bytes; 0 for what the store allows. */
  readonly maxMemoryBytes: number
}

/** Those that Loki has are as it has them. */
export const defaultQueryLimits: QueryLimits = {
  timeoutMs: 60_000,
  maxSeries: 500,
  maxEntries: 5000,
  maxRows: 0,
  maxMemoryBytes: 0,
}
