/** What one query may take. */
export interface QueryLimits {
  /** Milliseconds. */
  readonly timeoutMs: number
  /** Series in the answer. */
  readonly maxSeries: number
  /** Rows that a statement may read from the store; 0 for any number. */
  readonly maxRows: number
  /** Memory that a statement may take in the store, bytes; 0 for what the store allows. */
  readonly maxMemoryBytes: number
}

/** Those that Loki has are as it has them. */
export const defaultQueryLimits: QueryLimits = {
  timeoutMs: 60_000,
  maxSeries: 500,
  maxRows: 0,
  maxMemoryBytes: 0,
}

/** What the configuration says of a tenant. */
export interface TenantQueryLimits {
  readonly queryTimeout: number
  readonly maxQuerySeries: number
  readonly maxQueryRows: number
  readonly maxQueryMemory: number
}

/** A query of several tenants may take what each of them may. */
export function strictest(tenants: readonly TenantQueryLimits[]): QueryLimits {
  const least = (pick: (limits: TenantQueryLimits) => number): number => {
    const limited = tenants.map(pick).filter((value) => value > 0)
    return limited.length === 0 ? 0 : Math.min(...limited)
  }
  return {
    timeoutMs: least(({ queryTimeout }) => queryTimeout) || defaultQueryLimits.timeoutMs,
    maxSeries: least(({ maxQuerySeries }) => maxQuerySeries) || defaultQueryLimits.maxSeries,
    maxRows: least(({ maxQueryRows }) => maxQueryRows),
    maxMemoryBytes: least(({ maxQueryMemory }) => maxQueryMemory),
  }
}
