import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Pipeline } from '../harness/processes.ts'
import { chooseSeed, conclude, Writer, wholeVerdict } from './run.ts'

const load = { containers: 8, rate: 16_000, duration: 4000, rotateBytes: 128 * 1024, partial: 2, pieceBytes: 120 }

// copytruncate loses what is written between copy and truncation before anyone can read it: nothing is written then (--gap).
test('logs that are copied and truncated, and docker logs with numbered generations, arrive whole', {
  timeout: 90_000,
}, async () => {
  const seed = chooseSeed()
  await using pipeline = await Pipeline.start()
  const writers = [
    new Writer(pipeline, { ...load, seed, namespace: 'copytruncate', rotation: 'copytruncate', gap: 50 }),
    new Writer(pipeline, { ...load, seed, namespace: 'docker', rotation: 'rename', format: 'docker' }),
    new Writer(pipeline, { ...load, seed, namespace: 'docker-gzip', rotation: 'kubelet', format: 'docker' }),
  ]
  await sleep(1500)
  // The aggregator away makes the collector fall behind, so that rotated generations are read from their copies.
  await pipeline.aggregator.kill()
  await sleep(1000)
  pipeline.aggregator.start()
  const truths = await Promise.all(writers.map((writer) => writer.truth()))
  const { verdicts, audit } = await conclude(pipeline, truths, { name: 'copytruncate and docker', seed })
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  expect(audit).toMatchObject({ ok: true, totals: { missingBytes: 0, lostBytes: 0 } })
})
