import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeCheckpoints } from '@tributary/collector/checkpoint/checkpoint-file.ts'
import { totals } from 'tributary/generate/truth.ts'
import { expect, test } from 'vitest'
import { lostRecords } from '../harness/oracle.ts'
import { cluster, node, Pipeline, until } from '../harness/processes.ts'
import { chooseSeed, conclude, Writer, wholeVerdict } from './run.ts'

test('what is deleted before it can be read is in the audit as lost, exactly, and nothing else is missing', {
  timeout: 90_000,
}, async () => {
  const seed = chooseSeed()
  await using pipeline = await Pipeline.start({
    collector: {
      limits: { unlinkedBytes: '256KiB', spoolBytes: '0', inFlightBytes: '1MiB' },
      logs: { scanInterval: '100ms' },
    },
  })
  // A generation lives for a second and two more are kept: the collector sees each, and can't read most while the aggregator is away.
  const load = { containers: 6, rate: 6000, duration: 7000, rotateBytes: 160 * 1024, partial: 2, pieceBytes: 120 }
  const writer = new Writer(pipeline, { ...load, seed, namespace: 'deletion', rotation: 'kubelet', keep: 2 })
  await sleep(1500)
  await pipeline.aggregator.kill()
  await sleep(4000)
  pipeline.aggregator.start()
  const truth = await writer.truth()
  const { verdicts, audit } = await conclude(pipeline, [truth], { name: 'deleted unread', seed })
  const { lost, unknownSources } = lostRecords(truth, { cluster, node }, audit.sources)
  const lostLines = lost.reduce((sum, { size }) => sum + size, 0)
  const reasons = new Set(audit.sources.flatMap((source) => source.lost.map(({ reason }) => reason)))
  console.log(`lost: ${lostLines} of ${totals(truth).lines} lines, reasons: ${[...reasons].join(', ')}`)
  expect(unknownSources).toBe(0)
  expect(lostLines).toBeGreaterThan(1000)
  // Missing counts what is absent and not reported, wronglyLost what is reported and not absent.
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  for (const reason of reasons) expect(['deleted', 'shed']).toContain(reason)
  expect(audit.totals.missingBytes).toBe(0)
  expect(audit.totals.storedBytes + audit.totals.lostBytes).toBe(totals(truth).bytes)
})

test('what is deleted while the collector is down is in the audit as lost, as far as it had been seen', {
  timeout: 90_000,
}, async () => {
  const seed = chooseSeed()
  await using pipeline = await Pipeline.start({ collector: { checkpoints: { interval: '100ms' } } })
  const load = { containers: 4, rate: 8000, rotateBytes: 160 * 1024, partial: 2, pieceBytes: 120 }
  const writer = new Writer(pipeline, { ...load, seed, duration: 2500, namespace: 'vanished', rotation: 'rename' })
  await sleep(1200)
  await pipeline.aggregator.kill()
  const truth = await writer.truth()
  // What nobody has seen, nobody can miss: the collector has looked at all of it, and written down that it did.
  const { bytes } = totals(truth)
  await until(
    async () => seenBytes(pipeline) === bytes,
    30_000,
    () => `of ${bytes} bytes the checkpoints know ${seenBytes(pipeline)}`,
  )
  await pipeline.collector.kill()
  for (const { path } of truth.containers.flatMap(({ generations }) => generations.slice(0, -1))) rmSync(path)
  pipeline.aggregator.start()
  pipeline.collector.start()
  const { verdicts, audit } = await conclude(pipeline, [truth], { name: 'deleted while the collector was down', seed })
  const { lost, unknownSources } = lostRecords(truth, { cluster, node }, audit.sources)
  expect(unknownSources).toBe(0)
  expect(lost.reduce((sum, { size }) => sum + size, 0)).toBeGreaterThan(1000)
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  expect(new Set(audit.sources.flatMap((source) => source.lost.map(({ reason }) => reason)))).toEqual(
    new Set(['deleted']),
  )
  expect(audit.totals.missingBytes).toBe(0)
  expect(audit.totals.storedBytes + audit.totals.lostBytes).toBe(totals(truth).bytes)
})

/** Bytes of all generations that the collector has written down as seen. */
function seenBytes({ root }: Pipeline): number {
  const { checkpoints } = decodeCheckpoints(readFileSync(join(root, 'collector', 'checkpoints')))
  return checkpoints.reduce((sum, { seen }) => sum + seen, 0)
}
