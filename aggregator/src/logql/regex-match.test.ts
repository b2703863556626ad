import fc from 'fast-check'
import { RE2JS } from 're2js'
import { afterAll, expect, test } from 'vitest'
import { jsRegex } from './regex-js.ts'
import { Regex } from './regex-match.ts'

const atom = fc.constantFrom(
  ...['a', 'b', '.', '\\d', '\\s', '\\S', '[ab]', '[^a]', '[a-c]', 'x', '\\.', '^', '$', '\\b', '\\w', '\\W'],
  ...['(?:ab)', '(a|b)', '(?P<n>a)', ' ', 'é', '[é-ü]', '\\x41', 'k', 'ſ', '[\\d\\-]', '\\n', '(a.)?'],
)
const quantifier = fc.constantFrom('', '', '', '*', '+', '?', '{2}', '{1,3}', '*?', '+?')
const expression = fc
  .tuple(
    fc.constantFrom('', '', '(?i)', '(?s)'),
    fc.array(
      fc.tuple(atom, quantifier).map((parts) => parts.join('')),
      { minLength: 1, maxLength: 5 },
    ),
    fc.constantFrom('', '|a', '|'),
  )
  .map(([flags, parts, end]) => flags + parts.join('') + end)
const characters = ['a', 'b', 'A', 'c', 'x', ' ', '\n', '.', '1', 'é', 'ü', 'K', '\u212a', 'ſ', 's', '\udcff', '😀']
const text = fc.array(fc.constantFrom(...characters), { maxLength: 12 }).map((list) => list.join(''))

const reached = { matched: 0, unmatched: 0, left: 0 }
afterAll(() => {
  for (const [what, count] of Object.entries(reached)) expect(count, `never reached: ${what}`).toBeGreaterThan(100)
})

test("what JavaScript's engine matches, it matches as RE2 does", () => {
  fc.assert(
    fc.property(expression, text, fc.boolean(), (pattern, line, dotAll) => {
      let re2: RE2JS
      try {
        re2 = RE2JS.compile(pattern, dotAll ? RE2JS.DOTALL : 0)
      } catch {
        return
      }
      const js = jsRegex(pattern, dotAll, false)
      if (js === undefined) {
        reached.left++
        return
      }
      const matcher = re2.matcher(line)
      const expected = matcher.find()
        ? [matcher.start(), ...Array.from({ length: re2.groupCount() + 1 }, (_, i) => matcher.group(i) ?? undefined)]
        : undefined
      js.regex.lastIndex = 0
      const found = js.regex.exec(line)
      expect(found ? [found.index, ...found] : undefined, `${pattern} on ${JSON.stringify(line)}`).toEqual(expected)
      expected ? reached.matched++ : reached.unmatched++
    }),
    { numRuns: 5000 },
  )
})

test.for([
  ['(a+b)*', undefined],
  ['(?:a|ab)+', undefined],
  ['[[:alpha:]]', undefined],
  ['\\pL', undefined],
  ['(?m)^a', undefined],
  ['a(?i)b', undefined],
  ['error', Number.POSITIVE_INFINITY],
  ['^status=(\\d+) (\\S+) end$', Number.POSITIVE_INFINITY],
  ['\\S+ x', 4472],
  ['a.*b', 4472],
  ['^a.*b.*c', 4472],
  ['a.*b.*c', 271],
  ['a.*b.*c.*d', 66],
] as const)('%s is given to the engine up to a length of %s', ([pattern, expected]) =>
  expect(jsRegex(pattern, false, false)?.maxLength).toBe(expected),
)

test('an expression made to backtrack takes no longer than RE2 does', () => {
  const regex = new Regex('a.*b.*c.*d.*e')
  const began = performance.now()
  expect(regex.test('abcabc'.repeat(2000))).toBe(false)
  expect(performance.now() - began).toBeLessThan(5000)
})

test.for([
  ['x*', 'abc', '-', '-a-b-c-'],
  ['a*', 'baaac', '-', '-b-c-'],
  ['(\\w)(\\d)', 'a1 b2', '$2$1', '1a 2b'],
  ['(?P<n>b)', 'abc', '[$' + '{n}$x$1y]', 'a[b]c'],
  ['b', 'abc', '$$', 'a$c'],
] as const)('%s in %s by %s gives %s, as in Go', ([pattern, line, template, expected]) => {
  const regex = new Regex(pattern)
  expect(regex.replace(line, (match) => regex.expand(template, match))).toBe(expected)
})
