/** Old days leave the store whole: a partition is a day, and dropping it frees its disk at once. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Counter, type Registry } from 'prom-client'
import type { Logger } from '../log.ts'
import type { StoreClient } from './client.ts'
import { storeErrorFrom } from './error.ts'
import { recordExpired } from './expired-rows.ts'
import { logsTable, streamsTable } from './schema.ts'

const dayMs = 86_400_000
/** A day ends once in 24 hours, but nobody knows when the process started. */
const interval = 3_600_000
const retainedTables = [logsTable, streamsTable]

export interface ShardOfDay {
  /** Of the cluster, from 1; 0 on one server. */
  readonly shard: number
  /** Number of the day's first block. A day that is dropped and comes back has another. */
  readonly generation: string
}

export interface DayPartition {
  readonly table: string
  /** `2026-11-23`, UTC. */
  readonly day: string
  /** How the engine names the partition. */
  readonly id: string
  /** Where its rows are: on the one server, or on which shards. */
  readonly shards: readonly ShardOfDay[]
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
      if (partition.table === logsTable.name) await recordExpired(client, partition)
      await dropPartition(client, partition)
      this.#droppedRows.inc({ table: partition.table }, partition.rows)
      log.info({ ...partition }, 'an expired day was dropped from the store')
    }
    return old
  }
}

interface PartitionRow {
  readonly table: string
  readonly day: string
  readonly id: string
  readonly shard: number
  readonly generation: string
  readonly rows: string
  readonly bytes: string
}

/** The days that are in the store, oldest first. */
export async function dayPartitions(client: StoreClient): Promise<DayPartition[]> {
  const { dialect } = client
  const tables = new Map(retainedTables.map(({ name, placement }) => [dialect.partsOf(name, placement), name]))
  const { rows } = await client.query<PartitionRow>(
    `SELECT table, partition AS day, partition_id AS id, toUInt32(${dialect.shardNumber}) AS shard,
       toString(min(min_block_number)) AS generation, sum(rows) AS rows, sum(bytes_on_disk) AS bytes
     FROM ${dialect.system('parts')}
     WHERE database = {database:String} AND table IN {tables:Array(String)} AND active
     GROUP BY table, partition, partition_id, shard ORDER BY day, table, shard`,
    { database: dialect.database, tables: [...tables.keys()] },
  )
  const days = new Map<string, DayPartition>()
  for (const { table: parts, day, id, shard, generation, rows: count, bytes } of rows) {
    const table = tables.get(parts)!
    const { shards, ...before } = days.get(`${table} ${id}`) ?? { shards: [], rows: 0, bytes: 0 }
    days.set(`${table} ${id}`, {
      table,
      day,
      id,
      shards: [...shards, { shard, generation }],
      rows: before.rows + Number(count),
      bytes: before.bytes + Number(bytes),
    })
  }
  return [...days.values()]
}

async function dropPartition(client: StoreClient, { table, id }: DayPartition): Promise<void> {
  const retained = retainedTables.find(({ name }) => name === table)
  if (retained === undefined || !/^\w+$/.test(id)) {
    throw storeErrorFrom(new Error(`not a day of ours: ${table} ${id}`), false)
  }
  await client.command(client.dialect.alterParts(retained, `DROP PARTITION ID '${id}'`))
}
