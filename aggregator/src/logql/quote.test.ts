import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hasRawBytes, quote, unquote } from './quote.ts'

test.for([
  ['"a"', 'a'],
  ['`a\\n"`', 'a\\n"'],
  ['`a\r\nb`', 'a\nb'],
  ['"\\a\\b\\f\\n\\r\\t\\v\\\\\\""', '\x07\b\f\n\r\t\v\\"'],
  ['"\\x41\\101\\u00e9\\U0001F600"', 'AAé😀'],
  ['"\\xc3\\xa9"', 'é'],
  ['"\\xef\\xbf\\xbd"', '\ufffd'],
  ['"\\xff\\xc3"', '\udcff\udcc3'],
  ['"\\xed\\xa0\\x80"', '\udced\udca0\udc80'],
  ['"\\q"', undefined],
  ['"\\x4"', undefined],
  ['"\\400"', undefined],
  ['"\\ud800"', undefined],
  ['"\\U00110000"', undefined],
  ['"\\\'"', undefined],
] as const)('%s means %j', ([literal, expected]) => expect(unquote(literal)).toBe(expected))

test('what is quoted is read back', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(unquote(quote(text))).toBe(text)
    }),
  )
})

test('any bytes can be named and are recognised when they are not UTF-8', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const value = unquote(`"${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}"`)!
      const text = Buffer.from(bytes).toString('utf8')
      expect(hasRawBytes(value)).toBe(!Buffer.from(text, 'utf8').equals(Buffer.from(bytes)))
      if (!hasRawBytes(value)) expect(value).toBe(text)
    }),
  )
})
