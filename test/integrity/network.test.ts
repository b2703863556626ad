import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Pipeline } from '../harness/processes.ts'
import { FaultyProxy } from '../harness/proxy.ts'
import { randomFrom } from '../harness/random.ts'
import { chooseSeed, conclude, Writer, wholeVerdict } from './run.ts'

test('connections that are cut, reset, stalled or lose acknowledgements cost nothing and double nothing', {
  timeout: 90_000,
}, async () => {
  const seed = chooseSeed()
  const random = randomFrom(seed)
  let target = 0
  await using proxy = await FaultyProxy.listen(() => target)
  await using pipeline = await Pipeline.start({
    via: async (forwardPort) => {
      target = forwardPort
      return proxy.port
    },
    collector: { aggregator: { ackTimeout: '500ms' } },
  })
  const load = { containers: 10, rate: 10_000, duration: 600_000, rotateBytes: 64 * 1024, partial: 2, pieceBytes: 120 }
  await using writer = new Writer(pipeline, { ...load, seed, namespace: 'network' })
  const events = { cuts: 0, resets: 0, stalls: 0, 'times acks were lost': 0 }
  const duplicates = async () => (await pipeline.metric('aggregator_receive_duplicate_chunks_total')) ?? 0
  // At least until the faults did what they are for: chunks were sent twice, and recognised.
  for (const begun = performance.now(); performance.now() - begun < 5000 || (await duplicates()) === 0; ) {
    if (performance.now() - begun > 40_000) break
    await sleep(50 + random(250))
    const fault = random(4)
    if (fault === 0) {
      proxy.cut()
      events.cuts++
    } else if (fault === 1) {
      proxy.reset()
      events.resets++
    } else if (fault === 2) {
      proxy.stall()
      await sleep(random(700))
      proxy.resume()
      events.stalls++
    } else {
      // While messages are on their way: an acknowledgement that was never to come can't be lost.
      await Promise.race([proxy.answer(), sleep(2000)])
      proxy.loseAcks(true)
      await sleep(100 + random(300))
      proxy.loseAcks(false)
      events['times acks were lost']++
    }
  }
  const { verdicts, audit } = await conclude(pipeline, [await writer.finish()], { name: 'bad network', seed, events })
  for (const verdict of verdicts) expect(verdict).toMatchObject(wholeVerdict)
  expect(audit).toMatchObject({ ok: true, totals: { missingBytes: 0, lostBytes: 0 } })
  expect(await duplicates()).toBeGreaterThan(0)
})
