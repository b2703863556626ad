import { expect, test } from 'vitest'
import { Pipeline } from '../harness/processes.ts'
import { chooseSeed, conclude, Writer, wholeVerdict } from './run.ts'

const load = { containers: 6, rate: 3000, duration: 4000, rotateBytes: 8 << 20, partial: 2 }

/** A counter of the aggregator. */
async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1] ?? 0,
  )
}

test('a collector whose tenant sends more than it may waits, and everything arrives once', {
  timeout: 120_000,
}, async () => {
  const seed = chooseSeed()
  await using pipeline = await Pipeline.start({
    aggregator: { limits: { ingestionBytesPerSecond: '1MiB', ingestionBurstBytes: '128KiB' } },
  })
  const writer = new Writer(pipeline, { ...load, seed, namespace: 'limited', rotation: 'rename' })
  const truth = await writer.truth()
  const { verdicts, audit } = await conclude(pipeline, [truth], { name: 'limits', seed })
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  expect(audit).toMatchObject({ ok: true, totals: { missingBytes: 0, lostBytes: 0 } })
  expect(await metric(pipeline.url, 'aggregator_receive_limited_total{reason="rate_limited"}')).toBeGreaterThan(3)
})
