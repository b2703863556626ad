/** The store `clickhouse`, at addresses that fail in every way they can, and whose engine is killed: all lines, each once. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Pipeline } from '../harness/processes.ts'
import { randomFrom } from '../harness/random.ts'
import { StandIn } from '../harness/stand-in.ts'
import { type StoreFault, StoreProxy } from '../harness/store-proxy.ts'
import { chooseSeed, conclude, type Outcome, Writer, wholeVerdict } from './run.ts'

const load = { containers: 6, rate: 2_000, rotateBytes: 128 * 1024, partial: 2, pieceBytes: 120 } as const
/** Many blocks, so that many meet a fault. */
const smallBlocks = { load: { blockRows: 500, blockDelay: '100ms' } }

const faults: readonly StoreFault[] = [
  { kind: 'cut' },
  { kind: 'stored, then 500' },
  { kind: 'stored, then cut' },
  { kind: 'late', delay: 3_000 },
  { kind: 'exception', code: 242, name: 'TABLE_IS_READ_ONLY' },
  { kind: 'exception', code: 202, name: 'TOO_MANY_SIMULTANEOUS_QUERIES' },
  { kind: 'exception', code: 225, name: 'NO_ZOOKEEPER' },
]

function expectWhole({ verdicts, audit }: Outcome): void {
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  expect(audit).toMatchObject({ ok: true, totals: { missingBytes: 0, lostBytes: 0, filteredBytes: 0 } })
}

/** A proxy that makes a fault of every third insert or so, each kind in turn, until it is calm. */
function faulty(target: StandIn, seed: number, calm: AbortSignal): Promise<StoreProxy> {
  const random = randomFrom(seed)
  let next = random(faults.length)
  return StoreProxy.listen(
    () => target.url,
    () => (!calm.aborted && random(3) === 0 ? faults[next++ % faults.length]! : { kind: 'none' }),
  )
}

test('two addresses of a server, inserts cut, answered late, refused, and called failed after they were stored, its engine killed', {
  timeout: 240_000,
}, async () => {
  const seed = chooseSeed()
  const calm = new AbortController()
  await using standIn = await StandIn.start()
  await using first = await faulty(standIn, seed, calm.signal)
  await using second = await faulty(standIn, seed + 1, calm.signal)
  const clickhouse = { url: [first.url, second.url], database: 'logs', insertTimeout: '2s' }
  await using pipeline = await Pipeline.start({
    aggregator: { store: { engine: 'clickhouse', clickhouse }, ...smallBlocks },
  })
  const writer = new Writer(pipeline, { ...load, namespace: 'faults', seed, duration: 60_000 })
  const made = (kind: string) => (first.made[kind] ?? 0) + (second.made[kind] ?? 0)
  let kills = 0
  while (writer.writing && (kills < 3 || faults.some(({ kind }) => made(kind) === 0))) {
    await sleep(1_000)
    if (kills < 3 && standIn.killEngine()) kills++
    await standIn.answers()
  }
  const truth = await writer.finish()
  calm.abort()
  const events = { kills, ...Object.fromEntries(faults.map(({ kind }) => [kind, made(kind)])) }
  expectWhole(await conclude(pipeline, [truth], { name: 'store at two bad addresses', seed, events }))
  expect(kills).toBeGreaterThan(1)
  for (const { kind } of faults) expect(made(kind), `the run never had: ${kind}`).toBeGreaterThan(0)
  expect(await pipeline.metric('aggregator_store_addresses')).toBe(2)
})

test('a store with too many parts is waited for, by its name, and nothing is lost', { timeout: 180_000 }, async () => {
  const seed = chooseSeed()
  await using standIn = await StandIn.start()
  let full = true
  await using proxy = await StoreProxy.listen(
    () => standIn.url,
    ({ query }) =>
      full && query.includes('INTO logs') ? { kind: 'exception', code: 252, name: 'TOO_MANY_PARTS' } : { kind: 'none' },
  )
  const clickhouse = { url: proxy.url, database: 'logs' }
  await using pipeline = await Pipeline.start({
    aggregator: { store: { engine: 'clickhouse', clickhouse }, ...smallBlocks },
  })
  const writer = new Writer(pipeline, { ...load, namespace: 'parts', seed, duration: 3_000 })
  await expect.poll(() => pipeline.metric('aggregator_store_back_pressure'), { timeout: 30_000 }).toBe(1)
  const truth = await writer.truth()
  expect(await pipeline.metrics('aggregator')).toMatch(/aggregator_load_retries_total\{reason="too_many_parts"\} [1-9]/)
  expect(await pipeline.metrics('aggregator')).toMatch(
    /aggregator_load_waiting_seconds_total\{reason="too_many_parts"\} [0-9.]*[1-9]/,
  )
  full = false
  expectWhole(await conclude(pipeline, [truth], { name: 'too many parts', seed }))
  await expect.poll(() => pipeline.metric('aggregator_store_back_pressure'), { timeout: 30_000 }).toBe(0)
})

test('as the only node of a cluster, with distributed tables, killed on the way', { timeout: 180_000 }, async () => {
  const seed = chooseSeed()
  await using standIn = await StandIn.start('--cluster', 'prod')
  const clickhouse = { url: standIn.url, database: 'logs', cluster: 'prod' }
  await using pipeline = await Pipeline.start({
    aggregator: { store: { engine: 'clickhouse', clickhouse }, ...smallBlocks },
  })
  const writer = new Writer(pipeline, { ...load, namespace: 'cluster', seed, duration: 3_000 })
  await sleep(1_500)
  standIn.killEngine()
  await standIn.answers()
  expectWhole(
    await conclude(pipeline, [await writer.truth()], { name: 'one-node cluster', seed, events: { kills: 1 } }),
  )
})
