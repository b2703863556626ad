import { expect, test } from 'vitest'
import { parseGoDurationStrictly } from './go-parse.ts'

test.for([
  ['soon', 'time: invalid duration "soon"'],
  ['１s', String.raw`time: invalid duration "\xef\xbc\x91s"`],
  ['a"b\\c', String.raw`time: invalid duration "a\"b\\c"`],
  ['1é', String.raw`time: unknown unit "\xc3\xa9" in duration "1\xc3\xa9"`],
  ['1\n', String.raw`time: unknown unit "\x0a" in duration "1\x0a"`],
] as const)('%j is no duration, in the words of Go: %s', ([text, expected]) =>
  expect(() => parseGoDurationStrictly(text)).toThrowError(expected),
)
