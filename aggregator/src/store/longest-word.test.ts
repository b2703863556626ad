import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { longestWord, longestWordSql } from './longest-word.ts'
import { openTestStore, type TestStore } from './test-store.ts'

let opened: TestStore
beforeAll(async () => {
  opened = await openTestStore()
})
afterAll(() => opened[Symbol.asyncDispose]())

/** Found by an expression instead of by jumping. */
const plainly = (line: string): number =>
  Math.max(0, ...[...line.matchAll(/[A-Za-z0-9\x80-\xff]{17,}/g)].map(([word]) => word.length))

const piece = fc.oneof(
  fc.constantFrom(
    'a',
    'Z9',
    ' ',
    '_',
    '-',
    '/',
    '"',
    '\x00',
    '\xe9',
    '\xff',
    '\n',
    '0123456789abcdef',
    '0123456789abcdefg',
  ),
  fc.string({ unit: fc.constantFrom('x', '7'), maxLength: 40 }),
)
const line = fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join(''))

test('it is the longest run of more than 16 letters, digits and bytes that are not ASCII', () => {
  const reached = { none: 0, first: 0, later: 0 }
  fc.assert(
    fc.property(line, fc.string({ maxLength: 3 }), (text, around) => {
      const bytes = Buffer.from(around + text + around, 'latin1')
      const found = longestWord(bytes, around.length, around.length + text.length)
      expect(found).toBe(plainly(text))
      if (found === 0) reached.none++
      else plainly(text.slice(0, found)) === found ? reached.first++ : reached.later++
    }),
    { numRuns: 3000 },
  )
  for (const [what, count] of Object.entries(reached)) expect(count, `never reached: ${what}`).toBeGreaterThan(50)
})

test('a word that is longer than the column holds is as long as it holds', () => {
  expect(longestWord(Buffer.alloc(100_000, 'x'), 0, 100_000)).toBe(65_535)
})

test("the store's own expression never gives less", async () => {
  const lines = fc.sample(line, { numRuns: 500, seed: 1 }).map((text) => Buffer.from(text, 'latin1'))
  const { rows } = await opened.client.query<{ n: number }>(
    `SELECT ${longestWordSql} AS n FROM (SELECT unhex(arrayJoin({lines:Array(String)})) AS line)`,
    { lines: lines.map((bytes) => bytes.toString('hex')) },
  )
  expect(rows).toHaveLength(500)
  const own = lines.map((bytes) => longestWord(bytes, 0, bytes.length))
  for (const [i, { n }] of rows.entries())
    expect(n, JSON.stringify(lines[i]!.toString('latin1'))).toBeGreaterThanOrEqual(own[i]!)
  expect(rows.filter(({ n }, i) => own[i] !== 0 && n === own[i]).length).toBeGreaterThan(100)
})
