/** Remembers how many rows of each source were dropped from the store, and why. Rows of other senders have no source. */
import type { StoreClient } from '../store/client.ts'
import { ofFiles } from '../store/row-stream.ts'
import type { DayPartition } from './day-partitions.ts'

export const dropReasons = [
  /** They were older than is kept. */
  'retention',
  /** The volume was nearly full. */
  'disk',
] as const
export type DropReason = (typeof dropReasons)[number]

/** Shards number their blocks by themselves, so a generation has the shard above the block's number. */
const blockBits = 48n

/**
 * Counts the rows of a day before it is dropped. Counting the same again changes nothing: a day that is counted and, because of a
 * crash, not dropped keeps its generation; rows that come for a day which was dropped begin a new one.
 */
export async function recordExpired(
  client: StoreClient,
  { day, shards }: Pick<DayPartition, 'day' | 'shards'>,
  reason: DropReason,
): Promise<void> {
  for (const { shard, generation } of shards) {
    const condition = { sql: `${client.dialect.shardNumber} = {shard:UInt32}`, params: { shard } }
    const number = String((BigInt(shard) << blockBits) + BigInt(generation))
    await recordRows(client, day, number, reason, condition)
  }
}

/**
 * Counts those rows of a day for which the condition holds. Counting the same again under the same number changes nothing.
 *
 * @param day such as `2026-11-23`
 */
export async function recordRows(
  client: StoreClient,
  day: string,
  number: string,
  reason: DropReason,
  condition: { readonly sql: string; readonly params: Readonly<Record<string, unknown>> },
): Promise<void> {
  await client.command(
    `INSERT INTO expired (day, generation, source, rows, reason)
     SELECT {day:Date}, {generation:UInt64}, source, count(), {reason:String}
     FROM logs WHERE toDate(ts) = {day:Date} AND (${condition.sql}) AND ${ofFiles} GROUP BY source`,
    { ...condition.params, day, generation: number, reason },
  )
}

export type ExpiredRows = Readonly<Record<DropReason, number>>

/** Rows that were dropped, by source in hex. */
export async function expiredRows(
  client: Pick<StoreClient, 'query'>,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, ExpiredRows>> {
  const { rows } = await client.query<{ id: string; retention: string; disk: string }>(
    `SELECT lower(hex(source)) AS id, sumIf(most, reason != 'disk') AS retention, sumIf(most, reason = 'disk') AS disk
     FROM (SELECT source, max(rows) AS most, argMax(reason, rows) AS reason FROM expired GROUP BY day, generation, source)
     GROUP BY source`,
    {},
    signal === undefined ? {} : { signal },
  )
  return new Map(rows.map(({ id, retention, disk }) => [id, { retention: Number(retention), disk: Number(disk) }]))
}
