import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FailureDetector } from './failure-detector.ts'

/** How often the collector looks, ms. */
const look = 250

/** Lets time pass in looks; answers come at the given times. When it was first suspected, ms. */
function run(detector: FailureDetector, answers: readonly number[], until: number): number | undefined {
  let next = 0
  for (let now = 0; now <= until; now += look) {
    detector.look(true, now)
    if (detector.suspect) return now
    while (next < answers.length && answers[next]! < now + look) {
      detector.heard()
      next++
    }
  }
  return undefined
}
const every = (ms: number, until: number) => Array.from({ length: Math.floor(until / ms) }, (_, i) => i * ms)

test('one that stops answering is suspected within seconds', () => {
  for (const usual of [10, 100, 300]) {
    const at = run(new FailureDetector({ ceilingMs: 10_000 }), every(usual, 60_000), 120_000)!
    expect(at).toBeGreaterThan(62_000 - usual)
    expect(at).toBeLessThan(65_000)
  }
})

test('one that is throttled to 100m of CPU is not, however unevenly its answers come', () => {
  let longest = 0
  fc.assert(
    // It runs for 10 ms of every 100: what takes it n ms of CPU is answered after n / 10 periods.
    fc.property(fc.array(fc.integer({ min: 1, max: 190 }), { minLength: 50, maxLength: 200 }), (costs) => {
      let at = 0
      const answers = costs.map((cost) => (at += Math.ceil(cost / 10) * 100))
      longest = Math.max(longest, ...costs.map((cost) => Math.ceil(cost / 10) * 100))
      expect(run(new FailureDetector({ ceilingMs: 10_000 }), answers, at)).toBeUndefined()
    }),
  )
  expect(longest).toBeGreaterThan(1500)
})

test('one that was always slow is given more time than one that never was, up to the ceiling', () => {
  const toleratedAfter = (usual: number, options: { floorMs?: number; ceilingMs: number }) => {
    const answers = every(usual, 100 * usual)
    return run(new FailureDetector(options), answers, 200 * usual + 60_000)! - answers.at(-1)!
  }
  const ceilingMs = 20_000
  expect(toleratedAfter(1900, { ceilingMs })).toBeGreaterThan(toleratedAfter(100, { ceilingMs }) + 1000)
  const glacial = toleratedAfter(14_000, { floorMs: 15_000, ceilingMs })
  expect(glacial).toBeGreaterThan(15_000)
  expect(glacial).toBeLessThanOrEqual(ceilingMs + 2 * look)
})

test('one that owes nothing is not suspected, and one that answers again is trusted at once', () => {
  const detector = new FailureDetector({ ceilingMs: 10_000 })
  for (let now = 0; now < 60_000; now += look) detector.look(false, now)
  expect([detector.suspect, detector.silentMs]).toEqual([false, 0])
  for (let now = 60_000; now < 80_000; now += look) detector.look(true, now)
  expect(detector.suspect).toBe(true)
  detector.heard()
  expect([detector.suspect, detector.silentMs]).toEqual([false, 0])
})

test('how long it was away says nothing of how it answers', () => {
  const [away, never] = [new FailureDetector({ ceilingMs: 60_000 }), new FailureDetector({ ceilingMs: 60_000 })]
  for (let now = 0; now < 40_000; now += look) away.look(true, now)
  away.restart()
  never.look(false, 40_000 - look)
  for (const detector of [away, never]) for (let now = 40_000; now < 43_000; now += look) detector.look(true, now)
  expect([away.suspect, away.phi]).toEqual([true, never.phi])
})

test('time in which the collector itself stood still is not held against it', () => {
  const detector = new FailureDetector({ ceilingMs: 10_000 })
  detector.look(true, 0)
  for (const now of [1_000_000, 2_000_000, 3_000_000]) detector.look(true, now)
  expect(detector.suspect).toBe(false)
  expect(detector.silentMs).toBe(1500)
})

test('suspicion only grows with silence', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 100 }), (gaps) => {
      const detector = new FailureDetector({ ceilingMs: 60_000 })
      let now = 0
      for (const gap of gaps) {
        for (const end = now + gap; now < end; now += look) detector.look(true, now)
        detector.heard()
      }
      let before = -1
      for (const end = now + 30_000; now < end; now += look) {
        detector.look(true, now)
        const { phi } = detector
        expect(Number.isNaN(phi)).toBe(false)
        expect(phi).toBeGreaterThanOrEqual(before)
        before = phi
      }
    }),
  )
})
