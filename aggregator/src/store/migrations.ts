/** Brings the store's schema to the version of this program, at start. */
import type { Logger } from '../log.ts'
import { StoreClient } from './client.ts'
import { StoreError } from './error.ts'
import { identify } from './identity.ts'
import { type Migration, migrations, versionsTable } from './schema.ts'

/** ACCESS_DENIED. */
const accessDenied = 497

/**
 * Runs the migrations that the store does not have yet. Each is made of statements that can be repeated, so a start that was cut
 * short goes on where it ended. Throws {@link StoreError} `rejected` when the store was made by a newer program.
 *
 * @param signal gives up while nothing was changed yet
 * @returns what a server must show to be this store, for {@link StoreConnection.identity}; the client asks for it from here on
 */
export async function migrate(
  client: StoreClient,
  log: Logger,
  wanted = migrations,
  signal?: AbortSignal,
): Promise<string | undefined> {
  await createDatabase(client, signal)
  for (const statement of client.dialect.createTable(versionsTable)) await client.command(statement)
  const present = await schemaVersion(client)
  const newest = wanted.at(-1)?.version ?? 0
  if (present > newest) {
    throw new StoreError(
      'rejected',
      `the store has schema version ${present} and this program knows versions up to ${newest}: ` +
        'start the newer program again, or give this one an empty store',
    )
  }
  for (const migration of wanted) if (migration.version > present) await apply(client, log, migration)
  if (client.connection.engine === 'embedded') return undefined
  const identity = await identify(client)
  client.trust(identity)
  return identity
}

/** A connection names its database before it exists, so this one goes through another. */
async function createDatabase({ connection, dialect }: StoreClient, signal: AbortSignal | undefined): Promise<void> {
  const client = new StoreClient({ ...connection, database: 'default' })
  try {
    await client.command(dialect.createDatabase(), {}, signal === undefined ? {} : { signal })
  } catch (error) {
    // Where the database is made by somebody else, nobody need have the right to make one.
    const denied = error instanceof StoreError && error.clickhouseCode === accessDenied
    if (!denied || !(await hasDatabase(client, dialect.database))) throw error
  } finally {
    await client.close()
  }
}

async function hasDatabase(client: StoreClient, name: string): Promise<boolean> {
  const { rows } = await client.query('SELECT 1 FROM system.databases WHERE name = {name:String}', { name })
  return rows.length > 0
}

/** The version of the schema in the store; 0 for an empty one. */
export async function schemaVersion(client: StoreClient): Promise<number> {
  const { rows } = await client.query<{ version: number }>('SELECT max(version) AS version FROM schema_migrations')
  return rows[0]?.version ?? 0
}

async function apply(client: StoreClient, log: Logger, { version, name, statements }: Migration): Promise<void> {
  for (const statement of statements(client.dialect)) await client.command(statement)
  await client.command(
    'INSERT INTO schema_migrations (version, name) SELECT {version:UInt32}, {name:String}',
    { version, name },
    { settings: { insert_deduplication_token: `schema-${version}` } },
  )
  log.info({ version, migration: name }, 'the store schema was migrated')
}
