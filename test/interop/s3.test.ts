/** Old days on S3, as a server's storage policy keeps them there. CI builds gofakes3; elsewhere this is skipped where there is none in PATH and GOFAKES3 names none. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StoreClient } from '@tributary/aggregator/store/client.ts'
import { type EmbeddedStore, openEmbedded } from '@tributary/aggregator/store/embedded.ts'
import { quietLog } from '@tributary/aggregator/store/test-store.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { linesOf, query, startAggregator } from '../harness/aggregator.ts'
import { Daemon } from '../harness/daemon.ts'
import { freePorts, type Pipeline, until } from '../harness/processes.ts'
import { program } from '../harness/programs.ts'

const s3 = program('gofakes3', 'GOFAKES3', 'required')

const hour = 3_600_000
const account = { username: 'u', password: 'p', database: 'logs' }
const patience = 30_000
/** A day has room for all of them; noon is far from both of its ends. */
const lines = 200
const noon = (daysAgo: number) => Math.floor(Date.now() / (24 * hour) - daysAgo) * 24 * hour + 12 * hour

describe.skipIf(s3 === undefined)('S3', { timeout: 120_000 }, () => {
  let directory: string
  let buckets: string
  let port: number
  let server: Daemon
  let store: EmbeddedStore
  let client: StoreClient
  let aggregator: Pipeline

  async function startS3(): Promise<void> {
    const files = ['-backend', 'fs', '-fs.path', buckets, '-fs.create', '-initialbucket', 'logs']
    server = new Daemon(s3!, [...files, '-host', `127.0.0.1:${port}`])
    const answers = async () => (await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined)) !== undefined
    await until(answers, patience, () => `the S3 server does not answer:\n${server.output}`)
  }

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tributary-s3-'))
    buckets = join(directory, 'buckets')
    port = (await freePorts(1))[0]!
    await startS3()
    const extraConfig = `<storage_configuration>
      <disks><s3><type>s3</type><endpoint>http://127.0.0.1:${port}/logs/data/</endpoint><region>us-east-1</region>
        <access_key_id>key</access_key_id><secret_access_key>secret</secret_access_key>
        <retry_attempts>1</retry_attempts><connect_timeout_ms>500</connect_timeout_ms></s3></disks>
      <policies><tiered><volumes><default><disk>default</disk></default>
        <cold><disk>s3</disk><perform_ttl_move_on_insert>0</perform_ttl_move_on_insert></cold></volumes></tiered></policies>
    </storage_configuration>`
    const listen = { listen: '127.0.0.1', port: 0, ...account, database: 'default', extraConfig }
    const engine = { directory: join(directory, 'store'), memoryBytes: 500_000_000 }
    store = await openEmbedded({ ...engine, log: quietLog, server: listen })
    const { urls } = store.connection
    const clickhouse = { url: urls, ...account, storagePolicy: 'tiered', moveAfter: '36h', moveTo: 'cold' }
    aggregator = await startAggregator({
      store: { engine: 'clickhouse', clickhouse },
      limits: { queryTimeout: '3s' },
    })
    client = new StoreClient({ ...store.connection, engine: 'clickhouse', database: account.database })
  }, 120_000)

  afterAll(async () => {
    await aggregator?.[Symbol.asyncDispose]()
    await client?.close()
    await store?.close()
    await server?.[Symbol.asyncDispose]()
    await rm(directory, { recursive: true, force: true })
  }, 60_000)

  async function push(app: string, start: number): Promise<void> {
    const values = Array.from({ length: lines }, (_, i) => [String(BigInt(start + i) * 1_000_000n), `${app} ${i}`])
    const response = await fetch(`${aggregator.url}/loki/api/v1/push`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ streams: [{ stream: { app }, values }] }),
    })
    expect(response.status, await response.text()).toBe(204)
  }

  /** Which disks the rows of a day lie on. */
  async function disksOf(time: number): Promise<string[]> {
    const day = new Date(time).toISOString().slice(0, 10)
    const { rows } = await client.query<{ disk: string }>(
      "SELECT DISTINCT disk_name AS disk FROM system.parts WHERE database = 'logs' AND table = 'logs' AND active AND partition = {day:String}",
      { day },
    )
    return rows.map(({ disk }) => disk)
  }

  const found = async (app: string, start: number) => {
    const parameters = new URLSearchParams({
      query: `{app="${app}"}`,
      start: String(start / 1000 - 1),
      end: String(start / 1000 + 60),
      limit: '5000',
      direction: 'forward',
    })
    return fetch(`${aggregator.url}/loki/api/v1/query_range?${parameters}`)
  }
  const linesFound = async (app: string, start: number) => {
    const answer = await found(app, start)
    if (!answer.ok) return []
    return linesOf(((await answer.json()) as { data: { result: never[] } }).data.result)
  }
  const all = (app: string) => Array.from({ length: lines }, (_, i) => `${app} ${i}`)

  test('old days go there and are read from there, young ones stay; without it these go on, and nothing is missing or doubled afterwards', async () => {
    const old = noon(3)
    const young = Date.now() - 60_000
    await push('old', old)
    await push('young', young)
    await expect.poll(() => disksOf(old), { timeout: patience }).toEqual(['s3'])
    expect(await linesFound('old', old)).toEqual(all('old'))
    expect(await linesFound('young', young)).toEqual(all('young'))
    expect(await disksOf(young)).toEqual(['default'])

    await server[Symbol.asyncDispose]()
    // What the engine has read of it lately it need not ask for again.
    await client.command('SYSTEM DROP MARK CACHE')
    await client.command('SYSTEM DROP UNCOMPRESSED CACHE')
    expect((await found('old', old)).status).toBe(504)
    await push('meanwhile', young)
    await push('late', old)
    await expect.poll(() => linesFound('meanwhile', young), { timeout: patience }).toEqual(all('meanwhile'))
    expect(linesOf(await query(aggregator, '{app="young"}'))).toEqual(all('young'))

    await startS3()
    await expect.poll(() => linesFound('late', old), { timeout: patience }).toEqual(all('late'))
    expect(await linesFound('old', old)).toEqual(all('old'))
    await expect.poll(() => disksOf(old), { timeout: patience }).toEqual(['s3'])
    for (const app of ['old', 'late']) expect(await linesFound(app, old)).toEqual(all(app))
  })
})
