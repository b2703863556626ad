/**
 * From the former version to this one, on what the former one's processes left: store, write-ahead log, ledger, checkpoints, spool and backup.
 * Containers write all the time. Nothing is missing, doubled or out of order, over the way back too.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { migrations } from '@tributary/aggregator/store/schema.ts'
import { runBackup } from 'tributary/backup.ts'
import { type Truth, totals } from 'tributary/generate/truth.ts'
import { expect, test } from 'vitest'
import { Pipeline, type PipelineOptions, script, until } from '../harness/processes.ts'
import { settle } from '../harness/read-back.ts'
import { Former, formerSchema } from './former/former.ts'
import { removePods, restoreVolume } from './restore.ts'
import { chooseSeed, conclude, isSound, Writer, wholeVerdict } from './run.ts'

const load = { containers: 4, rate: 800, rotateBytes: 32 * 1024, partial: 2, pieceBytes: 120 } as const
const forever = 600_000
const present = { collector: script('collector'), aggregator: script('aggregator') }
const newest = migrations.at(-1)!.version

type Process = keyof typeof present

/** Both processes are the former ones, and answer. */
async function startFormer(former: Former, options: PipelineOptions = {}): Promise<Pipeline> {
  const pipeline = await Pipeline.create(options)
  pipeline.aggregator.become(former.aggregator)
  pipeline.collector.become(former.collector)
  pipeline.aggregator.start()
  pipeline.collector.start()
  await pipeline.ready()
  return pipeline
}

/** Stopped as a rollout stops it, and another version started in its place. */
async function replace(pipeline: Pipeline, which: Process, version: Record<Process, string>): Promise<void> {
  expect(await pipeline[which].stop()).toBe(0)
  pipeline[which].become(version[which])
  pipeline[which].start()
}

/** Waits until a metric is so much higher than it is. */
async function grows(pipeline: Pipeline, name: string, by: number): Promise<void> {
  const value = async () => (await pipeline.metric(name)) ?? 0
  const from = await value()
  await until(
    async () => (await value()) >= from + by,
    60_000,
    () => `${name} stays at ${from}:\n${pipeline.aggregator.output}\n${pipeline.collector.output}`,
  )
}

async function says(pipeline: Pipeline, text: string, deadlineMs = 60_000): Promise<void> {
  const { aggregator } = pipeline
  await until(
    () => aggregator.output.includes(text),
    deadlineMs,
    () => `it does not say ${text}:\n${aggregator.output}`,
  )
}

/** Lines of a namespace by what counts them: each minute's count where it is kept, and every line where not. */
async function counted(pipeline: Pipeline, namespace: string): Promise<number> {
  const query = `sum(count_over_time({namespace="${namespace}"}[1d]))`
  const time = String(Math.ceil(Date.now() / 60_000) * 60)
  const answer = await fetch(`${pipeline.url}/loki/api/v1/query?${new URLSearchParams({ query, time })}`)
  const { data } = (await answer.json()) as { data: { result: readonly { value: [number, string] }[] } }
  return Number(data.result[0]?.value[1])
}

/** All is there once, by every line's number, by the audit, and by the counts that the migration made. */
async function expectWhole(pipeline: Pipeline, truths: readonly Truth[], name: string, seed: number): Promise<void> {
  const { verdicts, audit } = await conclude(pipeline, truths, { name, seed }, 150_000)
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  expect(isSound(verdicts, audit)).toBe(true)
  for (const truth of truths) expect(await counted(pipeline, truth.containers[0]!.namespace)).toBe(totals(truth).lines)
}

/** The present one has brought the schema to its own version. */
async function expectMigrated(pipeline: Pipeline): Promise<void> {
  await pipeline.ready()
  for (const { version, name } of migrations.slice(formerSchema))
    await says(pipeline, JSON.stringify({ version, migration: name }).slice(1, -1))
}

test('the version that is packed is a former one', () => {
  expect(newest).toBeGreaterThan(formerSchema)
})

test('the aggregator is upgraded, then the collector, while containers write', { timeout: 300_000 }, async () => {
  const seed = chooseSeed()
  using former = new Former()
  await using pipeline = await startFormer(former)
  await using writer = new Writer(pipeline, { ...load, namespace: 'through', duration: forever, seed })
  await grows(pipeline, 'aggregator_load_blocks_total', 4)
  await replace(pipeline, 'aggregator', present)
  await expectMigrated(pipeline)
  // The former collector goes on with it.
  await grows(pipeline, 'aggregator_load_blocks_total', 2)
  await replace(pipeline, 'collector', present)
  await grows(pipeline, 'collector_acked_bytes_total', 100_000)
  await expectWhole(pipeline, [await writer.finish()], 'upgraded', seed)
})

test('both are killed while the write-ahead log has what is not stored, and come back upgraded', {
  timeout: 300_000,
}, async () => {
  const seed = chooseSeed()
  using former = new Former()
  // Blocks wait for more: the log always has some.
  await using pipeline = await startFormer(former, { aggregator: { load: { blockDelay: '3s' } } })
  await using writer = new Writer(pipeline, { ...load, namespace: 'killed', duration: forever, seed })
  await grows(pipeline, 'aggregator_load_blocks_total', 2)
  await until(
    async () => ((await pipeline.metric('aggregator_load_behind_bytes')) ?? 0) > 20_000,
    60_000,
    () => 'the write-ahead log is empty',
  )
  await Promise.all([pipeline.aggregator.kill(), pipeline.collector.kill()])
  expect(existsSync(join(pipeline.root, 'collector', 'checkpoints'))).toBe(true)
  pipeline.aggregator.become(present.aggregator)
  pipeline.collector.become(present.collector)
  pipeline.aggregator.start()
  // A start that is cut short, wherever it is.
  await pipeline.aggregator.kill()
  pipeline.aggregator.start()
  pipeline.collector.start()
  await expectMigrated(pipeline)
  await grows(pipeline, 'aggregator_load_blocks_total', 2)
  await expectWhole(pipeline, [await writer.finish()], 'killed and upgraded', seed)
})

test('what the former collector saved of deleted files, the present one sends', { timeout: 300_000 }, async () => {
  const seed = chooseSeed()
  using former = new Former()
  const collector = { shutdown: { drain: '0s' }, checkpoints: { interval: '100ms' }, logs: { scanInterval: '100ms' } }
  await using pipeline = await startFormer(former, { collector })
  const before = await new Writer(pipeline, { ...load, namespace: 'before', duration: 1500, seed }).truth()
  await settle(pipeline, [before], 60_000)
  expect(await pipeline.aggregator.stop()).toBe(0)
  const deleted = await new Writer(pipeline, { ...load, namespace: 'deleted', duration: 1500, seed }).truth()
  const held = async () => {
    const waiting = ['collector_unread_bytes', 'collector_in_flight_bytes']
    const bytes = await Promise.all(waiting.map((name) => pipeline.metric(name)))
    return bytes.reduce<number>((sum, one) => sum + (one ?? 0), 0)
  }
  await until(
    async () => (await held()) >= totals(deleted).bytes,
    30_000,
    () => `the collector has not seen all of ${totals(deleted).bytes} bytes:\n${pipeline.collector.output}`,
  )
  removePods(pipeline, 'deleted')
  await until(
    async () => ((await pipeline.metric('collector_unlinked_bytes')) ?? 0) > 0,
    30_000,
    () => 'the collector does not notice that its files are gone',
  )
  await replace(pipeline, 'collector', present)
  const spool = () => readdirSync(join(pipeline.root, 'collector', 'spool'))
  expect(spool().length).toBeGreaterThan(0)
  pipeline.aggregator.become(present.aggregator)
  pipeline.aggregator.start()
  await expectMigrated(pipeline)
  await expectWhole(pipeline, [before, deleted], 'spooled by the former collector', seed)
  await expect.poll(spool).toEqual([])
})

test('back: after the migration the former aggregator only keeps what it is sent, and a backup brings it back whole', {
  timeout: 400_000,
}, async () => {
  const seed = chooseSeed()
  using former = new Former()
  await using pipeline = await startFormer(former)
  await using writer = new Writer(pipeline, { ...load, rotateBytes: 0, namespace: 'back', duration: forever, seed })
  await grows(pipeline, 'aggregator_load_blocks_total', 3)
  const archive = join(pipeline.root, 'before.tar')
  await runBackup({ addr: pipeline.url, out: archive }, () => {})
  await replace(pipeline, 'aggregator', present)
  await expectMigrated(pipeline)
  await replace(pipeline, 'collector', present)
  await grows(pipeline, 'aggregator_load_blocks_total', 2)

  // The collector goes back, and then the aggregator, which stores nothing and loses nothing.
  await replace(pipeline, 'collector', former)
  await grows(pipeline, 'collector_acked_bytes_total', 50_000)
  await replace(pipeline, 'aggregator', former)
  await says(pipeline, `the store has schema version ${newest} and this program knows versions up to ${formerSchema}`)
  await grows(pipeline, 'aggregator_receive_records_total', 500)
  expect((await fetch(`${pipeline.url}/ready`)).status).toBe(503)
  await replace(pipeline, 'aggregator', present)
  await pipeline.ready()
  await grows(pipeline, 'aggregator_load_blocks_total', 2)

  // Really back: the store of before the upgrade, and the lines since then once more from their files, here by a collector that is not back yet.
  await replace(pipeline, 'collector', present)
  const engine = pipeline.enginePid()!
  await pipeline.aggregator.stop()
  await restoreVolume(pipeline, engine, archive)
  pipeline.aggregator.become(former.aggregator)
  pipeline.aggregator.start()
  await pipeline.ready()
  const truth = await writer.finish()
  await expectWhole(pipeline, [truth], 'back on the former version', seed)
  // And forward once more, from a restored backup.
  await replace(pipeline, 'aggregator', present)
  await expectMigrated(pipeline)
  await expectWhole(pipeline, [truth], 'forward again', seed)
})
