import { expect, test } from 'vitest'
import { TimeBudget } from './time-budget.ts'

function budgetOf(limit: number) {
  const clocks = { cpu: 0, wall: 0 }
  const budget = new TimeBudget(
    limit,
    () => clocks.cpu,
    () => clocks.wall,
  )
  const after = (cpu: number, wall: number) => {
    clocks.cpu += cpu
    clocks.wall += wall
    return budget.over
  }
  return { budget, after }
}

test('time of the processor is over after at most twice the limit', () => {
  const { after } = budgetOf(10)
  expect(after(0, 0)).toBe(false)
  expect(after(10, 10)).toBe(false)
  expect(after(5, 5)).toBe(false)
  expect(after(5, 5)).toBe(false)
  expect(after(6, 6)).toBe(true)
})

test('a process that stands still uses up nothing', () => {
  const { after } = budgetOf(10)
  after(0, 0)
  for (let i = 0; i < 100; i++) expect(after(0, 90)).toBe(false)
})

test('each line has its own', () => {
  const { budget, after } = budgetOf(10)
  after(0, 0)
  after(11, 11)
  expect(after(11, 11)).toBe(true)
  budget.renew()
  expect(budget.over).toBe(false)
  expect(after(11, 11)).toBe(false)
})
