import { expect, test } from 'vitest'
import { candidatesOf } from './candidates.ts'

/** A capital: listed. `a` to `m` of either case: usable. `S` behind it: stands by; a digit: its weight. */
function members(text: string) {
  return text.split(' ').map((word) => {
    const name = word[0]!
    return {
      name,
      listed: name === name.toUpperCase(),
      usable: name.toUpperCase() <= 'M',
      standby: word.includes('S', 1),
      weight: Number(/\d/.exec(word)?.[0] ?? 1),
    }
  })
}

test.for([
  ['A B C', 'A B C', 'all that are usable'],
  ['A B X', 'A B', 'without the one that is not'],
  ['A B c', 'A B', 'without the one that is leaving'],
  ['A B CS', 'A B', 'no standby while nobody is missing'],
  ['A X CS DS', 'A C', 'one standby for the one that is missing'],
  ['X Y CS DS ES', 'C D', 'two for two'],
  ['X2 CS DS ES', 'C D', 'as much weight as is missing'],
  ['X2 CS5 DS', 'C', 'or more'],
  ['X ZS CS', 'C', 'a standby that is usable'],
  ['CS DS', 'C D', 'all stand by'],
  ['X a', 'a', 'one that is leaving, where no other is usable'],
  ['X YS', 'X', 'none is usable: what comes waits at the active ones'],
  ['XS YS', 'X Y', 'or at those that stand by'],
  ['x y', 'x y', 'none is listed'],
] as const)('of %s there are %s: %s', ([text, expected]) => {
  expect(
    candidatesOf(members(text))
      .map(({ name }) => name)
      .join(' '),
  ).toBe(expected)
})

test('of none there is none', () => expect(candidatesOf([])).toEqual([]))
