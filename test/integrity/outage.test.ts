import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { tryTmpfs } from '../harness/disk.ts'
import { Pipeline, until } from '../harness/processes.ts'
import { chooseSeed, conclude, type Outcome, Writer, wholeVerdict } from './run.ts'

const load = {
  namespace: 'outage',
  containers: 8,
  rate: 20_000,
  rotateBytes: 128 * 1024,
  partial: 2,
  pieceBytes: 120,
} as const
/** Small, so that a log of a few MiB is full quickly. */
const smallWal = { forward: { maxMessageBytes: '1MiB' }, wal: { maxBytes: '4MiB', segmentBytes: '512KiB' } }

function expectWhole({ verdicts, audit }: Outcome): void {
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  expect(audit).toMatchObject({ ok: true, totals: { missingBytes: 0, lostBytes: 0, filteredBytes: 0 } })
  expect(audit.totals.storedBytes).toBe(audit.totals.seenBytes)
}

async function refused(pipeline: Pipeline): Promise<void> {
  await until(
    async () => (await pipeline.metric('aggregator_wal_full')) === 1,
    30_000,
    () => `the write-ahead log never was full:\n${pipeline.aggregator.output}`,
  )
}

test('an aggregator that is away for a while costs nothing', { timeout: 90_000 }, async () => {
  const seed = chooseSeed()
  await using pipeline = await Pipeline.start()
  const writer = new Writer(pipeline, { ...load, seed, duration: 4000 })
  await sleep(1000)
  await pipeline.aggregator.stop()
  await sleep(2500)
  pipeline.aggregator.start()
  expectWhole(await conclude(pipeline, [await writer.truth()], { name: 'aggregator away for a while', seed }))
})

test('a write-ahead log at its cap makes the collectors wait, and nothing is lost', { timeout: 90_000 }, async () => {
  const seed = chooseSeed()
  await using pipeline = await Pipeline.start({ aggregator: smallWal })
  // The engine hangs: rows can't leave the write-ahead log.
  const engine = pipeline.enginePid()!
  process.kill(engine, 'SIGSTOP')
  const writer = new Writer(pipeline, { ...load, seed, rate: 40_000, duration: 3000 })
  await refused(pipeline)
  await sleep(1000)
  expect(await pipeline.metric('collector_lost_bytes_total')).toBe(0)
  process.kill(engine, 'SIGCONT')
  expectWhole(await conclude(pipeline, [await writer.truth()], { name: 'write-ahead log at its cap', seed }))
})

test('a full disk under the write-ahead log makes the collectors wait, and it goes on when there is room', {
  timeout: 90_000,
}, async (context) => {
  const seed = chooseSeed()
  await using pipeline = await Pipeline.create({
    aggregator: { ...smallWal, wal: { ...smallWal.wal, maxBytes: '64MiB' } },
  })
  const wal = join(pipeline.root, 'aggregator', 'wal')
  using disk = tryTmpfs(wal, '8m')
  if (disk === undefined) return context.skip('needs the right to mount a tmpfs')
  pipeline.aggregator.start()
  pipeline.collector.start()
  await pipeline.ready()
  const filler = join(wal, 'filler')
  const writer = new Writer(pipeline, { ...load, seed, duration: 4000 })
  await sleep(1000)
  fill(filler)
  await refused(pipeline)
  await sleep(1500)
  expect(pipeline.aggregator.unexpectedExits).toBe(0)
  rmSync(filler)
  const outcome = await conclude(pipeline, [await writer.truth()], { name: 'disk of the write-ahead log full', seed })
  expect(pipeline.aggregator.unexpectedExits).toBe(0)
  await pipeline.aggregator.kill()
  expectWhole(outcome)
})

/** Takes all room there is. */
function fill(file: string): void {
  for (let size = 1 << 20; size >= 1; size >>= 1) {
    try {
      for (;;) writeFileSync(file, Buffer.alloc(size, 'x'), { flag: 'a' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }
}
