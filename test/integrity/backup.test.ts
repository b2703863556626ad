/**
 * A backup of an aggregator that runs; its volume is lost; a new one is filled from the backup. What the backup has is there once. What was
 * acknowledged after it is sent again where the files still have it, and what is missing is what was acknowledged after it and whose files are gone.
 */
import { join } from 'node:path'
import { runBackup } from 'tributary/backup.ts'
import { totals } from 'tributary/generate/truth.ts'
import { expect, test } from 'vitest'
import { Pipeline, until } from '../harness/processes.ts'
import { judge, settle } from '../harness/read-back.ts'
import { removePods, restoreVolume } from './restore.ts'
import { chooseSeed, conclude, isSound, Writer, wholeVerdict } from './run.ts'

const load = { containers: 4, rate: 600, rotateBytes: 32 * 1024, partial: 2, pieceBytes: 120 } as const

/** The aggregator is killed, its volume gone; another one has what is in the archive. */
async function loseVolumeAndRestore(pipeline: Pipeline, archive: string): Promise<void> {
  const engine = pipeline.enginePid()!
  await pipeline.aggregator.kill()
  await restoreVolume(pipeline, engine, archive)
  pipeline.aggregator.start()
  await pipeline.ready()
}

async function backUp(pipeline: Pipeline): Promise<string> {
  const archive = join(pipeline.root, 'backup.tar')
  await runBackup({ addr: pipeline.url, out: archive }, () => {})
  return archive
}

test('lines stream in, a backup is made, the volume is lost and restored: only what was acknowledged since and has no file any more is missing', {
  timeout: 300_000,
}, async () => {
  const seed = chooseSeed()
  await using pipeline = await Pipeline.start()
  const before = await new Writer(pipeline, { ...load, namespace: 'before', duration: 2000, seed }).truth()
  await settle(pipeline, [before], 60_000)
  removePods(pipeline, 'before')
  await using through = new Writer(pipeline, { ...load, namespace: 'through', duration: 600_000, seed })
  await until(
    async () => ((await pipeline.metric('aggregator_load_blocks_total')) ?? 0) >= 4,
    60_000,
    () => `nothing is loaded:\n${pipeline.aggregator.output}`,
  )
  const archive = await backUp(pipeline)
  const [late, gone] = await Promise.all([
    new Writer(pipeline, { ...load, namespace: 'late', duration: 2000, seed }).truth(),
    new Writer(pipeline, { ...load, namespace: 'gone', duration: 2000, seed }).truth(),
  ])
  const early = await settle(pipeline, [late, gone], 60_000)
  expect(await judge(pipeline, gone, early)).toMatchObject(wholeVerdict)
  removePods(pipeline, 'gone')
  // As long as the collector holds the files open, it can send them again.
  await until(
    async () => (await pipeline.metric('collector_logs')) === 2 * load.containers,
    60_000,
    () => 'the collector does not let go of the logs that are gone',
  )

  await loseVolumeAndRestore(pipeline, archive)
  const kept = [before, await through.finish(), late]
  const outcome = await conclude(pipeline, kept, { name: 'backup', seed }, 150_000)
  for (const verdict of outcome.verdicts) expect(verdict).toMatchObject(wholeVerdict)
  expect(isSound(outcome.verdicts, outcome.audit)).toBe(true)
  expect(await judge(pipeline, gone, outcome.audit)).toMatchObject({
    missing: totals(gone).lines,
    doubled: 0,
    corrupted: 0,
  })
  expect(pipeline.collector.output).toContain('the ledger was restored from a backup')
})

test('a collector that starts after the restore sends again what the ledger lacks, and names what it cannot', {
  timeout: 300_000,
}, async () => {
  const seed = chooseSeed()
  await using pipeline = await Pipeline.start()
  const before = await new Writer(pipeline, { ...load, namespace: 'before', duration: 1500, seed }).truth()
  await settle(pipeline, [before], 60_000)
  const archive = await backUp(pipeline)
  const [late, gone] = await Promise.all([
    new Writer(pipeline, { ...load, namespace: 'late', duration: 1500, seed }).truth(),
    new Writer(pipeline, { ...load, namespace: 'gone', duration: 1500, seed }).truth(),
  ])
  await settle(pipeline, [late, gone], 60_000)
  await pipeline.collector.stop()
  removePods(pipeline, 'gone')
  await loseVolumeAndRestore(pipeline, archive)
  pipeline.collector.start()
  const { verdicts, audit } = await conclude(
    pipeline,
    [before, late, gone],
    { name: 'collector after the restore', seed },
    150_000,
  )
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  const bytes = gone.containers.flatMap(({ generations }) => generations).reduce((sum, one) => sum + one.bytes, 0)
  expect(audit).toMatchObject({ ok: true, totals: { missingBytes: 0, lostBytes: bytes } })
})
