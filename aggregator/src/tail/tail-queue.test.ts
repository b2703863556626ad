import { expect, test } from 'vitest'
import type { Entry } from '../logql/logs.ts'
import { TailQueue } from './tail-queue.ts'

const none = new Map<string, string>()
const entry = (time: number): Entry => ({
  time: String(time),
  line: '',
  labels: { stream: none, metadata: none, parsed: none },
  place: `${'00'.repeat(16)}:${time}`,
})
const timesOf = (entries: readonly Entry[]): number[] => entries.map(({ time }) => Number(time))

test('an entry that has waited goes with those that came later and are earlier', () => {
  const queue = new TailQueue({ maxEntries: 100, maxBytes: 1 << 20, delay: 1000 })
  for (const [time, now] of [
    [30, 0],
    [10, 500],
    [40, 600],
    [20, 900],
  ] as const)
    queue.push(entry(time), now)
  expect(queue.dueIn(900)).toBe(100)
  expect(timesOf(queue.take(999))).toEqual([])
  expect(timesOf(queue.take(1000))).toEqual([10, 20, 30])
  expect(queue.dueIn(1000)).toBe(600)
  queue.push(entry(35), 1590)
  expect(timesOf(queue.take(1600))).toEqual([35, 40])
  expect([queue.size, queue.bytes]).toEqual([0, 0])
})

test('without a delay entries go as they came', () => {
  const queue = new TailQueue({ maxEntries: 100, maxBytes: 1 << 20, delay: 0 })
  for (const time of [3, 1, 2]) queue.push(entry(time), 0)
  expect(timesOf(queue.take(0))).toEqual([3, 1, 2])
})
