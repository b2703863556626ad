import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { longestWait, wait } from './units.ts'

test.for([
  ['5s', 5000],
  ['24d', longestWait],
  ['30d', longestWait],
  ['52w', longestWait],
] as const)('a timer waits for %s', ([text, ms]) => {
  expect(wait.parse(text)).toBe(ms)
})

test('a timer of Node that waits for the longest time does wait', async () => {
  const fired = vi.fn<() => void>()
  const timers = [setTimeout(fired, longestWait), setTimeout(fired, wait.parse('365d'))]
  const signal = AbortSignal.timeout(wait.parse('365d'))
  await sleep(50)
  for (const timer of timers) clearTimeout(timer)
  expect(fired).not.toHaveBeenCalled()
  expect(signal.aborted).toBe(false)
})
