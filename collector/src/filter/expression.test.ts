import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Expression, ExpressionError, parseExpression } from './expression.ts'

function print(expression: Expression): string {
  if (expression.kind === 'not') return `!${print(expression.inner)}`
  if (expression.kind === 'compare') return `${expression.name}${expression.op}${JSON.stringify(expression.value)}`
  return `(${print(expression.left)} ${expression.kind} ${print(expression.right)})`
}

test.for([
  ['namespace == "dev"', 'namespace=="dev"'],
  ['namespace == "dev" and line =~ "healthz"', '(namespace=="dev" and line=~"healthz")'],
  ['a == "1" or b == "2" and c != "3"', '(a=="1" or (b=="2" and c!="3"))'],
  ['(a == "1" or b == "2") and c !~ "3"', '((a=="1" or b=="2") and c!~"3")'],
  ['not a == "1" and b == "2"', '(!a=="1" and b=="2")'],
  ['not not (a == "1")', '!!a=="1"'],
  ["line contains 'it''s'", undefined],
  ['line contains \'say "hi"\'', 'linecontains"say \\"hi\\""'],
  ['label_app.kubernetes.io/name == "x"', 'label_app.kubernetes.io/name=="x"'],
  ['line=~`\\d+`', 'line=~"\\\\d+"'],
  ['line =~ "\\d+\\n\\"\\\\"', 'line=~"\\\\d+\\n\\"\\\\"'],
] as const)('%s', ([text, expected]) => {
  if (expected === undefined) expect(() => parseExpression(text)).toThrow(ExpressionError)
  else expect(print(parseExpression(text))).toBe(expected)
})

test.for([
  [
    '',
    'the name of a label or attribute, "line", "stream", "not" or "(" is expected, but at character 1 there is the end',
  ],
  [
    'namespace = "dev"',
    'a name, a text in quotes or one of == != =~ !~ ( ) is expected, but at character 11 there is "= "dev""',
  ],
  ['namespace == dev', 'a text in quotes is expected, but at character 14 there is "dev"'],
  ['namespace "dev"', 'one of == != =~ !~ contains is expected, but at character 11 there is ""dev""'],
  ['line =~ "x', 'a closing quote is missing, but at character 9 there is ""x"'],
  ['(a == "1"', '")" is expected, but at character 10 there is the end'],
  ['a == "1" b == "2"', '"and", "or" or the end is expected, but at character 10 there is "b == "2""'],
  [
    'and == "1"',
    'the name of a label or attribute, "line", "stream", "not" or "(" is expected, but at character 1 there is "and == "1""',
  ],
  [
    '('.repeat(200),
    'at most 100 levels of parentheses and "not" are allowed, but at character 101 there is "(((((((((((((((((((("',
  ],
] as const)('%s is refused where it is wrong', ([text, message]) => {
  expect(() => parseExpression(text)).toThrow(expect.objectContaining({ name: 'ExpressionError', message }))
})

test('any text is an expression or an ExpressionError', () => {
  const word = fc.constantFrom(
    'a',
    'line',
    'and',
    'or',
    'not',
    'contains',
    '==',
    '=~',
    '"x"',
    "'",
    '(',
    ')',
    '\\',
    ' ',
    '\n',
    'é',
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 12 }), (words) => {
      try {
        parseExpression(words.join(' '))
      } catch (error) {
        expect(error).toBeInstanceOf(ExpressionError)
      }
    }),
    { numRuns: 500 },
  )
})
