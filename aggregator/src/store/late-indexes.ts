/**
 * Indexes of rows that come faster than they can be taken in. Building them is a third of an insert, and they are built anew by the merge that
 * follows where part comes after part. So inserts of full blocks leave them out ({@link withoutIndexes}); what merges have not built when that is over
 * is built then. Until it is, a search looks through those rows.
 */
import type { ClickHouseSettings } from '@clickhouse/client'
import type { StoreClient } from './client.ts'
import type { StoreLog } from './endpoints.ts'
import { logsTable } from './schema.ts'

/** Of an insert into `logs` of the embedded store. */
export const withoutIndexes: ClickHouseSettings = { materialize_skip_indexes_on_insert: 0 }

/** Of the table `logs`, by the names that its migrations give them. */
const indexes = ['line_tokens', 'longest_words']

/** Milliseconds without a full block until they are over, and between attempts. */
const defaultPause = 5000

/** Ids of the days of `logs` that have parts without indexes. */
async function daysWithout(client: StoreClient): Promise<string[]> {
  const { rows } = await client.query<{ day: string }>(
    `SELECT DISTINCT partition_id AS day FROM system.parts
     WHERE active AND database = {database:String} AND table = {table:String} AND rows > 0 AND secondary_indices_compressed_bytes = 0
     ORDER BY day`,
    { database: client.dialect.database, table: logsTable.name },
  )
  return rows.map(({ day }) => day)
}

/** Has the engine build, in the background, what parts lack; those that have their indexes are left as they are. Resolves to the days of such parts. */
export async function buildIndexes(client: StoreClient): Promise<string[]> {
  const days = (await daysWithout(client)).filter((day) => /^\w+$/.test(day))
  for (const day of days) {
    const build = indexes.map((index) => `MATERIALIZE INDEX ${index} IN PARTITION ID '${day}'`)
    await client.command(client.dialect.alterParts(logsTable, build.join(', ')))
  }
  return days
}

/** Builds the indexes of full blocks once no more of them come. */
export class LateIndexes {
  readonly #client: StoreClient
  readonly #log: StoreLog
  readonly #pause: number
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(client: StoreClient, log: StoreLog, pause = defaultPause) {
    this.#client = client
    this.#log = log
    this.#pause = pause
  }

  /** A block was inserted without indexes, or may have been by the process before. */
  later(): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    this.#timer = setTimeout(() => void this.#build(), this.#pause).unref()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  async #build(): Promise<void> {
    try {
      await buildIndexes(this.#client)
    } catch (error) {
      if (!this.#closed)
        this.#log.warn(
          { detail: (error as Error).message },
          'indexes of rows of a backlog could not be built, and are tried again',
        )
      this.later()
    }
  }
}
