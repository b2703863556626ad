/** Live tail where two aggregators share one ClickHouse, which the engine on its own stands in for. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseConfig } from '@tributary/protocol/config-file.ts'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { type RunningAggregator, startAggregator } from '../aggregator.ts'
import { aggregatorConfig } from '../config.ts'
import { openEmbedded } from '../store/embedded.ts'

const log = pino({ level: 'fatal' })
const stack = new AsyncDisposableStack()
let both: readonly [RunningAggregator, RunningAggregator]

beforeAll(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tributary-tails-'))
  stack.defer(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))
  const server = { listen: '127.0.0.1', port: 0, username: 'default', password: '', database: 'default' }
  const store = stack.use(await openEmbedded({ directory: join(directory, 'store'), memoryBytes: 5e8, log, server }))
  const start = async (name: string) => {
    const text = `dataDir: ${join(directory, name)}
replicas: 2
forward: {listen: 127.0.0.1, port: 0}
http: {listen: 127.0.0.1, port: 0}
load: {blockDelay: 200ms}
store: {engine: clickhouse, clickhouse: {url: '${store.connection.urls[0]}', database: shared}}`
    const aggregator = await startAggregator(parseConfig('test', text, aggregatorConfig), { log })
    stack.defer(async () => void (await aggregator.close()))
    const ready = async () => expect((await fetch(`${urlOf(aggregator)}/ready`)).status).toBe(200)
    await vi.waitFor(ready, { timeout: 30_000 })
    return aggregator
  }
  both = [await start('a'), await start('b')]
})
afterAll(() => stack.disposeAsync())

const urlOf = ({ httpPort }: RunningAggregator): string => `http://127.0.0.1:${httpPort}`

async function push(to: RunningAggregator, app: string, lines: readonly string[]): Promise<void> {
  // What others took is asked for as far back as half a minute: lines are of now.
  const now = BigInt(Date.now()) * 1_000_000n
  const values = lines.map((line, i) => [String(now + BigInt(i)), line])
  const response = await fetch(`${urlOf(to)}/loki/api/v1/push`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ streams: [{ stream: { app }, values }] }),
  })
  expect(response.status, await response.text()).toBe(204)
}

/** Lines as they come, from an open tail. */
async function tail(from: RunningAggregator, query: string): Promise<{ lines: string[] } & Disposable> {
  const address = `${urlOf(from).replace('http', 'ws')}/loki/api/v1/tail?${new URLSearchParams({ query })}`
  const socket = new WebSocket(address)
  const lines: string[] = []
  socket.on('message', (data) => {
    const { streams } = JSON.parse(String(data)) as { streams: { values: [string, string][] }[] }
    for (const { values } of streams) for (const [, line] of values) lines.push(line)
  })
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  return { lines, [Symbol.dispose]: () => socket.terminate() }
}

test('a tail of either shows what both take, each line once', { timeout: 120_000 }, async () => {
  const [a, b] = both
  await push(a, 'web', ['before, a'])
  await push(b, 'web', ['before, b'])
  await push(b, 'other', ['not this'])
  // A tail begins with what its own aggregator took before it, and with what of the other is in the store by then.
  using ofA = await tail(a, '{app="web"} |= ","')
  using ofB = await tail(b, '{app="web"} |= ","')
  const expected = ['before, a', 'before, b']
  const bothShow = () =>
    expect
      .poll(() => [ofA.lines.toSorted(), ofB.lines.toSorted()], { timeout: 40_000 })
      .toEqual([expected.toSorted(), expected.toSorted()])
  await bothShow()
  for (let round = 0; round < 3; round++) {
    const lines = (name: string) => Array.from({ length: 20 }, (_, i) => `round ${round}, ${name} ${i}`)
    await Promise.all([push(a, 'web', lines('a')), push(b, 'web', lines('b'))])
    await push(a, 'web', ['without what is looked for'])
    expected.push(...lines('a'), ...lines('b'))
    await bothShow()
  }
  // What came late would be there twice by now: the store is asked for the same stretch again and again.
  await new Promise((resolve) => setTimeout(resolve, 5_000))
  await bothShow()
})
