/**
 * What tells a store from every other: a name made at its first start, as version 0 of its schema. Several addresses of one store must
 * all show it, or rows would be in one or the other.
 */
import { randomUUID } from 'node:crypto'
import type { ClickHouseClient } from '@clickhouse/client'
import type { StoreClient } from './client.ts'
import { storeErrorFrom } from './error.ts'

/** UNKNOWN_TABLE, UNKNOWN_DATABASE. */
const noSchema = [60, 81]
const names = 'SELECT name FROM schema_migrations WHERE version = 0 ORDER BY name'

/** The names at one address. Two aggregators that first meet a store at one moment may both have given it one. */
export async function identitiesAt(client: ClickHouseClient, signal?: AbortSignal): Promise<string[]> {
  try {
    const result = await client.query({
      query: names,
      format: 'JSON',
      ...(signal === undefined ? {} : { abort_signal: signal }),
    })
    const { data } = await result.json<{ name: string }>()
    return data.map(({ name }) => name)
  } catch (cause) {
    const error = storeErrorFrom(cause, signal?.aborted ?? false)
    if (error.clickhouseCode !== undefined && noSchema.includes(error.clickhouseCode)) return []
    throw error
  }
}

/** The store's name; gives it one when it has none. Throws {@link StoreError}. */
export async function identify(client: StoreClient): Promise<string> {
  const { consistentInsert, consistentRead } = client.dialect
  const read = async () => (await client.query<{ name: string }>(names, {}, { settings: consistentRead })).rows[0]?.name
  const known = await read()
  if (known !== undefined) return known
  const own = randomUUID()
  await client.command(
    'INSERT INTO schema_migrations (version, name) SELECT 0, {name:String}',
    { name: own },
    { settings: { ...consistentInsert, insert_deduplication_token: 'identity' } },
  )
  return (await read()) ?? own
}
