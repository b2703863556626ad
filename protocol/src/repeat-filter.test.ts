import { expect, test } from 'vitest'
import { RepeatFilter } from './repeat-filter.ts'

test('a cause is told once per interval, with the number held back; another cause is told at once', () => {
  let now = 0
  const told: [string, number][] = []
  const filter = new RepeatFilter(() => now)
  const happen = (cause: string) => filter.pass(cause, (heldBack) => told.push([cause, heldBack]))
  for (let i = 0; i < 5; i++) happen('a')
  happen('b')
  now = 10_000
  happen('a')
  expect(told).toEqual([
    ['a', 0],
    ['b', 0],
    ['a', 4],
  ])
})
