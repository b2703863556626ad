/** Remembers how many rows of each source retention drops. Rows of other senders have no source. */
import type { StoreClient } from './client.ts'
import type { DayPartition } from './retention.ts'
import { ofFiles } from './row-stream.ts'

/** Shards number their blocks by themselves, so a generation has the shard above the block's number. */
const blockBits = 48n

/**
 * Counts the rows of a day before it is dropped. Counting the same again changes nothing: a day that is counted and, because of a
 * crash, not dropped keeps its generation; rows that come for a day which was dropped begin a new one.
 */
export async function recordExpired(
  client: StoreClient,
  { day, shards }: Pick<DayPartition, 'day' | 'shards'>,
): Promise<void> {
  for (const { shard, generation } of shards) {
    await client.command(
      `INSERT INTO expired (day, generation, source, rows)
       SELECT {day:Date}, {generation:UInt64}, source, count() FROM logs
       WHERE toDate(ts) = {day:Date} AND ${client.dialect.shardNumber} = {shard:UInt32} AND ${ofFiles} GROUP BY source`,
      { day, shard, generation: String((BigInt(shard) << blockBits) + BigInt(generation)) },
    )
  }
}

/** Rows that retention has dropped, by source in hex. */
export async function expiredRows(
  client: Pick<StoreClient, 'query'>,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, number>> {
  const { rows } = await client.query<{ id: string; n: string }>(
    `SELECT lower(hex(source)) AS id, sum(most) AS n
     FROM (SELECT source, max(rows) AS most FROM expired GROUP BY day, generation, source) GROUP BY source`,
    {},
    signal === undefined ? {} : { signal },
  )
  return new Map(rows.map(({ id, n }) => [id, Number(n)]))
}
