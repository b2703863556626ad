import fc from 'fast-check'
import { expect, test } from 'vitest'
import { dataInsertOf, formatOf, insertFromFile, parameterNames, quoteLiteral, setStatement } from './statement.ts'

/** How the engine reads a literal: the text between the quotes, and where it ends. */
function readLiteral(sql: string): { text: string; end: number } {
  let text = ''
  for (let i = 1; i < sql.length; i++) {
    if (sql[i] === "'") return { text, end: i + 1 }
    if (sql[i] === '\\') i++
    text += sql[i]
  }
  throw new Error('the literal does not end')
}

test('whatever is quoted stays within its quotes', () => {
  const hostile = fc.string({ unit: fc.constantFrom("'", '\\', 'a', ';', '\n', '\0', 'é', '`') })
  fc.assert(
    fc.property(hostile, (text) => {
      const sql = quoteLiteral(text)
      expect(readLiteral(sql)).toEqual({ text, end: sql.length })
    }),
  )
})

test.for([
  { sql: 'SELECT 1', format: undefined },
  { sql: 'SELECT 1\nFORMAT JSONEachRow', format: 'JSONEachRow' },
  { sql: 'SELECT 1 format CSV ; ', format: 'CSV' },
  { sql: 'SELECT format FROM t', format: undefined },
  { sql: 'SELECT FORMAT x FROM t', format: undefined },
])('the format of $sql is $format', ({ sql, format }) => expect(formatOf(sql)).toBe(format))

test.for([
  { sql: 'INSERT INTO logs (a, b) FORMAT Native', expected: { table: 'logs', columns: '(a, b)', format: 'Native' } },
  { sql: 'insert into logs format CSV', expected: { table: 'logs', columns: '', format: 'CSV' } },
  { sql: 'INSERT INTO logs SELECT 1 FORMAT Native', expected: undefined },
  { sql: 'INSERT INTO logs (a) VALUES (1) /* FORMAT Native', expected: undefined },
  { sql: 'SELECT 1 FORMAT Native', expected: undefined },
])('$sql as an insert with data', ({ sql, expected }) => expect(dataInsertOf(sql)).toEqual(expected))

test('the rows of an insert are read from a file whose name is quoted', () => {
  const sql = insertFromFile({ table: 't', columns: '(a)', format: 'Native' }, "/it's/1.rows")
  expect(sql).toBe("INSERT INTO t (a) SELECT * FROM file('/it\\'s/1.rows', 'Native')")
})

test('parameters are found wherever they stand', () => {
  expect(parameterNames('SELECT {a:String}, { b1 : Array(UInt64)} FROM {_t:Identifier}')).toEqual(
    new Set(['a', 'b1', '_t']),
  )
})

test('settings are set and taken back in one statement', () => {
  const changes = new Map([
    ['max_threads', '2'],
    ['log_comment', undefined],
    ['param_s', "'"],
  ])
  expect(setStatement(changes)).toBe("SET max_threads = '2', log_comment = DEFAULT, param_s = '\\''")
  expect(setStatement(new Map())).toBe('')
})
