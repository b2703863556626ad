/** Where a server keeps the lines: on which of its storage policies, and from which age on on another volume of it, such as one on S3. */
import type { Logger } from '../log.ts'
import type { StoreClient } from './client.ts'
import { quoteLiteral } from './engine/statement.ts'
import { StoreError } from './error.ts'
import { logsTable } from './schema.ts'

export interface Tiering {
  /** Name of a policy in the server's configuration; undefined: as it is. */
  readonly storagePolicy?: string | undefined
  /** Age of rows that go to the volume `moveTo`, milliseconds; undefined: none do. */
  readonly moveAfter?: number | undefined
  readonly moveTo: string
}

export interface TableTiers {
  readonly policy: string
  /** The engine clause as the server shows it. */
  readonly engine: string
}

/** What is to be changed about the table. Pure. Names are the configuration's, never from a request. */
export function tieringChanges(now: TableTiers, { storagePolicy, moveAfter, moveTo }: Tiering): string[] {
  const changes: string[] = []
  if (storagePolicy !== undefined && storagePolicy !== now.policy) {
    changes.push(`MODIFY SETTING storage_policy = ${quoteLiteral(storagePolicy)}`)
  }
  const moves = / TTL /.test(now.engine)
  if (moveAfter === undefined) return moves ? [...changes, 'REMOVE TTL'] : changes
  const wanted = `toDateTime(ts) + toIntervalSecond(${Math.ceil(moveAfter / 1000)}) TO VOLUME ${quoteLiteral(moveTo)}`
  if (!now.engine.includes(`TTL ${wanted}`)) changes.push(`MODIFY TTL ${wanted}`)
  return changes
}

/** Makes the table so. Throws {@link StoreError}: `rejected` where the server has no such policy or volume. */
export async function applyTiering(client: StoreClient, log: Logger, tiering: Tiering): Promise<void> {
  const { dialect } = client
  const name = dialect.partsOf(logsTable.name, logsTable.placement)
  const { rows } = await client.query<TableTiers>(
    'SELECT storage_policy AS policy, engine_full AS engine FROM system.tables WHERE database = {database:String} AND name = {name:String}',
    { database: dialect.database, name },
  )
  const [now] = rows
  if (now === undefined) throw new StoreError('rejected', `the store has no table ${name}`)
  const changes = tieringChanges(now, tiering)
  if (changes.length > 0 && tiering.storagePolicy !== undefined) await expectVolume(client, tiering)
  for (const change of changes) {
    await client.command(dialect.alterParts(logsTable, change))
    log.info({ table: name, change }, 'where the store keeps the lines was changed')
  }
}

async function expectVolume(client: StoreClient, { storagePolicy, moveAfter, moveTo }: Tiering): Promise<void> {
  const { rows } = await client.query<{ volume: string }>(
    'SELECT volume_name AS volume FROM system.storage_policies WHERE policy_name = {policy:String}',
    { policy: storagePolicy },
  )
  if (rows.length === 0) {
    throw new StoreError(
      'rejected',
      `store.clickhouse.storagePolicy: the server has no storage policy ${storagePolicy}`,
    )
  }
  if (moveAfter !== undefined && !rows.some(({ volume }) => volume === moveTo)) {
    const volumes = rows.map(({ volume }) => volume).join(', ')
    throw new StoreError(
      'rejected',
      `store.clickhouse.moveTo: the storage policy ${storagePolicy} has no volume ${moveTo}, only ${volumes}`,
    )
  }
}
