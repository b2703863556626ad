import { expect, test } from 'vitest'
import { type Health, HealthCheck, type Progress } from './health.ts'

const busy: Progress = { connected: true, readableBytes: 10, waitingChunks: 1, acked: 5, worst: 'shop/cart/main' }
const away: Progress = { ...busy, connected: false }

/** Looks once for each [seconds, progress], at the end of that time and once a second within it. */
function watch(...phases: readonly (readonly [seconds: number, progress: Progress])[]): Health {
  const check = new HealthCheck()
  let now = 1e6
  let health = check.observe(busy, now)
  for (const [seconds, progress] of phases) {
    for (let i = 0; i < seconds; i++) health = check.observe(progress, (now += 1000))
  }
  return health
}

test.for<{ when: string; phases: [number, Progress][]; healthy: boolean }>([
  { when: 'bytes can be read and none was acknowledged for a minute', phases: [[60, busy]], healthy: false },
  { when: 'it is not a minute yet', phases: [[59, busy]], healthy: true },
  {
    when: 'a chunk was acknowledged',
    phases: [
      [59, busy],
      [2, { ...busy, acked: 6 }],
    ],
    healthy: true,
  },
  {
    when: 'nothing can be read and nothing is on its way',
    phases: [[90, { ...busy, readableBytes: 0, waitingChunks: 0 }]],
    healthy: true,
  },
  {
    when: 'all is read and its acknowledgement never comes',
    phases: [[60, { ...busy, readableBytes: 0 }]],
    healthy: false,
  },
  { when: 'the aggregator is away, which a restart would not mend', phases: [[600, away]], healthy: true },
  {
    when: 'an aggregator that was away is back and has its minute',
    phases: [
      [59, busy],
      [30, away],
      [59, busy],
    ],
    healthy: true,
  },
  {
    when: 'connections are made anew again and again, and nothing moves',
    phases: [
      [30, busy],
      [15, away],
      [30, busy],
    ],
    healthy: false,
  },
])('$when: healthy is $healthy', ({ phases, healthy }) => {
  expect(watch(...phases).healthy).toBe(healthy)
})

test('it says what stands still, and is healthy again with the first acknowledgement', () => {
  expect(watch([61, busy]).reason).toBe(
    'nothing was acknowledged for 61 s although the aggregator is connected, 1 chunk waits for its acknowledgement; 10 bytes are unread, most of it in shop/cart/main; /why tells more',
  )
  expect(watch([61, busy], [1, { ...busy, acked: 6 }]).healthy).toBe(true)
})

test('the time of a stopped or suspended process is not held against it', () => {
  const check = new HealthCheck()
  check.observe(busy, 0)
  expect(check.observe(busy, 3_600_000).healthy).toBe(true)
  // Throttled to a tenth: a look every few seconds instead of every one.
  let health: Health = { healthy: true }
  for (let at = 3_600_000; at <= 3_640_000; at += 4000) health = check.observe(busy, at)
  expect(health.healthy).toBe(true)
  // A clock that jumps back counts nothing.
  expect(check.observe(busy, 0).healthy).toBe(true)
})
