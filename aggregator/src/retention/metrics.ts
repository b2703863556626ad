/** What the store lost on purpose, and the room it has. Labels are bounded. */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { DropReason } from './expired-rows.ts'

export class RetentionMetrics {
  readonly #dropped: Counter<'table' | 'reason'>
  readonly diskSize: Gauge
  readonly diskFree: Gauge
  readonly diskUsed: Gauge
  readonly diskExcess: Gauge

  constructor(registry: Registry) {
    const registers = [registry]
    this.#dropped = new Counter({
      name: 'aggregator_store_expired_rows_total',
      help: 'Rows dropped from the store: older than is kept (retention), or because its volume was nearly full (disk).',
      labelNames: ['table', 'reason'],
      registers,
    })
    const gauge = (name: string, help: string) => new Gauge({ name, help, registers })
    this.diskSize = gauge('aggregator_store_disk_size_bytes', 'Size of the volume of the embedded store.')
    this.diskFree = gauge('aggregator_store_disk_free_bytes', 'What is free on that volume.')
    this.diskUsed = gauge('aggregator_store_disk_used_bytes', 'What the rows of the embedded store take.')
    this.diskExcess = gauge(
      'aggregator_store_disk_excess_bytes',
      'What would have to go for the limits of the disk guard and cannot, as only the newest day is left. 0 when all is well.',
    )
  }

  dropped(table: string, reason: DropReason, rows: number): void {
    this.#dropped.inc({ table, reason }, rows)
  }
}
