/** A message whose streams alone take more than the loader's heap usually is: it comes first again after each start, and nothing behind it would be stored. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { encode } from '@tributary/protocol/msgpack.ts'
import { expect, test } from 'vitest'
import { linesOf, query, startAggregator } from '../harness/aggregator.ts'
import { until } from '../harness/processes.ts'

const streams = 150_000

test('one message of 150,000 streams is stored once, and so is what comes after it', { timeout: 240_000 }, async () => {
  await using pipeline = await startAggregator()
  const now = Math.floor(Date.now() / 1000)
  const entry = (i: number) =>
    encode([now, { log: `line ${i}`, kubernetes: { pod_name: `p${i}`, namespace_name: 'shop' } }])
  const entries = Buffer.concat(Array.from({ length: streams }, (_, i) => entry(i)))
  const socket = connect(pipeline.forwardPort, '127.0.0.1')
  try {
    socket.write(encode(['many', entries, { chunk: 'a' }]))
    await once(socket, 'data')
    socket.write(encode(['after', encode([now, { log: 'after it' }]), { chunk: 'b' }]))
    await once(socket, 'data')
    const stored = async () => linesOf(await query(pipeline, '{tag="after"}')).length > 0
    await until(stored, 150_000, () => `what came after it is not stored:\n${pipeline.aggregator.output}`, 500)
    expect(linesOf(await query(pipeline, '{tag="after"}'))).toEqual(['after it'])
  } finally {
    socket.destroy()
  }
  const counted = async (metric: string) => {
    const parameters = new URLSearchParams({ query: metric, time: String(now + 1) })
    const { data } = (await (await fetch(`${pipeline.url}/loki/api/v1/query?${parameters}`)).json()) as {
      data: { result: { value: [number, string] }[] }
    }
    return Number(data.result[0]?.value[1] ?? 0)
  }
  await until(
    async () => (await counted('sum(count_over_time({namespace="shop"}[1h]))')) === streams,
    30_000,
    () => 'not every line is stored once',
  )
  // Heaps of 192 and of 384 MiB were not enough on the way.
  expect(pipeline.aggregator.output).toContain('"heapMegabytes":')
})
