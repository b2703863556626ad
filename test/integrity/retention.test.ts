import { setTimeout as sleep } from 'node:timers/promises'
import { totals } from 'tributary/generate/truth.ts'
import { expect, test } from 'vitest'
import { Pipeline, until } from '../harness/processes.ts'
import { randomFrom } from '../harness/random.ts'
import { judge, readLines, settle } from '../harness/read-back.ts'
import { chooseSeed, Writer } from './run.ts'

interface Dropped {
  readonly ok: boolean
  readonly totals: { readonly expiredRows: number; readonly shedRows: number; readonly problems: number }
}

test('rows that a rule deletes while the aggregator is killed and lines come in are counted exactly, and no others go', {
  timeout: 180_000,
}, async () => {
  const seed = chooseSeed()
  const random = randomFrom(seed)
  await using pipeline = await Pipeline.start({
    aggregator: { store: { retentionRules: [{ selector: '{namespace="short"}', keep: '1s' }] } },
  })
  const load = { containers: 3, rate: 2000, seed }
  const short = await new Writer(pipeline, { ...load, duration: 2000, namespace: 'short' }).truth()
  await settle(pipeline, [short], 60_000)
  const writing = new Writer(pipeline, { ...load, duration: 6000, namespace: 'long' })
  // A sweep begins with each start. The rows are older than a second by then, all of them.
  await sleep(1000)
  for (let kills = 0; kills < 3; kills++) {
    await pipeline.aggregator.kill()
    pipeline.aggregator.start()
    await pipeline.ready()
    await sleep(random(150))
  }
  const long = await writing.truth()
  const count = async (selector: string) => {
    let lines = 0
    for await (const _ of readLines(pipeline.url, selector)) lines++
    return lines
  }
  await until(
    async () => (await count('{namespace="short"}')) === 0,
    30_000,
    () => 'expired rows are still there',
  )
  const audit = await settle(pipeline, [short, long], 60_000)
  const { ok, totals: audited } = audit as unknown as Dropped
  console.log(`seed ${seed}: ${audited.expiredRows} rows expired of ${totals(short).lines}`)
  expect({ ok, problems: audited.problems }).toEqual({ ok: true, problems: 0 })
  expect(audited.expiredRows).toBe(totals(short).lines)
  expect(audited.shedRows).toBe(0)
  const { missing, doubled } = await judge(pipeline, long, audit)
  expect({ missing, doubled }).toEqual({ missing: 0, doubled: 0 })
})
