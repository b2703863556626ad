import { expect, test } from 'vitest'
import { lineFields } from './line-fields.ts'

const stream = new Map([['app', 'web']])

test.for([
  ['{"a":1,"b":{"c d":"x"}}', 'json', { a: '1', b_c_d: 'x' }],
  // What JSON.parse refuses and the language's parser takes.
  ['{"a":1,"big":12345678901234567890,}', 'json', { a: '1', big: '12345678901234567890' }],
  ['{"f":1.50,"e":"","l":[1],"n":null,"ok":true}', 'json', { f: '1.50', ok: 'true' }],
  ['{"a":"first","a":"second"}', 'json', { a: 'first' }],
  ['{"app":"db"}', 'json', { app_extracted: 'db' }],
  ['level=info msg="two words" flag took=3s', 'logfmt', { level: 'info', msg: 'two words', took: '3s' }],
  ['a.b=1 app=db broken==x c=2', 'logfmt', { a_b: '1', app_extracted: 'db', c: '2' }],
  // An object that does not end is read as logfmt, as in Loki.
  ['{"a":1 b=2', 'logfmt', { b: '2' }],
] as const)('%s is %s with the fields that a query would find', ([line, parser, expected]) => {
  const found = lineFields(line, stream)!
  expect(found.parser).toBe(parser)
  expect(Object.fromEntries([...found.fields].map(([name, { value }]) => [name, value]))).toEqual(expected)
})

test.for(['', 'only words', 'x'.repeat(40)])('%j has no fields', (line) => {
  expect(lineFields(line)).toBeUndefined()
})

test('paths lead to the values', () => {
  const { fields } = lineFields('{"user":{"id":7,"x y":{"z":1}},"user_id":8,"app":"db"}', stream)!
  expect([...fields].map(([name, { path }]) => [name, path])).toEqual([
    ['user_id', ['user', 'id']],
    ['user_x_y_z', ['user', 'x y', 'z']],
    ['app_extracted', ['app']],
  ])
})
