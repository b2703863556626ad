/** A partition of the store is a day, UTC: dropping it frees its disk at once. */
import type { StoreClient } from '../store/client.ts'
import { storeErrorFrom } from '../store/error.ts'
import { logsTable, streamsTable } from '../store/schema.ts'
import { countVolume, volumeName } from '../store/volume.ts'

export const retainedTables = [logsTable, streamsTable] as const

export interface DayPartition {
  readonly table: string
  /** `2026-11-23`, UTC. */
  readonly day: string
  /** How the engine names the partition. */
  readonly id: string
  /** Where it lies; one shard, number 1 or 0, unless the store is a cluster. */
  readonly shards: readonly {
    readonly shard: number
    /** Number of the first block there. A day that is dropped and comes back has another. */
    readonly generation: string
  }[]
  /** Rows on disk, those among them that are deleted and not removed yet. */
  readonly rows: number
  readonly bytes: number
  /** Whether there are rows that are deleted and not removed yet. */
  readonly masked: boolean
  /** Whether the rollup of volume has all of it. */
  readonly counted: boolean
}

interface PartitionRow {
  readonly table: string
  readonly day: string
  readonly id: string
  readonly shard: number
  readonly generation: string
  readonly rows: string
  readonly bytes: string
  readonly masked: number
  readonly counted: number
}

const empty = { shards: [], rows: 0, bytes: 0, masked: false, counted: true }

/** The days that are in the store, oldest first. */
export async function dayPartitions(client: StoreClient): Promise<DayPartition[]> {
  const { dialect } = client
  const tables = new Map(retainedTables.map(({ name, placement }) => [dialect.partsOf(name, placement), name]))
  const { rows } = await client.query<PartitionRow>(
    `SELECT table, partition AS day, partition_id AS id, toUInt32(${dialect.shardNumber}) AS shard,
       toString(min(min_block_number)) AS generation, sum(rows) AS rows, sum(bytes_on_disk) AS bytes,
       max(has_lightweight_delete) AS masked, min(has(projections, {volume:String})) AS counted
     FROM ${dialect.system('parts')}
     WHERE database = {database:String} AND table IN {tables:Array(String)} AND active
     GROUP BY table, partition, partition_id, shard ORDER BY day, table, shard`,
    { database: dialect.database, tables: [...tables.keys()], volume: volumeName },
  )
  const days = new Map<string, DayPartition>()
  for (const { table: parts, day, id, shard, generation, rows: count, bytes, masked, counted } of rows) {
    const table = tables.get(parts)!
    const { shards, ...before } = days.get(`${table} ${id}`) ?? empty
    days.set(`${table} ${id}`, {
      table,
      day,
      id,
      shards: [...shards, { shard, generation }],
      rows: before.rows + Number(count),
      bytes: before.bytes + Number(bytes),
      masked: before.masked || Number(masked) > 0,
      counted: before.counted && Number(counted) > 0,
    })
  }
  return [...days.values()]
}

export async function dropPartition(client: StoreClient, day: DayPartition): Promise<void> {
  await client.command(client.dialect.alterParts(tableOf(day), `DROP PARTITION ID '${idOf(day)}'`))
}

/** Marks rows of a day as deleted: they are in no answer any more, and leave the disk later. */
export async function deleteRows(
  client: StoreClient,
  table: (typeof retainedTables)[number],
  day: DayPartition,
  { sql, params }: { readonly sql: string; readonly params: Readonly<Record<string, unknown>> },
): Promise<void> {
  const { dialect } = client
  const parts = dialect.partsOf(table.name, table.placement)
  await client.command(`DELETE FROM ${parts}${dialect.onCluster} IN PARTITION ID '${idOf(day)}' WHERE ${sql}`, params)
}

/** Removes from disk what is marked as deleted. */
export async function removeDeleted(client: StoreClient, day: DayPartition): Promise<void> {
  await client.command(
    client.dialect.alterParts(tableOf(day), `APPLY DELETED MASK IN PARTITION ID '${idOf(day)}'`),
    {},
    { settings: { mutations_sync: '1' } },
  )
}

/** Makes the rollup of volume anew where it is missing: deleting rows took it away. In the background. */
export async function countAgain(client: StoreClient, day: DayPartition): Promise<void> {
  await client.command(client.dialect.alterParts(logsTable, `${countVolume} IN PARTITION ID '${idOf(day)}'`))
}

function tableOf({ table }: DayPartition): (typeof retainedTables)[number] {
  const retained = retainedTables.find(({ name }) => name === table)
  if (retained === undefined) throw storeErrorFrom(new Error(`not a table of ours: ${table}`), false)
  return retained
}

/** The name of a partition stands in a statement as it is. */
function idOf({ id }: DayPartition): string {
  if (/^\w+$/.test(id)) return id
  throw storeErrorFrom(new Error(`not a day of ours: ${id}`), false)
}
