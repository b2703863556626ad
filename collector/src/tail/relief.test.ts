import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Held, planRelief, planRescue } from './relief.ts'

interface File extends Held {
  readonly n: number
}

const files = (...given: [pod: string, bytes: number][]): File[] => given.map(([pod, bytes], n) => ({ pod, bytes, n }))
const numbers = (held: readonly File[]) => held.map(({ n }) => n)
const noLimit = Number.POSITIVE_INFINITY

test.for<[string, File[], { unlinkedBytes: number; unlinkedBytesPerPod: number }, number[]]>([
  ['nothing held', [], { unlinkedBytes: 0, unlinkedBytesPerPod: 0 }, []],
  ['within both limits', files(['a', 5], ['b', 5]), { unlinkedBytes: 10, unlinkedBytesPerPod: 5 }, []],
  [
    "the node's: the oldest of the noisiest",
    files(['a', 4], ['b', 5], ['b', 6]),
    { unlinkedBytes: 10, unlinkedBytesPerPod: 99 },
    [1],
  ],
  [
    "the node's: as long as it is exceeded",
    files(['a', 4], ['b', 5], ['b', 6]),
    { unlinkedBytes: 9, unlinkedBytesPerPod: 99 },
    [1, 2],
  ],
  ["a pod's: only that pod's", files(['a', 1], ['b', 5], ['b', 6]), { unlinkedBytes: 99, unlinkedBytesPerPod: 6 }, [1]],
  ['the noisiest changes', files(['a', 6], ['b', 5], ['b', 4]), { unlinkedBytes: 5, unlinkedBytesPerPod: 99 }, [1, 0]],
])('%s', ([, held, limits, expected]) => {
  expect(numbers(planRelief(held, limits))).toEqual(expected)
})

const anyHeld = fc
  .array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 1, max: 20 })), { maxLength: 12 })
  .map((given) => files(...given))
const sum = (held: readonly File[]) => held.reduce((total, { bytes }) => total + bytes, 0)

test('what is kept is within both limits, and no file is let go of without need, nor before an older one of its pod', () => {
  fc.assert(
    fc.property(anyHeld, fc.nat(60), fc.nat(40), (held, unlinkedBytes, unlinkedBytesPerPod) => {
      const plan = planRelief(held, { unlinkedBytes, unlinkedBytesPerPod })
      const kept = (of: readonly File[]) => held.filter((one) => !of.includes(one))
      const within = (of: readonly File[]) =>
        sum(of) <= unlinkedBytes &&
        ['a', 'b', 'c'].every((name) => sum(of.filter(({ pod }) => pod === name)) <= unlinkedBytesPerPod)
      expect(within(kept(plan))).toBe(true)
      for (let i = 0; i < plan.length; i++) expect(within(kept(plan.slice(0, i)))).toBe(false)
      for (const one of plan) expect(kept(plan).every(({ pod, n }) => pod !== one.pod || n > one.n)).toBe(true)
    }),
  )
})

test('everything is rescued, of small pods first, of each in its order', () => {
  expect(numbers(planRescue(files(['a', 9], ['b', 3], ['a', 1], ['c', 1])))).toEqual([3, 1, 0, 2])
  fc.assert(
    fc.property(anyHeld, (held) => {
      expect(numbers(planRescue(held)).sort((a, b) => a - b)).toEqual(numbers(held))
      expect(planRelief(held, { unlinkedBytes: noLimit, unlinkedBytesPerPod: noLimit })).toEqual([])
    }),
  )
})
