import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { totals } from 'tributary/generate/truth.ts'
import { expect, test } from 'vitest'
import { Pipeline } from '../harness/processes.ts'
import { readLines, settle } from '../harness/read-back.ts'
import { chooseSeed, Writer } from './run.ts'

test('every byte is stored once or filtered, by reason, also when the collector is killed on the way', {
  timeout: 90_000,
}, async () => {
  const seed = chooseSeed()
  const filters = [
    { drop: { where: 'stream == "stderr"' } },
    { sample: { rate: 0.5 } },
    { module: './mark.mjs' },
    { set: { env: 'test' } },
  ]
  await using pipeline = await Pipeline.create({ collector: { filters, checkpoints: { interval: '100ms' } } })
  writeFileSync(
    join(pipeline.root, 'mark.mjs'),
    "export default (record) => ({ ...record, attributes: { mark: 'é' + String(record.line.length) } })\n",
  )
  pipeline.aggregator.start()
  pipeline.collector.start()
  await pipeline.ready()
  const load = { containers: 5, rate: 5000, rotateBytes: 300 * 1024, partial: 2, pieceBytes: 120, stderr: 20 }
  const writer = new Writer(pipeline, { ...load, seed, duration: 5000, namespace: 'filtered', rotation: 'rename' })
  for (let kill = 0; kill < 3; kill++) {
    await sleep(1300)
    await pipeline.collector.kill()
    pipeline.collector.start()
  }
  const truth = await writer.truth()
  const audit = await settle(pipeline, [truth], 60_000)
  const { storedBytes, filteredBytes, lostBytes, missingBytes } = audit.totals
  console.log(`seed ${seed}: stored ${storedBytes} + filtered ${filteredBytes} bytes of ${totals(truth).bytes}`)
  expect({ lostBytes, missingBytes }).toEqual({ lostBytes: 0, missingBytes: 0 })
  expect(storedBytes + filteredBytes).toBe(totals(truth).bytes)
  // A fifth is dropped, and half of the rest.
  expect(filteredBytes / totals(truth).bytes).toBeGreaterThan(0.5)
  expect(filteredBytes / totals(truth).bytes).toBeLessThan(0.7)
  const read = async (selector: string) => {
    const lines: string[] = []
    for await (const [, line] of readLines(pipeline.url, selector)) lines.push(line)
    return lines
  }
  const all = await read('{namespace="filtered"}')
  expect(new Set(all).size).toBe(all.length)
  expect(all.length / totals(truth).lines).toBeGreaterThan(0.3)
  expect((await read('{namespace="filtered"} | mark=~"é[0-9]+" | env="test"')).length).toBe(all.length)
  expect(await read('{namespace="filtered",stream="stderr"}')).toEqual([])
})
