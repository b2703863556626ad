/** Limits under Loki's names: `drilldown-limits`, as Grafana Logs Drilldown asks for them at its start, and `config/tenant/v1/limits`. */
import { stringify } from 'yaml'
import type { Limits } from '../access/config.ts'
import { serviceNames } from '../load/labels.ts'
import { levelFields } from '../load/told-level.ts'
import { lokiVersion } from './build-info.ts'
import { maxEntries } from './params.ts'

/** The limits of queries. */
export interface QueryLimits {
  readonly timeoutMs: number
  /** Milliseconds; 0 keeps for ever. */
  readonly retention: number
}

const seconds = (ms: number): string => `${Math.round(ms / 1000)}s`

function lokiLimits(limits: Limits, { retention, timeoutMs }: QueryLimits): Record<string, unknown> {
  return {
    discover_log_levels: true,
    discover_service_name: serviceNames,
    log_level_fields: levelFields,
    max_entries_limit_per_query: maxEntries,
    max_line_size_truncate: limits.truncateLines,
    max_query_bytes_read: '0B',
    max_query_length: '0s',
    max_query_lookback: '0s',
    max_query_range: '0s',
    max_query_series: limits.maxQuerySeries,
    metric_aggregation_enabled: false,
    otlp_config: {},
    pattern_persistence_enabled: false,
    query_timeout: seconds(timeoutMs),
    retention_period: seconds(retention),
    retention_stream: [],
    volume_enabled: true,
    volume_max_series: 1000,
  }
}

/** No patterns are mined, so that Drilldown hides their tab. */
export function drilldownLimits(limits: Limits, query: QueryLimits): string {
  return JSON.stringify({
    limits: lokiLimits(limits, query),
    pattern_ingester_enabled: false,
    version: lokiVersion,
  })
}

/** The same limits for people and scripts: YAML. */
export const tenantLimits = (limits: Limits, query: QueryLimits): string =>
  stringify(lokiLimits(limits, query), { sortMapEntries: true })
