import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import type { LogExpression } from '../logql/ast.ts'
import type { Entry } from '../logql/logs.ts'
import { parseQuery } from '../logql/parser.ts'
import { TenantScope } from '../logql/tenant-scope.ts'
import type { RowStream } from '../store/row-stream.ts'
import type { LiveListener } from './live-feed.ts'
import { TailPipeline } from './tail-pipeline.ts'
import { Tailer } from './tailer.ts'

const none = new Map<string, string>()
const entry = (n: number): Entry => ({
  time: String(n),
  line: `line ${n}`,
  labels: { stream: none, metadata: none, parsed: none },
  place: `${'00'.repeat(16)}:${n}`,
})
const stream = { tenant: 'fake', app: 'web', labels: {}, meta: {}, source: Buffer.alloc(16) } as unknown as RowStream

test('entries that other aggregators bring come from the store, once, beside those that are live', async () => {
  /** What the store has of late. */
  let stored = [entry(1), entry(2)]
  let listener: LiveListener | undefined
  const shown: string[] = []
  const stop = new AbortController()
  const tailer = new Tailer({
    feed: {
      listen: (one) => {
        listener = one
        return () => {}
      },
    },
    pipeline: new TailPipeline(parseQuery('{app="web"}') as LogExpression, new TenantScope(['fake'])),
    limits: { maxEntries: 100, maxBytes: 1 << 20, delay: 0 },
    untilStored: async () => {},
    history: async () => {
      // Came between what is known to be history and the history that is read.
      stored.push(entry(3), entry(4))
      return [entry(2), entry(4)]
    },
    recent: async () => [...stored],
    send: async (entries) => void shown.push(...entries.map(({ line }) => line)),
    onDropped: () => expect.unreachable(),
  })
  const running = tailer.run(stop.signal)
  await expect.poll(() => shown).toEqual(['line 2', 'line 4'])
  // Our own: live, and a little later in the store.
  listener!.take({ stream, time: 5n, offset: 5, level: '', meta: {}, line: Buffer.from('line 5') })
  stored.push(entry(5), entry(6))
  await expect.poll(() => shown).toEqual(['line 2', 'line 4', 'line 5', 'line 3', 'line 6'])
  stored = [entry(6), entry(7)]
  await expect.poll(() => shown).toHaveLength(6)
  expect(shown.at(-1)).toBe('line 7')
  stop.abort()
  await expect(running).rejects.toThrow()
})

test('a store that fails while it is asked ends the tail with its reason', async () => {
  let asked = 0
  const tailer = new Tailer({
    feed: { listen: () => () => {} },
    pipeline: new TailPipeline(parseQuery('{app="web"}') as LogExpression, new TenantScope(['fake'])),
    limits: { maxEntries: 1, maxBytes: 1000, delay: 0 },
    untilStored: async () => {},
    history: async () => [],
    recent: async () => {
      if (asked++ > 0) throw new Error('gone')
      return []
    },
    send: async () => {},
    onDropped: () => {},
  })
  await expect(tailer.run(new AbortController().signal)).rejects.toThrow('gone')
})

test('a tail holds no more memory for each frame that it has sent', { timeout: 60_000 }, async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const listeners: LiveListener[] = []
  const stop = new AbortController()
  setMaxListeners(0, stop.signal)
  let frames = 0
  const tails = Array.from({ length: 300 }, () =>
    new Tailer({
      feed: {
        listen: (listener) => {
          listeners.push(listener)
          return () => {}
        },
      },
      pipeline: new TailPipeline(parseQuery('{app="web"}') as LogExpression, new TenantScope(['fake'])),
      limits: { maxEntries: 10, maxBytes: 1 << 20, delay: 0 },
      untilStored: async () => {},
      history: async () => [],
      send: async () => void frames++,
      onDropped: () => {},
    }).run(stop.signal),
  )
  const row = { stream, time: 5n, offset: 5, level: '', meta: {}, line: Buffer.from('line') }
  const heapAfter = async (count: number): Promise<number> => {
    while (frames < count) {
      for (const listener of listeners) listener.take(row)
      await sleep(5)
    }
    collect()
    return process.memoryUsage().heapUsed
  }
  const before = await heapAfter(20_000)
  const after = await heapAfter(80_000)
  expect((after - before) / 60_000).toBeLessThan(100)
  stop.abort()
  await Promise.allSettled(tails)
})
