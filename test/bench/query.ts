/**
 * Queries on a store of 5 M rows (`--rows N` for others; `--directory DIR` keeps the store there, for the next time): what each costs, and
 * how long one waits for it. Rows are made by the engine itself
 * from numbers, so that fifty million are there in minutes; lines are of 180 to 220 bytes, JSON and logfmt, of 200 streams over six hours.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Access } from '@tributary/aggregator/access/access.ts'
import { Credentials } from '@tributary/aggregator/access/credentials.ts'
import { createApi } from '@tributary/aggregator/api/server.ts'
import { StoreClient } from '@tributary/aggregator/store/client.ts'
import { openEmbedded } from '@tributary/aggregator/store/embedded.ts'
import { migrate } from '@tributary/aggregator/store/migrations.ts'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { cpuSeconds, quantile } from './measure.ts'
import type { BenchResult, Figure } from './result.ts'

const log = pino({ level: 'silent' })
const streams = 200
const hours = 6
/** The newest row. Whole minutes, so that every run sees the same. */
const end = 1_763_000_400
const start = end - hours * 3600
const batch = 500_000
/** Rows whose line holds the id that is looked for: one. */
const wanted = 1_234_567

const level = "multiIf(n % 50 = 0, 'error', n % 10 = 0, 'warn', 'info')"
const id = 'lower(hex(sipHash128(n)))'
const json = `concat('{"level":"', ${level}, '","msg":"request done","method":"GET","path":"/api/v1/orders/', toString(n % 10000), '","status":', toString(multiIf(n % 50 = 0, 503, n % 7 = 0, 404, 200)), ',"duration":"', toString(n % 900), 'ms","user":"u', toString(n % 5000), '","request_id":"', ${id}, '"}')`
const logfmt = `concat('level=', ${level}, ' msg="order stored" path=/api/v1/orders/', toString(n % 10000), ' status=', toString(multiIf(n % 50 = 0, 503, 200)), ' duration=', toString(n % 900), 'ms user=u', toString(n % 5000), ' region=eu-central-1 request_id=', ${id}, ' attempt=', toString(n % 3), ' cache=hit')`

async function fill(client: StoreClient, rows: number): Promise<void> {
  for (let from = 0; from < rows; from += batch) {
    await client.command(
      `INSERT INTO logs (tenant, ts, sid, cluster, namespace, pod, container, node, app, service_name, stream, labels, level, meta, line, source, offset)
       SELECT 'fake', fromUnixTimestamp64Nano(toInt64(${start}) * 1000000000 + toInt64(n * (${hours * 3600}e9 / ${rows})), 'UTC'), s,
         'bench', concat('ns', toString(s % 10)), concat('pod-', toString(s)), 'main', concat('node-', toString(s % 5)), concat('app', toString(s % 20)),
         concat('app', toString(s % 20)), 'stdout', map(), ${level}, map('pod_uid', concat('uid-', toString(s))), if(s % 2 = 0, ${json}, ${logfmt}),
         unhex(leftPad(hex(s), 32, '0')), n
       FROM (SELECT number AS n, number % ${streams} AS s FROM numbers({from:UInt64}, {count:UInt64}))`,
      { from, count: Math.min(batch, rows - from) },
      { settings: { max_insert_threads: '1' } },
    )
  }
  await client.command(
    `INSERT INTO streams (tenant, day, sid, labels, first_ts, last_ts, entries, bytes, longest_word)
     SELECT tenant, toDate(ts), sid, any(map('cluster', toString(cluster), 'namespace', toString(namespace), 'pod', toString(pod), 'container', toString(container),
       'node', toString(node), 'app', toString(app), 'service_name', toString(service_name), 'stream', toString(stream))), min(ts), max(ts), count(), sum(length(line)), max(longest_word)
     FROM logs GROUP BY tenant, toDate(ts), sid`,
  )
}

/** How long nothing has to be merged until it is believed that nothing will be, milliseconds. */
const mergedFor = 3000

/** What a load leaves to merge would cost the first queries half of their time. */
async function untilMerged(client: StoreClient): Promise<void> {
  for (let since = performance.now(); performance.now() - since < mergedFor; await sleep(200)) {
    const { rows } = await client.query<{ merges: string }>('SELECT toString(count()) AS merges FROM system.merges')
    if (rows[0]!.merges !== '0') since = performance.now()
  }
}

/** Says so where other work took from the times: what is told of CPU stands all the same. */
function besideLoad(): string {
  const load = Math.round(loadavg()[1]!)
  return load <= cpus().length
    ? ''
    : `; beside a load of ${load} on ${cpus().length} cores, so that times are those of waiting for a core, and CPU tells`
}

interface Question {
  readonly name: string
  readonly path: 'query' | 'query_range'
  readonly parameters: Readonly<Record<string, string>> & { readonly query: string }
  readonly runs: number
  /** Milliseconds, of the middle one when warm. */
  readonly goal?: number
  /** What of the store it has to go through, for its speed. */
  readonly scans?: 'bytes' | 'json lines'
  /** The text of the query that is shorter by a letter each time: else the engine knows from the time before where there is nothing to be found. */
  readonly shortened?: string
  readonly note?: string
}

const at = (seconds: number): string => String(seconds)
const all = { start: at(start), end: at(end + 1) }
const hour = { start: at(end - 3600), end: at(end + 1) }

/** More rows than this are gone through once: it takes long, and little else counts. */
const manyRows = 10_000_000

function questions(unique: string, rows: number): Question[] {
  const scans = rows > manyRows ? 1 : 5
  return [
    {
      name: 'last 100 lines of a pod, 1 h',
      path: 'query_range',
      parameters: { query: '{pod="pod-42"}', limit: '100', ...hour },
      runs: 30,
      goal: 50,
    },
    {
      name: 'newest 1,000 of everything',
      path: 'query_range',
      parameters: { query: '{cluster="bench"}', limit: '1000', ...all },
      runs: 20,
      goal: 100,
    },
    {
      name: 'a unique id over everything, as a whole word',
      path: 'query_range',
      parameters: { query: `{cluster="bench"} |= \`"${unique}"\``, limit: '100', ...all },
      runs: 20,
      goal: 100,
    },
    {
      name: 'a unique id over everything, perhaps part of a longer word',
      path: 'query_range',
      parameters: { query: `{cluster="bench"} |= \`${unique}\``, limit: '100', ...all },
      runs: 5,
      goal: 100,
      note: 'rows that have words longer than the id are looked through',
    },
    {
      name: 'lines through json, newest 100 with status >= 500',
      path: 'query_range',
      parameters: { query: '{cluster="bench"} | json | status >= 500', limit: '100', ...all },
      runs: 20,
    },
    {
      name: 'volume histogram by level',
      path: 'query_range',
      parameters: {
        query: 'sum by (level, detected_level) (count_over_time({cluster="bench"} | drop __error__ [1m]))',
        step: '60',
        ...all,
      },
      runs: 5,
      goal: 150,
    },
    {
      name: 'sum by (namespace) (rate(|= "order stored" [5m]))',
      path: 'query_range',
      parameters: { query: 'sum by (namespace) (rate({cluster="bench"} |= "order stored" [5m]))', step: '60', ...all },
      runs: scans,
      scans: 'bytes',
      shortened: 'order stored',
    },
    {
      name: 'sum(rate(| json | status >= 500 [5m])), JSON lines',
      path: 'query_range',
      parameters: {
        query: 'sum by (namespace) (rate({pod=~"pod-.*[02468]"} | json | status >= 500 [5m]))',
        step: '60',
        ...all,
      },
      runs: Math.min(scans, 2),
      scans: 'json lines',
    },
  ]
}

const { rows: rowsWanted, directory: kept } = parseArgs({
  options: { rows: { type: 'string', default: '5000000' }, directory: { type: 'string' } },
  strict: false,
}).values

/** Opens the store with so many rows in it: in a directory that is there already, those that it has. */
async function storeOf(rows: number, stack: AsyncDisposableStack): Promise<string> {
  const directory =
    typeof kept === 'string' ? join(kept, `${rows}-rows`) : mkdtempSync(join(tmpdir(), 'tributary-query-bench-'))
  if (typeof kept !== 'string') stack.defer(() => rmSync(directory, { recursive: true, force: true }))
  const filled = join(directory, 'filled')
  if (existsSync(filled)) return directory
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  const store = await openEmbedded({ directory: join(directory, 'store'), log })
  const client = new StoreClient(store.connection)
  try {
    await migrate(client, log)
    await fill(client, rows)
  } finally {
    await client.close()
    await store.close()
  }
  writeFileSync(filled, '')
  return directory
}

export async function run(): Promise<BenchResult> {
  const rows = Number(rowsWanted)
  await using stack = new AsyncDisposableStack()
  // Opened again once it is filled: nothing of the load is in memory.
  const directory = await storeOf(rows, stack)
  const store = await openEmbedded({ directory: join(directory, 'store'), log })
  stack.defer(() => store.close())
  const client = new StoreClient(store.connection)
  stack.defer(() => client.close())
  await migrate(client, log)
  await untilMerged(client)
  const read = await client.query<{ id: string; bytes: string }>(
    `SELECT extract(line, 'request_id":"([0-9a-f]+)') AS id, toString((SELECT sum(bytes) FROM streams)) AS bytes FROM logs WHERE offset = {n:UInt64}`,
    { n: Math.min(wanted, rows - 1) & ~1 },
  )
  const [{ id: unique, bytes }] = read.rows as [{ id: string; bytes: string }]
  const app = createApi({
    version: 'bench',
    log,
    registry: new Registry(),
    store: client,
    ready: () => ({ ready: true }),
    access: new Access(new Credentials([]), false),
    audit: () => [],
    // A scan of many rows on a busy machine is measured all the same.
    queryTimeoutMs: 600_000,
  })
  stack.defer(() => app.close())
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const figures: Figure[] = []
  for (const question of questions(unique, rows))
    figures.push(...(await measure(url, question, store.pid, rows, Number(bytes))))
  const million = rows / 1e6
  return {
    bench: million === 5 ? 'query' : `query, ${million} M rows`,
    what: `queries over HTTP on ${million} M rows of ${Math.round(Number(bytes) / rows)} bytes of line, ${streams} streams over ${hours} hours: the first time after a start (cold for the engine; the files are in the page cache), then again. CPU of the API's process and the engine's together${besideLoad()}`,
    figures,
  }
}

async function measure(
  url: string,
  { name, path, parameters, runs, goal, scans, shortened, note }: Question,
  engine: number,
  rows: number,
  bytes: number,
): Promise<Figure[]> {
  let asked = 0
  const ask = async (): Promise<number> => {
    const { query, ...others } = parameters
    const text = shortened === undefined ? query : query.replace(shortened, shortened.slice(0, -asked || undefined))
    asked++
    const began = performance.now()
    const response = await fetch(`${url}/loki/api/v1/${path}?${new URLSearchParams({ ...others, query: text })}`)
    const answer = await response.text()
    if (!response.ok) throw new Error(`${name}: ${response.status} ${answer}`)
    if (!answer.includes('"result":[{')) throw new Error(`${name} finds nothing`)
    return performance.now() - began
  }
  const cold = await ask()
  const cpu = () => cpuSeconds(process.pid) + cpuSeconds(engine)
  const before = cpu()
  const times: number[] = []
  for (let i = 0; i < runs; i++) times.push(await ask())
  const spent = (cpu() - before) / runs
  const figures: Figure[] = [
    {
      name: `${name}: p50`,
      value: quantile(times, 0.5),
      unit: 'ms',
      ...(goal && { goal: { atMost: goal } }),
      ...(note && { note }),
    },
    { name: `${name}: p99`, value: quantile(times, 0.99), unit: 'ms' },
    { name: `${name}: cold`, value: cold, unit: 'ms' },
    { name: `${name}: CPU`, value: spent * 1000, unit: 'CPU-ms' },
  ]
  if (scans === 'bytes')
    figures.push({ name: `${name}: speed`, value: bytes / spent / 1e9, unit: 'GB/CPU-s', goal: { atLeast: 1 } })
  if (scans === 'json lines')
    figures.push({ name: `${name}: speed`, value: rows / 2 / spent, unit: 'lines/CPU-s', goal: { atLeast: 300_000 } })
  return figures
}
