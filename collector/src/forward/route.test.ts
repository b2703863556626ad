import { createHash } from 'node:crypto'
import { relaySource } from '@tributary/protocol/chunk.ts'
import type { SourceId } from '@tributary/protocol/source.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Candidate, routeOf, seedOf } from './route.ts'

const sources = Array.from({ length: 4000 }, (_, i) => createHash('md5').update(String(i)).digest())

interface Named extends Candidate {
  readonly name: string
}
const named = (name: string, weight = 1): Named => ({ name, seed: seedOf(name), weight })
const routes = (candidates: readonly Named[], of: readonly SourceId[] = sources) =>
  of.map((source) => candidates[routeOf(source, candidates)]!.name)
const share = (found: readonly string[], name: string) => found.filter((one) => one === name).length / found.length

const fleet = fc
  .uniqueArray(fc.record({ name: fc.string({ minLength: 1 }), weight: fc.constantFrom(0.5, 1, 1, 1, 2, 10) }), {
    selector: ({ name }) => name,
    minLength: 2,
    maxLength: 8,
  })
  .map((all) => all.map(({ name, weight }) => named(name, weight)))

test('each gets sources in proportion to its weight', () => {
  fc.assert(
    fc.property(fleet, (all) => {
      const found = routes(all)
      const total = all.reduce((sum, { weight }) => sum + weight, 0)
      for (const { name, weight } of all) {
        const expected = weight / total
        // Five standard deviations of a binomial distribution.
        const slack = 5 * Math.sqrt((expected * (1 - expected)) / sources.length)
        expect(Math.abs(share(found, name) - expected)).toBeLessThan(slack)
      }
    }),
    { numRuns: 60 },
  )
})

test('one that leaves or comes moves its own share and nothing else, whatever the order', () => {
  let moved = 0
  fc.assert(
    fc.property(fleet, fc.nat(), (all, pick) => {
      const gone = all[pick % all.length]!
      const before = routes(all)
      const after = routes(all.filter((one) => one !== gone).toReversed())
      for (const [i, name] of before.entries()) {
        if (name === gone.name) moved++
        else expect(after[i]).toBe(name)
      }
    }),
    { numRuns: 60 },
  )
  expect(moved).toBeGreaterThan(sources.length)
})

test('a larger weight of one draws sources to it from all others, and moves none between those', () => {
  const before = routes([named('a'), named('b'), named('c')])
  const after = routes([named('a'), named('b'), named('c', 2)])
  for (const [i, name] of before.entries()) if (after[i] !== name) expect(after[i]).toBe('c')
  expect(share(after, 'c')).toBeGreaterThan(share(before, 'c') + 0.1)
})

test('sources of relayed messages, which begin with zeros, are spread as well', () => {
  const found = routes([named('a'), named('b')], Array.from({ length: 2000 }, relaySource))
  expect(share(found, 'a')).toBeGreaterThan(0.4)
  expect(share(found, 'a')).toBeLessThan(0.6)
})

test('of none there is no route, of one it is that one', () => {
  expect(routeOf(sources[0]!, [])).toBe(-1)
  expect(routeOf(sources[0]!, [named('a')])).toBe(0)
})
