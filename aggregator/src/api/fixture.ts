/** For tests: a real store with rows of the test's making, and the API in front of it. */
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { Access } from '../access/access.ts'
import { Credentials } from '../access/credentials.ts'
import { wideLabels } from '../logql/sql.ts'
import { defaultTenant } from '../logql/tenant-scope.ts'
import { StoreClient } from '../store/client.ts'
import { openEmbedded } from '../store/embedded.ts'
import { migrate } from '../store/migrations.ts'
import type { StoredEntry } from './oracle.ts'
import { type ApiOptions, createApi } from './server.ts'

export interface Fixture extends AsyncDisposable {
  readonly client: StoreClient
  /** Of the API, such as `http://127.0.0.1:40001`. */
  readonly url: string
  /** @param encoding of the lines: `latin1` to write bytes that are not UTF-8 */
  insert(entries: readonly StoredEntry[], encoding?: BufferEncoding, tenant?: string): Promise<void>
}

export async function openFixture(options: Partial<ApiOptions> = {}): Promise<Fixture> {
  const stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'tributary-api-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const log = pino({ level: 'silent' })
  const store = stack.use(await openEmbedded({ directory, log }))
  const client = new StoreClient(store.connection)
  stack.defer(() => client.close())
  await migrate(client, log)
  const url = await listen(stack, { store: client, ...options })
  return {
    client,
    url,
    insert: (entries, encoding = 'utf8', tenant = defaultTenant) => insert(client, entries, encoding, tenant),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** Starts an API on a free port of loopback and returns its address. */
export async function listen(
  stack: AsyncDisposableStack,
  options: Pick<ApiOptions, 'store'> & Partial<ApiOptions>,
): Promise<string> {
  const app = createApi({
    access: new Access(new Credentials([]), false),
    version: '0.0.0-test',
    log: pino({ level: 'silent' }),
    registry: new Registry(),
    ready: () => ({ ready: true }),
    audit: () => [],
    ...options,
  })
  stack.defer(() => app.close())
  await app.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

/** Any function of the labels will do for an id, as long as it tells them apart. */
function streamId(labels: Readonly<Record<string, string>>): string {
  const text = JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))
  return createHash('sha256').update(text).digest().readBigUInt64BE().toString()
}

const rowTypes = {
  tenant: 'String',
  ts: "DateTime64(9,'UTC')",
  sid: 'UInt64',
  ...Object.fromEntries([...wideLabels].map((name) => [name, 'String'])),
  labels: 'Map(String,String)',
  level: 'String',
  meta: 'Map(String,String)',
  line: 'String',
  source: 'String',
  offset: 'UInt64',
}

const streamTypes = {
  tenant: 'String',
  day: 'Date',
  sid: 'UInt64',
  labels: 'Map(String,String)',
  first_ts: "DateTime64(9,'UTC')",
  last_ts: "DateTime64(9,'UTC')",
  entries: 'UInt64',
  bytes: 'UInt64',
}

/** Rows come as a bound parameter: data inline in a statement would end at its first blank line. */
async function insertRows(
  client: StoreClient,
  table: string,
  types: Record<string, string>,
  rows: readonly Record<string, unknown>[],
): Promise<void> {
  const columns = Object.keys(types)
  const selected = columns.map((name) => (name === 'line' || name === 'source' ? `unhex(${name})` : name))
  const structure = columns.map((name) => `${name} ${types[name]}`).join(', ')
  for (let at = 0; at < rows.length; at += 500) {
    const text = rows
      .slice(at, at + 500)
      .map((row) => JSON.stringify(row))
      .join('\n')
    await client.command(
      `INSERT INTO ${table} (${columns.join(', ')}) SELECT ${selected.join(', ')} FROM format('JSONEachRow', {structure:String}, {rows:String})`,
      { structure, rows: text },
    )
  }
}

const time = (nanoseconds: bigint): string =>
  `${nanoseconds / 1_000_000_000n}.${String(nanoseconds % 1_000_000_000n).padStart(9, '0')}`

async function insert(
  client: StoreClient,
  entries: readonly StoredEntry[],
  encoding: BufferEncoding,
  tenant: string,
): Promise<void> {
  const rows = entries.map((entry) => ({
    tenant,
    ts: time(entry.time),
    sid: streamId(entry.stream),
    ...Object.fromEntries([...wideLabels].map((name) => [name, entry.stream[name] ?? ''])),
    labels: Object.fromEntries(Object.entries(entry.stream).filter(([name]) => !wideLabels.has(name))),
    level: entry.level,
    meta: entry.meta,
    line: Buffer.from(entry.line, encoding).toString('hex'),
    source: entry.source,
    offset: entry.offset,
  }))
  await insertRows(client, 'logs', rowTypes, rows)
  const streams = entries.map((entry) => ({
    tenant,
    day: new Date(Number(entry.time / 1_000_000n)).toISOString().slice(0, 10),
    sid: streamId(entry.stream),
    labels: entry.stream,
    first_ts: time(entry.time),
    last_ts: time(entry.time),
    entries: 1,
    bytes: Buffer.byteLength(entry.line, encoding),
  }))
  await insertRows(client, 'streams', streamTypes, streams)
}
