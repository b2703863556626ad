/** What the stages of a log query do, end to end: through HTTP, on the embedded store. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Fixture } from './fixture.ts'
import {
  access,
  addresses,
  ask,
  base,
  colored,
  colors,
  entries,
  json,
  labels,
  lines,
  logfmt,
  of,
  openLanguage,
  packed,
  paths,
  range,
  shadowed,
  values,
} from './language-fixture.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await openLanguage()
})
afterAll(() => fixture?.[Symbol.asyncDispose]())

test.for([
  [colors, '|= "red"', ['red apple', 'red\nbrick']],
  [colors, '|= "red" or "x"', ['red apple', 'red\nbrick', 'x']],
  [colors, '!= "red" or "x"', ['green apple']],
  [colors, '!= ""', []],
  [colors, '|= ""', ['red apple', 'green apple', 'red\nbrick', 'x']],
  [colors, '|~ "r.d"', ['red apple', 'red\nbrick']],
  [colors, '|~ "red.brick"', []],
  [colors, '|~ "(?i)RED" !~ "apple|y"', ['red\nbrick']],
  [colors, '|> "<_>apple"', ['red apple', 'green apple']],
  [colors, '|> "red <_>"', ['red apple']],
  [colors, '|> "x"', ['x']],
  [colors, '|> "red"', []],
  [colors, '|> "<_>red apple"', []],
  [colors, '!> "<_>apple" or "x"', ['red\nbrick']],
  [addresses, '|= ip("10.1.2.3")', ['from 10.1.2.3:80 ok']],
  [addresses, '|= ip("192.168.0.0/16")', ['from 192.168.0.7 ok']],
  [addresses, '|= ip("10.1.2.0-10.1.2.9") or ip("2001:db8::/32")', ['from 10.1.2.3:80 ok', 'v6 2001:db8::1 ok']],
  [
    addresses,
    '!= ip("10.0.0.0/8") != ip("2001:db8::1")',
    ['from 192.168.0.7 ok', 'version 1.2.3 only', 'mapped ::ffff:10.9.9.9'],
  ],
  [addresses, '|= ip("::/0")', ['v6 2001:db8::1 ok', 'mapped ::ffff:10.9.9.9']],
  [addresses, '|= ip("0.0.0.0/0")', ['from 10.1.2.3:80 ok', 'from 192.168.0.7 ok']],
] as const)('line filters: %s %s', async ([id, rest, expected]) => expect(await lines(of(id, rest))).toEqual(expected))

const wholeJson = {
  status: '503',
  ok: 'true',
  msg: 'a"bé',
  req_path: '/x',
  req_id_n: '7',
  st_atus: 'odd',
  _1st: 'd',
}
const jsonError = (details: string) => ({ __error__: 'JSONParserErr', __error_details__: details })

test.for([
  [
    json,
    '| json',
    [
      wholeJson,
      { status: '200', app_extracted: 'mine', msg: '' },
      jsonError("Value looks like object, but can't find closing '}' symbol"),
      { status: '404', ...jsonError("Value is string, but can't find closing '\"' symbol") },
    ],
  ],
  [
    paths,
    '| json x="a.b[1].c", y="a[\\"d e\\"]", o, n="n", z="a.q"',
    [
      { x: 'x', y: 'y', o: '{"k": 1}', n: '', z: '' },
      { x: '', y: '', o: '', n: '', z: '' },
      { __error__: 'JSONParserErr' },
      { x: '', y: '', o: '', n: '', z: '', ...jsonError('Unknown value type') },
      { x: '', y: '', o: '', n: '', z: '', ...jsonError("Value is string, but can't find closing '\"' symbol") },
    ],
  ],
  [
    logfmt,
    '| logfmt',
    [
      { level: 'info', msg: 'hello "w"', dur: '12ms', key_x: '1', app_extracted: 'mine' },
      { level: 'warn', dur: '1s' },
      {},
    ],
  ],
  [
    logfmt,
    '| logfmt --keep-empty',
    [
      { level: 'info', msg: 'hello "w"', dur: '12ms', flag: '', empty: '', key_x: '1', app_extracted: 'mine' },
      { level: 'warn', dur: '1s' },
      {},
    ],
  ],
  [
    logfmt,
    '| logfmt --strict',
    [
      { level: 'info', msg: 'hello "w"', dur: '12ms', key_x: '1', app_extracted: 'mine' },
      {
        level: 'warn',
        __error__: 'LogfmtParserErr',
        __error_details__: "logfmt syntax error at pos 12 : unexpected '='",
      },
      {
        __error__: 'LogfmtParserErr',
        __error_details__: 'logfmt syntax error at pos 8 : unterminated quoted value',
      },
    ],
  ],
  [
    logfmt,
    '| logfmt l="level", nope',
    [
      { l: 'info', nope: '' },
      { l: 'warn', nope: '' },
      { l: '', nope: '' },
    ],
  ],
  [
    access,
    '| regexp "(?P<method>[A-Z]+) (?P<path>/\\\\w+)(?P<more> x)?"',
    [{ method: 'GET', path: '/a', more: '' }, { method: 'POST', path: '/b', more: '' }, {}],
  ],
  [access, '| regexp "(?P<1st>[A-Z]+)"', [{ _1st: 'GET' }, { _1st: 'POST' }, {}]],
  [
    access,
    '| pattern "<ip> - [<method> <_>] <rest>"',
    [
      { ip: '1.1.1.1', method: 'GET', rest: '200' },
      { ip: '2.2.2.2', method: 'POST', rest: '503 slow' },
      { ip: 'nothing here' },
    ],
  ],
  [
    packed,
    '| unpack',
    [
      { pod2: 'p', app_extracted: 'q' },
      {},
      { __error__: 'JSONParserErr', __error_details__: 'expecting json object(6), but it is not' },
    ],
  ],
  [
    shadowed,
    '| json',
    [{ app_extracted: 'j', pod_uid: 'm', pod_uid_extracted: 'j2', level: 'l', detected_level: 'error' }],
  ],
] as [string, string, Record<string, string>[]][])('parsers: %s %s', async ([id, rest, expected]) =>
  expect(await labels(of(id, rest))).toEqual(expected),
)

test('unpack replaces the line', async () =>
  expect(await lines(of(packed, '| unpack'))).toEqual(['the "line"', '{"x":"y"}', 'plain']))

test.for([
  [json, '| json | status >= 500', ['503']],
  [json, '| json | status = 200 or status == 404', ['200', '404']],
  [json, '| json | status != 503, status > 0', ['200', '404']],
  [json, '| json | __error__ = "" | status =~ "2.." or ok="true"', ['503', '200']],
  [json, '| json | status="200" and msg="" or ok="true"', ['503', '200']],
  [json, '| json | ok="true", status="200" or status="503"', ['503']],
  [json, '| json | app_extracted="mine"', ['200']],
  [json, '| json | msg=`a"bé`', ['503']],
  [json, '| json | req_path="/x" | req_id_n < 8', ['503']],
] as const)('label filters on what was parsed: %s %s', async ([id, rest, expected]) =>
  expect((await labels(of(id, rest))).map(({ status }) => status)).toEqual(expected),
)

test.for([
  ['| lat > 300ms', ['two', 'three'], 'time: invalid duration "soon"'],
  ['| lat <= 250ms', ['one', 'three'], 'time: invalid duration "soon"'],
  ['| size >= 1KB', ['one', 'two', 'three'], 'strconv.ParseFloat: parsing "": invalid syntax'],
  ['| size = 1536B', ['one', 'three'], 'strconv.ParseFloat: parsing "": invalid syntax'],
  ['| code > 100', ['one', 'three'], 'strconv.ParseFloat: parsing "NaN?": invalid syntax'],
  ['| code == 16', ['two', 'three'], 'strconv.ParseFloat: parsing "NaN?": invalid syntax'],
  ['| ip = ip("10.0.0.0/8")', ['one'], undefined],
  ['| ip != ip("10.0.0.0/8")', ['two', 'three'], undefined],
  ['| lat > 1s or code > 0', ['one', 'two', 'three'], 'time: invalid duration "soon"'],
  ['| lat > 1s | code > 500', ['three'], 'time: invalid duration "soon"'],
  ['| lat > 1s | ip = ip("9.9.9.9")', ['three'], 'time: invalid duration "soon"'],
  ['| lat > 0s | __error__=""', ['one', 'two'], undefined],
] as const)('label filters on structured metadata: %s', async ([rest, expected, details]) => {
  const found = await entries(of(values, rest))
  expect(found.map(({ line }) => line)).toEqual(expected)
  const failed = found.find(({ line }) => line === 'three' && details !== undefined)
  if (failed) expect(failed.labels).toMatchObject({ __error__: 'LabelFilterErr', __error_details__: details as string })
})

test.for([
  [colors, '|= "red apple" | line_format "{{.app}}:{{.none}}:{{__line__ | upper}}"', 'web::RED APPLE'],
  [colors, '|= "red apple" | line_format ""', ''],
  [
    colors,
    '|= "red apple" | line_format "{{ __timestamp__ | date `2006-01-02T15:04:05Z07:00` }}"',
    '2023-11-14T22:13:20Z',
  ],
  [colors, '|= "red apple" | line_format "{{ if eq .app `web` }}yes{{ else }}no{{ end }}"', 'yes'],
  [colors, '|= "red apple" | line_format "{{ range $i, $x := fromJson `[1,2]` }}{{$i}}={{$x}};{{ end }}"', '0=1;1=2;'],
  [colors, '|= "red apple" | label_format x="{{.app}}-{{.case}}" | line_format "{{.x}}"', 'web-colors'],
  [colored, '| decolorize', 'red plain green'],
  [json, '| json | status=200 | line_format "{{.status}}" |= "2"', '200'],
] as const)('formats: %s %s', async ([id, rest, expected]) => expect(await lines(of(id, rest))).toEqual([expected]))

test('a template that fails keeps the line, with an error', async () => {
  const [entry] = await entries(of(colors, '|= "red apple" | line_format "{{ div 1 0 }}"'))
  expect(entry).toEqual({
    line: 'red apple',
    labels: {
      __error__: 'TemplateFormatErr',
      __error_details__:
        'template: line:1:3: executing "line" at <div 1 0>: error calling div: runtime error: integer divide by zero',
    },
  })
})

test.for([
  [shadowed, '| label_format x=pod_uid', [{ x: 'm', detected_level: 'error' }]],
  [
    shadowed,
    '| label_format app="new", y=`{{.app}}`',
    [{ app: 'new', y: 'web', pod_uid: 'm', detected_level: 'error' }],
  ],
  [shadowed, '| label_format y=none', [{ pod_uid: 'm', detected_level: 'error' }]],
  [shadowed, '| label_format y=`{{.none}}`', [{ y: '', pod_uid: 'm', detected_level: 'error' }]],
  [shadowed, '| drop pod_uid', [{ detected_level: 'error' }]],
  [shadowed, '| drop pod_uid="x", detected_level=~"err.*"', [{ pod_uid: 'm' }]],
  [
    shadowed,
    '| json | drop level, app_extracted',
    [{ pod_uid: 'm', pod_uid_extracted: 'j2', detected_level: 'error' }],
  ],
  [shadowed, '| json | keep app, level, pod_uid="nope"', [{ level: 'l' }]],
  [shadowed, '| logfmt --strict | keep app', [{ __error__: 'LogfmtParserErr', __error_details__: 'x' }]],
  [shadowed, '| logfmt --strict | drop __error__, __error_details__, pod_uid, detected_level', [{}]],
] as [string, string, Record<string, string>[]][])('label stages: %s %s', async ([id, rest, expected]) => {
  const found = await labels(of(id, rest))
  expect(found.map((item) => ('__error_details__' in item ? { ...item, __error_details__: 'x' } : item))).toEqual(
    expected,
  )
})

test('categories are kept apart when they are asked for', async () => {
  const { data } = await ask(
    'query_range',
    { ...range, query: of(shadowed, '| json | label_format app="x"') },
    { 'x-loki-response-encoding-flags': 'categorize-labels' },
  )
  expect(data.result).toEqual([
    {
      stream: { case: shadowed },
      values: [
        [
          String(base),
          expect.any(String),
          {
            structuredMetadata: { detected_level: 'error', pod_uid: 'm' },
            parsed: { app: 'x', app_extracted: 'j', level: 'l', pod_uid_extracted: 'j2' },
          },
        ],
      ],
    },
  ])
})

test('explain=1 answers the plan instead of the result', async () => {
  const { data } = await ask('query_range', { ...range, query: of(json, '|= "x" | json'), explain: '1' })
  expect(data).toMatchObject({ resultType: 'plan', result: { store: ['|= "x"'], process: ['| json'] } })
})
