import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { totals } from 'tributary/generate/truth.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundleCollector } from '../../collector/bundle.ts'
import { Pipeline, until } from '../harness/processes.ts'
import { chooseSeed, conclude, Writer, wholeVerdict } from './run.ts'

/** What a collector may take under load (docs/performance.md), KiB. */
const maxResident = 100 * 1024

/** The most memory a process ever had, KiB. */
function peakResident(pid: number): number {
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])
}

let directory: string
let collectorScript: string
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tributary-bundle-'))
  // As a DaemonSet runs it: loading the sources takes memory of its own.
  collectorScript = await bundleCollector(directory)
})
afterAll(() => rmSync(directory, { recursive: true }))

test('the first start on a node with a backlog stays within its memory, and goes on where it was killed', {
  timeout: 90_000,
}, async () => {
  const seed = chooseSeed()
  // An aggregator that is slower than the disk: the collector is killed in the middle.
  await using pipeline = await Pipeline.create({
    collectorScript,
    collector: { checkpoints: { interval: '100ms' }, limits: { inFlightBytes: '512KiB' }, forward: { window: 1 } },
  })
  // Without a rate, and with no gap at rotations, the generations are the same on a machine of any speed.
  const load = {
    containers: 60,
    rate: 0,
    duration: 100_000,
    lines: 100_000,
    rotateBytes: 40 * 1024,
    gap: 0,
    keep: 100,
    pieceBytes: 200,
  } as const
  const writer = new Writer(pipeline, { ...load, seed, namespace: 'backlog', rotation: 'kubelet' })
  const truth = await writer.truth()
  const { bytes, generations } = totals(truth)
  const compressed = truth.containers.flatMap((one) => one.generations).filter(({ path }) => path.endsWith('.gz'))
  expect(compressed.length, 'several compressed generations of each log').toBeGreaterThan(3 * load.containers)
  pipeline.aggregator.start()
  pipeline.collector.start()
  await pipeline.ready()
  const acked = () => pipeline.metric('collector_acked_bytes_total')
  const peaks: number[] = []
  let before = 0
  for (let kills = 0; kills < 2; kills++) {
    await until(
      async () => ((await acked()) ?? 0) > bytes / 20,
      20_000,
      () => `the collector does not get on:\n${pipeline.collector.output}`,
      10,
    )
    before += (await acked()) ?? 0
    peaks.push(peakResident(pipeline.collector.pid!))
    await pipeline.collector.kill()
    pipeline.collector.start()
  }
  const { verdicts, audit } = await conclude(pipeline, [truth], { name: 'backlog', seed, events: { kills: 2 } })
  peaks.push(peakResident(pipeline.collector.pid!))
  console.log(
    `${generations} generations, ${bytes} bytes, ${before} of them before the last start; peaks ${peaks.join(', ')} KiB`,
  )
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  expect(audit.totals).toMatchObject({ missingBytes: 0, lostBytes: 0, storedBytes: bytes })
  expect(before, 'it was killed in the middle').toBeLessThan(bytes)
  // What was acknowledged before is not read again, but for what no checkpoint or ledger knew yet.
  expect((await acked())!).toBeLessThan(bytes - before / 2)
  expect(Math.max(...peaks)).toBeLessThan(maxResident)
})
