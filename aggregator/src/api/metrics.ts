/** What the API counts. */
import { Counter, Histogram, type Registry } from 'prom-client'
import type { AccessProblem } from '../access/access-error.ts'

export interface ApiMetrics {
  /** @param route as it was declared, so that its values are bounded */
  requested(route: string, status: number, seconds: number): void
  read(rows: number, bytes: number): void
  refused(reason: AccessProblem): void
  /** A connection beyond their number was closed. */
  dropped(): void
}

export function apiMetrics(registry: Registry): ApiMetrics {
  const registers = [registry]
  const requests = new Counter({
    name: 'aggregator_http_requests_total',
    help: 'Requests answered, by route and status.',
    labelNames: ['route', 'status'],
    registers,
  })
  const seconds = new Histogram({
    name: 'aggregator_http_request_seconds',
    help: 'Time from a request to its answer, by route.',
    labelNames: ['route'],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  })
  const rows = new Counter({
    name: 'aggregator_query_read_rows_total',
    help: 'Rows that queries made the store read.',
    registers,
  })
  const bytes = new Counter({
    name: 'aggregator_query_read_bytes_total',
    help: 'Bytes, before compression, that queries made the store read.',
    registers,
  })
  const refusals = new Counter({
    name: 'aggregator_http_refused_requests_total',
    help: 'Requests refused for want of a credential, a role or a tenant.',
    labelNames: ['reason'],
    registers,
  })
  const drops = new Counter({
    name: 'aggregator_http_dropped_connections_total',
    help: 'Connections closed at once because there were http.maxConnections.',
    registers,
  })
  return {
    dropped() {
      drops.inc()
    },
    requested(route, status, duration) {
      requests.inc({ route, status: String(status) })
      seconds.observe({ route }, duration)
    },
    refused(reason) {
      refusals.inc({ reason })
    },
    read(readRows, readBytes) {
      rows.inc(readRows)
      bytes.inc(readBytes)
    },
  }
}
