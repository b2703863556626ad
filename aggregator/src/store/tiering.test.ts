import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { StoreClient } from './client.ts'
import { type EmbeddedStore, openEmbedded } from './embedded.ts'
import { LogBlock } from './log-block.ts'
import { migrate } from './migrations.ts'
import { quietLog, rowStream } from './test-store.ts'
import { applyTiering, tieringChanges } from './tiering.ts'

const day = 86_400_000
const ttl = "TTL toDateTime(ts) + toIntervalSecond(259200) TO VOLUME 'cold'"
const engine = 'MergeTree PARTITION BY toDate(ts) ORDER BY ts'
const set = "MODIFY SETTING storage_policy = 'tiered'"

test.for([
  { when: 'nothing is asked', now: { policy: 'default', engine }, tiering: {}, changes: [] },
  { when: 'a policy', now: { policy: 'default', engine }, tiering: { storagePolicy: 'tiered' }, changes: [set] },
  { when: 'the policy it has', now: { policy: 'tiered', engine }, tiering: { storagePolicy: 'tiered' }, changes: [] },
  {
    when: 'policy and age',
    now: { policy: 'default', engine },
    tiering: { storagePolicy: 'tiered', moveAfter: 3 * day },
    changes: [set, `MODIFY ${ttl}`],
  },
  {
    when: 'what is there already',
    now: { policy: 'tiered', engine: `${engine} ${ttl} SETTINGS a = 1` },
    tiering: { storagePolicy: 'tiered', moveAfter: 3 * day },
    changes: [],
  },
  {
    when: 'another age',
    now: { policy: 'tiered', engine: `${engine} ${ttl} SETTINGS a = 1` },
    tiering: { storagePolicy: 'tiered', moveAfter: 4 * day },
    changes: ["MODIFY TTL toDateTime(ts) + toIntervalSecond(345600) TO VOLUME 'cold'"],
  },
  {
    when: 'no age any more',
    now: { policy: 'tiered', engine: `${engine} ${ttl} SETTINGS a = 1` },
    tiering: { storagePolicy: 'tiered' },
    changes: ['REMOVE TTL'],
  },
])('$when: $changes', ({ now, tiering, changes }) =>
  expect(tieringChanges(now, { moveTo: 'cold', ...tiering })).toEqual(changes),
)

describe('a server with a policy of two volumes', () => {
  let directory: string
  let store: EmbeddedStore
  let client: StoreClient
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tributary-store-'))
    const extraConfig = `<storage_configuration>
      <disks><slow><path>${directory}/slow/</path></slow></disks>
      <policies><tiered><volumes><default><disk>default</disk></default><cold><disk>slow</disk></cold></volumes></tiered></policies>
    </storage_configuration>`
    const server = { listen: '127.0.0.1', port: 0, username: 'u', password: 'p', database: 'default', extraConfig }
    store = await openEmbedded({ directory, memoryBytes: 500_000_000, log: quietLog, server })
    client = new StoreClient({ ...store.connection, engine: 'clickhouse', database: 'logs' })
    await migrate(client, quietLog)
  })
  afterAll(async () => {
    await client.close()
    await store.close()
    await rm(directory, { recursive: true, force: true })
  })

  const disks = async () => {
    const { rows } = await client.query<{ partition: string; disk: string }>(
      "SELECT partition, disk_name AS disk FROM system.parts WHERE database = 'logs' AND table = 'logs' AND active ORDER BY partition",
    )
    return rows.map(({ disk }) => disk)
  }

  test('keeps old days on the second and young ones on the first, and moves what was there before', async () => {
    const insert = async (token: string) => {
      const made = new LogBlock()
      made.setStream(rowStream())
      const now = Math.floor(Date.now() / 1000)
      for (const age of [0, 30]) made.add(now - age * 86_400, 0, age, '', Buffer.from('line'), 0, 4)
      await client.insertNative('logs', made.columns, made.encode(), token)
    }
    await insert('before')
    expect(await disks()).toEqual(['default', 'default'])
    await applyTiering(client, quietLog, { storagePolicy: 'tiered', moveAfter: 7 * day, moveTo: 'cold' })
    await insert('after')
    await expect.poll(disks, { timeout: 20_000 }).toEqual(expect.arrayContaining(['slow', 'default']))
    await expect.poll(async () => (await disks()).slice(0, 1), { timeout: 20_000 }).toEqual(['slow'])
    expect((await disks()).at(-1)).toBe('default')
    // The second time there is nothing to do.
    const { rows } = await client.query<{ policy: string; engine: string }>(
      "SELECT storage_policy AS policy, engine_full AS engine FROM system.tables WHERE database = 'logs' AND name = 'logs'",
    )
    expect(tieringChanges(rows[0]!, { storagePolicy: 'tiered', moveAfter: 7 * day, moveTo: 'cold' })).toEqual([])
    expect((await client.query('SELECT count() AS n FROM logs')).rows).toEqual([{ n: '4' }])
    await applyTiering(client, quietLog, { storagePolicy: 'tiered', moveTo: 'cold' })
    expect((await client.query("SELECT engine_full FROM system.tables WHERE name = 'logs'")).rows).not.toEqual([
      { engine_full: expect.stringContaining('TTL') },
    ])
  })

  test('has no others, and says so', async () => {
    await expect(applyTiering(client, quietLog, { storagePolicy: 'none', moveTo: 'cold' })).rejects.toThrow(
      'the server has no storage policy none',
    )
    const elsewhere = { storagePolicy: 'tiered', moveAfter: day, moveTo: 'moon' }
    await expect(applyTiering(client, quietLog, elsewhere)).rejects.toThrow('has no volume moon, only default, cold')
  })
})
