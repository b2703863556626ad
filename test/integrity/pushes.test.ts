/** Clients push while the aggregator is killed again and again. What was answered with 204 is stored, once where it was sent once. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startAggregator } from '../harness/aggregator.ts'
import { until } from '../harness/processes.ts'
import { readLines } from '../harness/read-back.ts'

const pushers = 3
const kills = 2

test('pushed lines that were acknowledged outlive kills of the aggregator', { timeout: 180_000 }, async () => {
  await using pipeline = await startAggregator()
  /** How often a line was sent, and whether it was acknowledged. */
  const sent = new Map<string, { attempts: number; acknowledged: boolean }>()
  let stop = false
  let time = BigInt(Date.now() - 60_000) * 1_000_000n

  async function push(pusher: number, batch: number): Promise<void> {
    const lines = Array.from({ length: 20 }, (_, i) => `${pusher}/${batch}/${i}`)
    const body = JSON.stringify({
      streams: [
        { stream: { app: 'pushed', pusher: String(pusher) }, values: lines.map((line) => [String(++time), line]) },
      ],
    })
    for (const line of lines) sent.set(line, { attempts: 0, acknowledged: false })
    for (let acknowledged = false; !acknowledged; ) {
      for (const line of lines) sent.get(line)!.attempts++
      const headers = { 'content-type': 'application/json' }
      const response = await fetch(`${pipeline.url}/loki/api/v1/push`, { method: 'POST', headers, body }).catch(
        () => undefined,
      )
      acknowledged = response?.status === 204
      await response?.arrayBuffer().catch(() => {}) // killed in the middle of its answer: it was given
      if (!acknowledged) await sleep(50)
    }
    for (const line of lines) sent.get(line)!.acknowledged = true
  }

  const pushing = Promise.all(
    Array.from({ length: pushers }, async (_, pusher) => {
      for (let batch = 0; !stop; batch++) await push(pusher, batch)
    }),
  )
  for (let i = 0; i < kills; i++) {
    const before = sent.size
    await until(
      () => sent.size > before + 200,
      30_000,
      () => 'nothing more is pushed',
    )
    await pipeline.aggregator.kill()
    pipeline.aggregator.start()
    await pipeline.ready()
  }
  stop = true
  await pushing
  const stored = new Map<string, number>()
  const read = async () => {
    stored.clear()
    for await (const [, line] of readLines(pipeline.url, '{app="pushed"}'))
      stored.set(line, (stored.get(line) ?? 0) + 1)
    return stored.size
  }
  await until(
    async () => (await read()) >= sent.size,
    60_000,
    () => `${stored.size} of ${sent.size} lines are stored`,
  )
  expect([...sent].filter(([line, { acknowledged }]) => !acknowledged || !stored.has(line))).toEqual([])
  expect([...sent].filter(([line, { attempts }]) => stored.get(line)! > attempts)).toEqual([])
  const once = [...sent].filter(([, { attempts }]) => attempts === 1)
  expect(once.length).toBeGreaterThan(200)
  expect(once.filter(([line]) => stored.get(line) !== 1)).toEqual([])
})
