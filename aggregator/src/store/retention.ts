/** Old days leave the store whole: a partition is a day, and dropping it frees its disk at once. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Counter, type Registry } from 'prom-client'
import type { Logger } from '../log.ts'
import type { StoreClient } from './client.ts'
import { storeErrorFrom } from './error.ts'
import { recordExpired } from './expired-rows.ts'

const dayMs = 86_400_000
/** A day ends once in 24 hours, but nobody knows when the process started. */
const interval = 3_600_000
export const retainedTables = ['logs', 'streams'] as const

export interface DayPartition {
  readonly table: string
  /** `2026-11-23`, UTC. */
  readonly day: string
  /** How the engine names the partition. */
  readonly id: string
  /** Number of its first block. A day that is dropped and comes back has another. */
  readonly generation: string
  readonly rows: number
  readonly bytes: number
}

/** Which partitions hold only what is older than `retention` milliseconds at `now`. 0 keeps everything. */
export function expired<P extends Pick<DayPartition, 'day'>>(partitions: readonly P[], retention: number, now: number) {
  if (retention === 0) return []
  return partitions.filter(({ day }) => Date.parse(`${day}T00:00:00Z`) + dayMs <= now - retention)
}

export interface RetentionOptions {
  readonly client: StoreClient
  /** How long rows are kept, milliseconds; 0 for ever. */
  readonly retention: number
  readonly log: Logger
  readonly registry?: Registry
  readonly now?: () => number
}

export class Retention {
  readonly #options: RetentionOptions
  readonly #droppedRows: Counter<'table'>

  constructor(options: RetentionOptions) {
    this.#options = options
    this.#droppedRows = new Counter({
      name: 'aggregator_store_expired_rows_total',
      help: 'Rows dropped because they were older than store.retention.',
      labelNames: ['table'],
      registers: options.registry === undefined ? [] : [options.registry],
    })
  }

  /** Drops now what is too old, and then each hour until `signal`. What fails is logged and tried again the next time. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.dropExpired(signal)
      } catch (err) {
        if (!signal.aborted) this.#options.log.warn({ err }, 'old days were not dropped from the store')
      }
      // The signal ends the wait, and with it the loop.
      await sleep(interval, undefined, { signal, ref: false }).catch(() => {})
    }
  }

  /** Returns what was dropped. Throws StoreError. */
  async dropExpired(signal?: AbortSignal): Promise<DayPartition[]> {
    const { client, retention, log, now = Date.now } = this.#options
    if (retention === 0) return []
    const old = expired(await dayPartitions(client), retention, now())
    for (const partition of old) {
      signal?.throwIfAborted()
      if (partition.table === 'logs') await recordExpired(client, partition.day, partition.generation)
      await dropPartition(client, partition)
      this.#droppedRows.inc({ table: partition.table }, partition.rows)
      log.info({ ...partition }, 'an expired day was dropped from the store')
    }
    return old
  }
}

/** The days that are in the store, oldest first. */
export async function dayPartitions(client: StoreClient): Promise<DayPartition[]> {
  const { rows } = await client.query<
    Record<Exclude<keyof DayPartition, 'rows' | 'bytes'>, string> & { rows: string; bytes: string }
  >(
    `SELECT table, partition AS day, partition_id AS id, toString(min(min_block_number)) AS generation,
       sum(rows) AS rows, sum(bytes_on_disk) AS bytes
     FROM system.parts WHERE database = {database:String} AND table IN {tables:Array(String)} AND active
     GROUP BY table, partition, partition_id ORDER BY day, table`,
    { database: client.connection.database, tables: retainedTables },
  )
  return rows.map((row) => ({ ...row, rows: Number(row.rows), bytes: Number(row.bytes) }))
}

async function dropPartition(client: StoreClient, { table, id }: DayPartition): Promise<void> {
  if (!retainedTables.some((name) => name === table) || !/^\w+$/.test(id)) {
    throw storeErrorFrom(new Error(`not a day of ours: ${table} ${id}`), false)
  }
  await client.command(`ALTER TABLE ${table} DROP PARTITION ID '${id}'`)
}
