/** A real engine in a directory of its own, for tests. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { createLog } from '../log.ts'
import { StoreClient } from './client.ts'
import { type EmbeddedStore, openEmbedded } from './embedded.ts'
import type { RowStream } from './row-stream.ts'
import { minuteOf, volumeName, volumeSettings } from './volume.ts'
import type { WatchdogTimes } from './watchdog.ts'

export const quietLog = createLog('fatal')

export interface TestStore extends AsyncDisposable {
  readonly directory: string
  readonly store: EmbeddedStore
  readonly client: StoreClient
  readonly registry: Registry
}

/** Opens an engine; `directory` is removed at the end unless it was given. */
export async function openTestStore(directory?: string, watchdog?: WatchdogTimes): Promise<TestStore> {
  const own = directory ?? (await mkdtemp(join(tmpdir(), 'tributary-store-')))
  const registry = new Registry()
  const store = await openEmbedded({
    directory: own,
    memoryBytes: 500_000_000,
    log: quietLog,
    registry,
    ...(watchdog === undefined ? {} : { watchdog }),
  })
  const client = new StoreClient(store.connection)
  return {
    directory: own,
    store,
    client,
    registry,
    async [Symbol.asyncDispose]() {
      await client.close()
      await store.close()
      if (directory === undefined) await rm(own, { recursive: true, force: true })
    },
  }
}

/** Counts and bytes of all rows by stream, level and minute: as the engine answers by itself, or row by row. */
export async function volumeOf(client: StoreClient, from: 'rollup' | 'rows'): Promise<readonly object[]> {
  const setting = from === 'rows' ? ', optimize_use_projections = 0' : ''
  const { rows } = await client.query<object>(
    `SELECT tenant, sid, level, ${minuteOf} AS minute, count() AS entries, sum(length(line)) AS bytes
     FROM logs GROUP BY tenant, sid, level, minute ORDER BY ALL ${volumeSettings}${setting}`,
  )
  return rows
}

/** How many of the parts of `logs` have the rollup of volume, and how many there are. */
export async function rolledUpParts(client: StoreClient): Promise<{ readonly with: number; readonly all: number }> {
  const { rows } = await client.query<{ having: string; total: string }>(
    `SELECT countIf(has(projections, {volume:String})) AS having, count() AS total FROM system.parts
     WHERE database = currentDatabase() AND table = {table:String} AND active`,
    { volume: volumeName, table: client.dialect.partsOf('logs', 'sharded') },
  )
  return { with: Number(rows[0]!.having), all: Number(rows[0]!.total) }
}

/** A stream with a few labels; `more` replaces any of them. */
export function rowStream(more: Partial<RowStream> = {}): RowStream {
  return {
    tenant: 'fake',
    sid: 1n,
    cluster: 'test',
    namespace: 'default',
    pod: 'web-0',
    container: 'nginx',
    node: 'node-1',
    app: 'web',
    service_name: 'web',
    stream: 'stdout',
    labels: {},
    meta: {},
    source: Buffer.alloc(16, 7),
    ...more,
  }
}
