import { expect, test } from 'vitest'
import { Health, type Progress } from './health.ts'

const at = (offset: number) => ({ segment: 0, offset })
const idle: Progress = {
  committed: at(9),
  stored: at(9),
  undurableBytes: 0,
  walFull: false,
  storeAnswers: true,
  loadError: undefined,
}
const minute = 60_000

test.for([
  { when: 'there is nothing to do', progress: idle, healthy: true },
  { when: 'rows wait and none is stored', progress: { ...idle, stored: at(5), loadError: 'code 62' }, healthy: false },
  { when: 'the store is away', progress: { ...idle, stored: at(5), storeAnswers: false }, healthy: true },
  { when: 'nothing becomes durable', progress: { ...idle, undurableBytes: 1 }, healthy: false },
  { when: 'the write-ahead log is full', progress: { ...idle, undurableBytes: 1, walFull: true }, healthy: true },
])('for three minutes $when → healthy: $healthy', ({ progress, healthy }) => {
  const health = new Health(0)
  for (let now = 0; now <= 3 * minute; now += minute / 2) health.observe(progress, now)
  const problem = health.problem(3 * minute)
  expect(problem === undefined).toBe(healthy)
  if (progress.loadError) expect(problem).toContain('code 62')
})

test('a loader that is far behind and moves is healthy', () => {
  const health = new Health(0)
  for (let i = 0; i < 10; i++) health.observe({ ...idle, committed: at(1000), stored: at(i) }, i * minute)
  expect(health.problem(9 * minute)).toBeUndefined()
  health.observe({ ...idle, committed: at(1000), stored: at(9) }, 12 * minute)
  expect(health.problem(12 * minute)).toContain('180 s')
})
