import { pino } from 'pino'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { CollectorMetrics } from '../metrics.ts'
import { type Found, type Resolution, ResolveError } from './resolver.ts'
import { pauseOf, WatchedName } from './watched-name.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const found = (host: string): Found => ({ key: `${host}:1`, host, port: 1, weight: 1, standby: false })
const answer = (hosts: string, ttl?: number, mayBe: Resolution['mayBe'] = () => false): Resolution => ({
  ...{ found: hosts.split(' ').map(found), ttl, mayBe },
})
const failure = () => new ResolveError('n', Object.assign(new Error('queryA ESERVFAIL n'), { code: 'ESERVFAIL' }))

/** A name whose answers the test gives one after another; the last one stays. */
function watch(answers: (Resolution | Error)[], interval = 10_000) {
  const asked: number[] = []
  let changes = 0
  const began = Date.now()
  const metrics = new CollectorMetrics()
  const resolver = {
    resolve: async () => {
      asked.push(Date.now() - began)
      const [first] = answers
      if (answers.length > 1) answers.shift()
      if (first instanceof Error) throw first
      return first!
    },
  }
  const log = pino({ level: 'silent' })
  const target = { kind: 'name', host: 'n', port: 1 } as const
  const name = new WatchedName('n:1', target, { resolver, interval, log, metrics, onChange: () => changes++ })
  const close = async () => {
    const closed = name.close()
    await vi.runAllTimersAsync()
    await closed
  }
  return {
    name,
    asked,
    metrics,
    close,
    changes: () => changes,
    keys: () => name.found.map(({ host }) => host).join(' '),
  }
}

test.for([
  { ttl: 5000, interval: 10_000, random: 0, pause: 5000 },
  { ttl: 5000, interval: 10_000, random: 1, pause: 4500 },
  { ttl: 30_000, interval: 10_000, random: 0, pause: 10_000 },
  { ttl: undefined, interval: 10_000, random: 0.5, pause: 9500 },
  { ttl: 0, interval: 10_000, random: 0, pause: 1000 },
])('after an answer that holds $ttl ms it is asked again in $pause', ({ ttl, interval, random, pause }) => {
  expect(pauseOf(ttl, interval, random)).toBe(pause)
})

test('a name is resolved when its time to live is over, and what it stands for changes with it', async () => {
  const { name, asked, changes, keys, close } = watch([answer('a b', 3000), answer('b a', 3000), answer('b c', 60_000)])
  await vi.advanceTimersByTimeAsync(0)
  expect([keys(), changes()]).toEqual(['a b', 1])
  await vi.advanceTimersByTimeAsync(3000)
  // The order of the records is no change.
  expect([asked.length, keys(), changes()]).toEqual([2, 'a b', 1])
  await vi.advanceTimersByTimeAsync(3000)
  expect([keys(), changes()]).toEqual(['b c', 2])
  expect(name.trouble).toBeUndefined()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(asked.length).toBe(4)
  await close()
})

test('a name that stops resolving keeps its addresses, and says why', async () => {
  const { name, changes, keys, metrics, close } = watch([answer('a', 1000), failure(), failure(), answer('b', 1000)])
  await vi.advanceTimersByTimeAsync(1500)
  expect([keys(), name.trouble]).toEqual(['a', "n can't be resolved: queryA ESERVFAIL n"])
  await vi.advanceTimersByTimeAsync(25_000)
  expect([keys(), changes(), name.trouble]).toEqual(['b', 2, undefined])
  const { values } = await metrics.registry.getSingleMetric('collector_resolutions_total')!.get()
  expect(values.find(({ labels }) => labels['result'] === 'server')?.value).toBe(2)
  await close()
})

test('a connection that fails has it resolved at once, but not more than once a second', async () => {
  const { name, asked, close } = watch([answer('a', 3_600_000)], 3_600_000)
  await vi.advanceTimersByTimeAsync(5000)
  for (let i = 0; i < 40; i++) {
    name.refresh()
    await vi.advanceTimersByTimeAsync(100)
  }
  expect(asked.length).toBeGreaterThanOrEqual(4)
  expect(asked.length).toBeLessThanOrEqual(6)
  expect(asked[1]).toBe(5000)
  for (let i = 2; i < asked.length; i++) expect(asked[i]! - asked[i - 1]!).toBeGreaterThanOrEqual(1000)
  await close()
})

test('as long as no address is known it is tried every second', async () => {
  const { asked, keys, close } = watch([failure(), failure(), failure(), answer('a')])
  await vi.advanceTimersByTimeAsync(3100)
  expect([asked, keys()]).toEqual([[0, 1000, 2000, 3000], 'a'])
  await close()
})

test('what a part of the answer would have told is kept, the rest is not', async () => {
  const mayBe: Resolution['mayBe'] = ({ host }) => host === 'six'
  const { keys, close } = watch([answer('four six', 1000), answer('other', 1000, mayBe)])
  await vi.advanceTimersByTimeAsync(1500)
  expect(keys()).toBe('other six')
  await close()
})
