import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { LabelsError, labelsOfObject, nameOfObject, parseStreamLabels, streamName } from './stream-labels.ts'

test.for([
  ['{app="x"}', { app: 'x' }],
  [' { app = "x" , b="y", } ', { app: 'x', b: 'y' }],
  ['{a="\\"q\\\\\\n", b=`raw\\`}', { a: '"q\\\n', b: 'raw\\' }],
  ['{a="", b="1"}', { b: '1' }],
  ['{}', {}],
  [`{a='b', c='d"e\\'f\\n'}`, { a: 'b', c: 'd"e\'f\n' }],
  ['{"a"="b", \'c\'="d"}', { a: 'b', c: 'd' }],
  [
    '{__proto__="p", a="ü"}',
    Object.fromEntries([
      ['__proto__', 'p'],
      ['a', 'ü'],
    ]),
  ],
] as const)('%s', ([text, labels]) => {
  expect(Object.entries(parseStreamLabels(text))).toEqual(Object.entries(labels))
})

test.for([
  ['', "error parsing labels '' with error: parse error"],
  ['{a=1}', "error parsing labels '{a=1}' with error: parse error at line 1, col 4: "],
  ['{a="x"', 'error parsing labels \'{a="x"\' with error: parse error at line 1, col 7: '],
  ['{a="x" b="y"}', 'with error: parse error at line 1, col 8: '],
  ['{a!="x", b="1"}', 'with error: parse error : only equality matchers are labels'],
  ['{a="x"} |= "y"', 'with error: parse error'],
  ['{"a.b"="x"}', 'with error: parse error at line 1, col 2: '],
  ['{"a\'="x"}', 'with error: parse error at line 1, col 2: '],
  ['{a="x", a="y"}', `stream '{a="x", a="y"}' has duplicate label name: 'a'`],
] as const)('%s is refused where it is wrong', ([text, message]) => {
  expect(() => parseStreamLabels(text)).toThrow(message)
})

test.for([20_000, 2_000_000, 40_000_000])(
  'what is wrong is told in short, however long the labels are: %s',
  (length) => {
    const value = 'x'.repeat(length)
    const messageOf = (read: () => unknown): string => {
      try {
        read()
      } catch (error) {
        if (error instanceof LabelsError) return error.message
        throw error
      }
      return 'nothing is wrong'
    }
    for (const read of [() => parseStreamLabels(`{a="${value}`), () => labelsOfObject({ 'a-b': value })]) {
      expect(messageOf(read)).toMatch(/^error parsing labels '\{a.{8000,9000}$/)
    }
    expect(nameOfObject({ a: value }).length).toBeLessThan(9000)
  },
)

test('values of a JSON stream that are no strings are taken as their text', () => {
  expect({ ...labelsOfObject({ a: 'x', n: 1, t: true, o: { k: [1] }, e: '' }) }).toEqual({
    a: 'x',
    n: '1',
    t: 'true',
    o: '{"k":[1]}',
  })
  expect(() => labelsOfObject({ 'a-b': 'x' })).toThrow('error parsing labels \'{a-b="x"}\'')
})

test('what a stream is called is read back as the same labels', () => {
  const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,5}$/)
  const character = fc.oneof(
    fc.string({ minLength: 1, maxLength: 1, unit: 'binary' }),
    fc.constantFrom('"', '\\', '\n', '`'),
  )
  const value = fc.array(character, { minLength: 1 }).map((all) => all.join('').toWellFormed())
  const labels = fc.dictionary(name, value)
  let escaped = 0
  fc.assert(
    fc.property(labels, (all) => {
      if (Object.values(all).some((value) => /["\\\n]/.test(value))) escaped++
      expect(new Map(Object.entries(parseStreamLabels(streamName(all))))).toEqual(new Map(Object.entries(all)))
    }),
    { numRuns: 500 },
  )
  expect(escaped, 'the generator never reached: characters with an escape').toBeGreaterThan(50)
})
