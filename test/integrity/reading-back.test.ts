/**
 * Everything is read back through the query API, page by page, again and again, while the parts that it lies in are merged, mutated, rolled up
 * anew and added to, and other rows beside it are deleted: each reading has each line once.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { openFixture } from '@tributary/aggregator/api/fixture.ts'
import { countAgain, dayPartitions, deleteRows, removeDeleted } from '@tributary/aggregator/retention/day-partitions.ts'
import type { StoreClient } from '@tributary/aggregator/store/client.ts'
import { LogBlock } from '@tributary/aggregator/store/log-block.ts'
import { logsTable } from '@tributary/aggregator/store/schema.ts'
import { rowStream } from '@tributary/aggregator/store/test-store.ts'
import { expect, test } from 'vitest'
import { randomFrom } from '../harness/random.ts'
import { readLines } from '../harness/read-back.ts'
import { chooseSeed, progress } from './run.ts'

/** At least, and until each kind of change has happened: `READ_BACK_SECONDS=n` for longer. */
const seconds = Number(process.env['READ_BACK_SECONDS'] ?? 5)
const pods = 12
const linesOfPod = 12_000
const blocks = 24

function podStream(namespace: string, number: number) {
  const pod = `pod-${number}`
  const sid = BigInt(1 + number) + (namespace === 'kept' ? 0n : 1n << 32n)
  return rowStream({ namespace, pod, sid, meta: { pod_uid: `0000-${number}` }, source: Buffer.alloc(16, 1 + number) })
}
const kept = Array.from({ length: pods }, (_, number) => podStream('kept', number))
const beside = Array.from({ length: pods }, (_, number) => podStream('beside', number))

/** Lines `[from, to)` of all streams, a millisecond after each other. */
async function insert(
  client: StoreClient,
  streams: typeof kept,
  begin: number,
  from: number,
  to: number,
): Promise<void> {
  const block = new LogBlock()
  for (const stream of streams) {
    block.setStream(stream)
    for (let i = from; i < to; i++) {
      const ms = begin + i
      const line = Buffer.from(`${stream.pod} ${i} level=info a line as long as many are, number ${i} of ${stream.pod}`)
      block.add(Math.floor(ms / 1000), (ms % 1000) * 1_000_000, i * 100, 'info', line, 0, line.length)
    }
  }
  const token = `${streams[0]!.namespace}-${from}`
  await client.insertNative('streams', block.streams.columns, block.streams.encode(), token)
  await client.insertNative('logs', block.columns, block.encode(), token)
}

test('each reading of what was stored has each line once, whatever happens to the parts meanwhile', {
  timeout: (seconds + 120) * 1000,
}, async () => {
  const seed = chooseSeed()
  const random = randomFrom(seed)
  const tell = progress(seed)
  await using fixture = await openFixture()
  const { client, url } = fixture
  // All within one day, so that it is always the same parts that are merged.
  const begin = Math.floor(Date.now() / 86_400_000) * 86_400_000
  const step = linesOfPod / blocks
  for (let i = 0; i < blocks; i++) await insert(client, kept, begin, i * step, (i + 1) * step)
  tell(`${pods * linesOfPod} lines are stored`)

  const end = performance.now() + seconds * 1000
  const running = () => performance.now() < end
  const done: Record<string, number> = {}
  let besides = 0
  const today = async () => (await dayPartitions(client)).find(({ table }) => table === logsTable.name)!
  const changes: Record<string, () => Promise<unknown>> = {
    'rows were added': () => insert(client, beside, begin, besides * 200, ++besides * 200),
    'parts were merged': () => client.command('OPTIMIZE TABLE logs FINAL'),
    'streams were merged': () => client.command('OPTIMIZE TABLE streams FINAL'),
    'the rollup was made anew': async () => countAgain(client, await today()),
    'rows were marked as deleted': async () =>
      deleteRows(client, logsTable, await today(), { sql: "namespace = 'beside' AND offset % 300 = 0", params: {} }),
    'deleted rows were removed': async () => removeDeleted(client, await today()),
  }
  const change = async () => {
    const kinds = Object.keys(changes)
    for (let i = 0; running() || i < kinds.length; i++) {
      const kind = i < kinds.length ? kinds[i]! : kinds[random(kinds.length)]!
      await changes[kind]!()
      done[kind] = (done[kind] ?? 0) + 1
      await sleep(random(200))
    }
  }
  let readings = 0
  const read = async (first: number) => {
    for (let pod = first; running() || pod === first; pod++) {
      const name = `pod-${pod % pods}`
      let next = 0
      for await (const [, line] of readLines(url, `{namespace="kept", pod="${name}"}`)) {
        expect(line.startsWith(`${name} ${next} `), `${line} where ${next} was next`).toBe(true)
        next++
      }
      expect(next, `lines of ${name}`).toBe(linesOfPod)
      readings++
    }
  }
  await Promise.all([change(), read(0), read(4), read(8)])
  tell(`${readings} readings of ${linesOfPod} lines, while ${JSON.stringify(done)}`)
  expect(Object.keys(done).sort()).toEqual(Object.keys(changes).sort())
})
