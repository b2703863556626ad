import fc from 'fast-check'
import { RE2JS } from 're2js'
import { expect, test } from 'vitest'
import { requiredLiteral } from './required-literal.ts'

test.for([
  ['healthz', 'healthz'],
  ['^GET /healthz$', 'GET /healthz'],
  ['api_key=\\w+', 'api_key='],
  ['ab*c', undefined],
  ['abc+de', 'ab'],
  ['ab{2}cd', 'cd'],
  ['foo(bar|baz)quux', 'quux'],
  ['foo|bar', undefined],
  ['(?i)foo', undefined],
  ['foo(?:bar)?', undefined],
  ['a\\.b\\.c', 'a.b.c'],
  ['x[abc]yz', 'yz'],
  ['x[]a]yz', 'yz'],
  ['x[[:alpha:]]yz', 'yz'],
  ['\\Qa|b\\E', undefined],
  ['\\x{61}bc', 'bc'],
  ['\\bfoo\\b', 'foo'],
  ['(foo', undefined],
] as const)('%s → %s', ([pattern, literal]) => expect(requiredLiteral(pattern)).toBe(literal))

test('a text that matches has the literal', () => {
  const piece = fc.constantFrom(
    'a',
    'b',
    'ab',
    'c',
    '.',
    '[ab]',
    '(a|b)',
    '(ab)',
    '\\.',
    '*',
    '+',
    '?',
    '{2}',
    '^',
    '$',
    '\\w',
    '|',
  )
  const text = fc.array(fc.constantFrom('a', 'b', 'c', '.'), { maxLength: 12 }).map((all) => all.join(''))
  let reached = 0
  fc.assert(
    fc.property(
      fc.array(piece, { minLength: 1, maxLength: 5 }),
      fc.array(text, { minLength: 10, maxLength: 40 }),
      (pieces, texts) => {
        const pattern = pieces.join('')
        const literal = requiredLiteral(pattern)
        if (literal === undefined) return
        let regex: RE2JS
        try {
          regex = RE2JS.compile(pattern)
        } catch {
          return
        }
        for (const one of texts) {
          if (!regex.test(one)) continue
          reached++
          expect(one).toContain(literal)
        }
      },
    ),
    { numRuns: 3000 },
  )
  expect(reached).toBeGreaterThan(20)
})
