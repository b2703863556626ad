/** A server under test, with a scratch database on it. */
import { StoreClient } from '@tributary/aggregator/store/client.ts'
import type { StoreConnection } from '@tributary/aggregator/store/connection.ts'
import type { Subject } from './store-checks.ts'

/** Makes the database; refuses one that is there: it would be dropped at the end. */
export async function openSubject(connection: StoreConnection): Promise<Subject> {
  const outside = new StoreClient({ ...connection, database: 'default' })
  const { database } = connection
  const { rows } = await outside.query<{ version: string; taken: number }>(
    'SELECT version() AS version, (SELECT toUInt8(count()) FROM system.databases WHERE name = {database:String}) AS taken',
    { database },
  )
  if (rows[0]!.taken !== 0) {
    await outside.close()
    throw new Error(`the database ${database} is there already, and this check drops its own: name another`)
  }
  const client = new StoreClient(connection)
  await outside.command(client.dialect.createDatabase())
  return {
    connection,
    client,
    version: rows[0]!.version,
    async drop() {
      await client.close()
      await outside.command(client.dialect.dropDatabase())
      await outside.close()
    },
  }
}
