/** Files are deleted while the aggregator is away, more than may be held open: the rest waits in the spool, over a restart of the collector. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeCheckpoints } from '@tributary/collector/checkpoint/checkpoint-file.ts'
import { sourceOf, type Truth, totals } from 'tributary/generate/truth.ts'
import { expect, test } from 'vitest'
import { lostRecords } from '../harness/oracle.ts'
import { cluster, node, Pipeline, until } from '../harness/processes.ts'
import { chooseSeed, conclude, Writer, wholeVerdict } from './run.ts'

// A generation lives for a second and one more is kept: what was written while the aggregator is away is deleted, but for the last of it.
const load = {
  containers: 6,
  rate: 6000,
  duration: 4000,
  rotateBytes: 160 * 1024,
  partial: 2,
  pieceBytes: 120,
  keep: 1,
}
const limits = { unlinkedBytes: '512KiB', unlinkedBytesPerPod: '256KiB', inFlightBytes: '1MiB' }

interface Behind {
  readonly pipeline: Pipeline
  readonly truth: Truth
  readonly seed: number
}

/** A collector that has fallen behind, with deleted files in its hands and in the spool. The aggregator is away. */
async function fallBehind(namespace: string, spoolBytes: string): Promise<Behind> {
  const seed = chooseSeed()
  const pipeline = await Pipeline.start({
    collector: {
      limits: { ...limits, spoolBytes },
      logs: { scanInterval: '100ms' },
      checkpoints: { interval: '100ms' },
      shutdown: { drain: '0s' },
    },
  })
  const writer = new Writer(pipeline, { ...load, seed, namespace, rotation: 'kubelet' })
  const received = async () => (await pipeline.metric('aggregator_receive_records_total')) ?? 0
  await until(
    async () => (await received()) > 1000,
    20_000,
    () => `nothing is received:\n${pipeline.aggregator.output}`,
  )
  await pipeline.aggregator.kill()
  const truth = await writer.truth()
  await until(
    () => unseen(pipeline, truth).length === 0,
    60_000,
    () => `the checkpoints do not have all of ${unseen(pipeline, truth).join(', ')}:\n${pipeline.collector.output}`,
  )
  return { pipeline, truth, seed }
}

/** Paths of generations of which the checkpoints do not have all bytes. What was acknowledged whole and deleted they know no more. */
function unseen({ root }: Pipeline, { containers }: Truth): string[] {
  const file = join(root, 'collector', 'checkpoints')
  if (!existsSync(file)) return ['anything']
  const seen = new Map(decodeCheckpoints(readFileSync(file)).checkpoints.map((one) => [one.source, one.seen]))
  return containers.flatMap((container) => {
    const written = container.generations.filter(({ bytes }) => bytes > 0)
    const known = written.map((one) => seen.get(sourceOf(container, one, { cluster, node }).toString('hex')))
    const first = known.findIndex((bytes) => bytes !== undefined)
    return written
      .filter(({ bytes }, i) => first === -1 || (i >= first && (known[i] ?? 0) < bytes))
      .map(({ path }) => path)
  })
}

const spoolOf = ({ root }: Pipeline) => readdirSync(join(root, 'collector', 'spool'))

async function isEmptied(pipeline: Pipeline): Promise<void> {
  await until(
    () => spoolOf(pipeline).length === 0,
    10_000,
    () => `still in the spool: ${spoolOf(pipeline).join(', ')}`,
  )
}

test('what is deleted while the aggregator is away is spooled, and sent after a restart', {
  timeout: 180_000,
}, async () => {
  const { pipeline, truth, seed } = await fallBehind('spool', '100MiB')
  await using _ = pipeline
  expect(spoolOf(pipeline).length).toBeGreaterThan(0)
  const held = async () => (await pipeline.metric('collector_unlinked_bytes'))!
  expect(await held()).toBeGreaterThan(0)
  // Files are saved beside the reading, and the gauge is set once a second.
  let last = Number.POSITIVE_INFINITY
  await until(
    async () => {
      last = await held()
      return last <= 512 * 1024
    },
    10_000,
    () => `${last} bytes are held open, of 512 KiB`,
  )
  expect(last, 'what is within the limit stays open').toBeGreaterThan(0)
  const before = spoolOf(pipeline).length
  await pipeline.collector.stop()
  expect(spoolOf(pipeline).length, 'what was held open is saved too').toBeGreaterThan(before)
  pipeline.collector.start()
  pipeline.aggregator.start()
  const { verdicts, audit } = await conclude(pipeline, [truth], { name: 'spooled', seed })
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  expect(audit.totals).toMatchObject({ missingBytes: 0, lostBytes: 0, storedBytes: totals(truth).bytes })
  await isEmptied(pipeline)
})

/** What is lost is what the audit says is lost, and it has every byte. */
async function expectExactLoss({ pipeline, truth, seed }: Behind, name: string): Promise<void> {
  const { verdicts, audit } = await conclude(pipeline, [truth], { name, seed })
  const { lost, unknownSources } = lostRecords(truth, { cluster, node }, audit.sources)
  expect(unknownSources).toBe(0)
  expect(lost.reduce((sum, { size }) => sum + size, 0)).toBeGreaterThan(100)
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  expect(audit.totals.missingBytes).toBe(0)
  expect(audit.totals.storedBytes + audit.totals.lostBytes).toBe(totals(truth).bytes)
  await isEmptied(pipeline)
}

test('a collector that is killed while it saves loses what was not in the spool, and says which', {
  timeout: 180_000,
}, async () => {
  const behind = await fallBehind('killed', '100MiB')
  await using pipeline = behind.pipeline
  await pipeline.collector.stop('SIGTERM', 10)
  pipeline.collector.start()
  pipeline.aggregator.start()
  await expectExactLoss(behind, 'killed while spooling')
})

test('without room in the spool the loss is exactly what is reported', { timeout: 180_000 }, async () => {
  const behind = await fallBehind('tiny', '128KiB')
  await using pipeline = behind.pipeline
  await pipeline.collector.stop()
  pipeline.collector.start()
  pipeline.aggregator.start()
  await expectExactLoss(behind, 'tiny spool')
})
