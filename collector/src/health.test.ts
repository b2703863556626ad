import { expect, test } from 'vitest'
import { HealthCheck } from './health.ts'

const busy = { connected: true, unreadBytes: 10, ackedBytes: 5 }

test.for([
  { when: 'bytes are unread and none was acknowledged for a minute', later: busy, healthy: false },
  { when: 'bytes were acknowledged', later: { ...busy, ackedBytes: 6 }, healthy: true },
  { when: 'nothing is unread', later: { ...busy, unreadBytes: 0 }, healthy: true },
  {
    when: 'the aggregator is away, which a restart of the collector would not mend',
    later: { ...busy, connected: false },
    healthy: true,
  },
])('$when: healthy is $healthy', ({ later, healthy }) => {
  const check = new HealthCheck()
  expect(check.observe(busy, 1000).healthy).toBe(true)
  expect(check.observe(later, 62_000).healthy).toBe(healthy)
  expect(check.observe({ ...later, ackedBytes: 100 }, 63_000).healthy).toBe(true)
})
