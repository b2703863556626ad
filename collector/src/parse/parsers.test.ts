import fc from 'fast-check'
import { expect, test } from 'vitest'
import { regexCompiler } from '../filter/regex.ts'
import { builtInParser } from './built-in.ts'
import { FieldTaker, maxFields, maxTotal, maxValue } from './field-taker.ts'
import { isLevelName, levelNamed } from './level.ts'
import { builtInParsers } from './names.ts'
import type { Parser } from './parser.ts'
import { RegexParser } from './regex.ts'

function parse(parser: Parser, line: string | Buffer): Record<string, string> | undefined {
  const bytes = Buffer.concat([Buffer.from('{"x='), Buffer.from(line as string), Buffer.from('"}')])
  const fields = new FieldTaker(['pod'])
  fields.begin()
  return parser.parse(bytes, 4, bytes.length - 2, fields.take) ? Object.fromEntries(fields.fields) : undefined
}

test.for<[string, Record<string, string> | undefined]>([
  ['{"a":"b"}', { a: 'b' }],
  [' {"a":1.5,"b":true,"c":null,"d":""} ', { a: '1.5', b: 'true' }],
  ['{"http":{"status":200,"headers":{"x-id":"7"}}}', { http_status: '200', http_headers_x_id: '7' }],
  ['{"list":[1,{"a":2}]}', { list: '[1,{"a":2}]' }],
  ['{"a":{"b":{"c":{"d":{"e":{"f":{"g":1}}}}}}}', { a_b_c_d_e_f: '{"g":1}' }],
  ['{"level":"WARNING"}', { detected_level: 'warn', level: 'WARNING' }],
  ['{"level":30}', { detected_level: 'info', level: '30' }],
  [
    '{"pod":"x","offset":1,"log":"y","stream":"z","truncated":"true"}',
    {
      pod_extracted: 'x',
      offset_extracted: '1',
      log_extracted: 'y',
      stream_extracted: 'z',
      truncated_extracted: 'true',
    },
  ],
  ['{"7 a-b.c":"x"}', { _7_a_b_c: 'x' }],
  [
    '{"id":1234567890123456789,"n":{"id":-18446744073709551615}}',
    { id: '1234567890123456789', n_id: '-18446744073709551615' },
  ],
  [
    '{"ids":[9007199254740993,{"a":1e400}],"f":0.1,"z":1e3}',
    { ids: '[9007199254740993,{"a":1e400}]', f: '0.1', z: '1000' },
  ],
  [`{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}`, undefined],
  [`${'{"a":'.repeat(9000)}1${'}'.repeat(9000)}`, undefined],
  ['{"__proto__":{"a":"b"},"constructor":"c"}', { __proto___a: 'b', constructor: 'c' }],
  ['{}', {}],
  ['{"a":', undefined],
  ['[1]', undefined],
  ['"text"', undefined],
  ['', undefined],
])('json: %s', ([line, expected]) => expect(parse(builtInParser('json'), line)).toEqual(expected))

test.for<[string, Record<string, string> | undefined]>([
  ['level=info msg="all is well" took=5ms', { detected_level: 'info', level: 'info', msg: 'all is well', took: '5ms' }],
  ['a="say \\"hi\\"\\n\\u00e9" b', { a: 'say "hi"\né' }],
  ['a= b=c', { b: 'c' }],
  ['a=b=c', { a: 'b=c' }],
  ['http.status=200', { http_status: '200' }],
  ['just some words', undefined],
  ['a="open', undefined],
  ['=b', undefined],
  ['', undefined],
])('logfmt: %s', ([line, expected]) => expect(parse(builtInParser('logfmt'), line)).toEqual(expected))

test.for<[string, Record<string, string> | undefined]>([
  [
    '1.2.3.4 - jane [10/Oct/2025:13:55:36 +0000] "GET /a?b=c HTTP/1.1" 200 2326 "https://x.de/" "curl/8 \\"x\\""',
    {
      remote_addr: '1.2.3.4',
      remote_user: 'jane',
      time_local: '10/Oct/2025:13:55:36 +0000',
      method: 'GET',
      path: '/a?b=c',
      protocol: 'HTTP/1.1',
      status: '200',
      body_bytes_sent: '2326',
      http_referer: 'https://x.de/',
      http_user_agent: 'curl/8 \\"x\\"',
    },
  ],
  [
    '::1 - - [t] "\\x16\\x03" 400 - "-" "-" 0.001',
    { remote_addr: '::1', time_local: 't', request: '\\x16\\x03', status: '400' },
  ],
  [
    '1.2.3.4 - - [t] "GET / HTTP/1.0" 200 5',
    {
      remote_addr: '1.2.3.4',
      time_local: 't',
      method: 'GET',
      path: '/',
      protocol: 'HTTP/1.0',
      status: '200',
      body_bytes_sent: '5',
    },
  ],
  ['2025/10/10 13:55:36 [error] 7#7: *1 open() failed', undefined],
])('nginx: %s', ([line, expected]) => expect(parse(builtInParser('nginx'), line)).toEqual(expected))

test('a regular expression gives its named groups', async () => {
  const parser = new RegexParser('own', (await regexCompiler())('(?P<lvl>[A-Z]+) (?P<user>\\w+)?'))
  expect(parse(parser, '12:00 ERROR jane did it')).toEqual({ detected_level: 'error', lvl: 'ERROR', user: 'jane' })
  expect(parse(parser, '12:00 WARN é')).toEqual({ detected_level: 'warn', lvl: 'WARN' })
  expect(parse(parser, 'nothing')).toBeUndefined()
})

test('fields are capped in number, each in length, and all together', () => {
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`k${i}`, 'v']))
  expect(Object.keys(parse(builtInParser('json'), JSON.stringify(many))!).length).toBe(maxFields)
  const long = parse(builtInParser('json'), JSON.stringify({ a: `${'x'.repeat(maxValue - 1)}😀`, b: 'c' }))!
  expect(long).toEqual({ a: 'x'.repeat(maxValue - 1), b: 'c' })
  const large = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`k${i}`, 'v'.repeat(1000)]))
  const taken = parse(builtInParser('json'), JSON.stringify(large))!
  expect(Object.entries(taken).flat().join('').length).toBeLessThanOrEqual(maxTotal)
  expect(Object.keys(taken).length).toBe(8)
})

test.for([
  ['level', 'Warning', 'warn'],
  ['severity', 'NOTICE', 'info'],
  ['lvl', 'CRIT', 'critical'],
  ['level', '60', 'fatal'],
  ['LogLevel', 'Information', 'info'],
  ['level', 'high', undefined],
  ['status', 'error', undefined],
  ['level', 'error'.repeat(100), undefined],
] as const)('%s=%s → %s', ([name, value, level]) =>
  expect(isLevelName(name) ? levelNamed(value) : undefined).toBe(level),
)

test('any bytes are parsed or not, and names are ones that attributes may have', () => {
  const piece = fc.constantFrom('{', '}', '"', ':', '=', ' ', 'a', '\\', '[', ']', ',', '1', '\n', 'é', '-')
  const line = fc.oneof(
    fc.array(piece, { maxLength: 20 }).map((all) => Buffer.from(all.join(''))),
    fc.json().map((json) => Buffer.from(json)),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  )
  fc.assert(
    fc.property(line, (bytes) => {
      for (const name of builtInParsers) {
        for (const key of Object.keys(parse(builtInParser(name), bytes) ?? {}))
          expect(key).toMatch(/^[A-Za-z_][A-Za-z0-9_]*$/)
      }
    }),
    { numRuns: 1000 },
  )
})
