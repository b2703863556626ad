/** What each part of LogQL does, end to end: through HTTP, on the embedded store. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { limitsConfig } from '../access/config.ts'
import { type Fixture, listen, openFixture } from './fixture.ts'

let fixture: Fixture
const second = 1_000_000_000n
const base = 1_700_000_000n * second

interface Given {
  readonly line: string
  readonly stream?: Record<string, string>
  readonly meta?: Record<string, string>
  readonly level?: string
  /** Seconds after the beginning; its place in the list by default. */
  readonly at?: number
}

/** Lines of one case, which are a stream of their own. */
const cases: { readonly id: string; readonly entries: readonly (Given | string)[] }[] = []
const given = (id: string, ...entries: (Given | string)[]): string => {
  cases.push({ id, entries })
  return id
}

const colors = given('colors', 'red apple', 'green apple', 'red\nbrick', 'x')
const addresses = given(
  'addresses',
  'from 10.1.2.3:80 ok',
  'from 192.168.0.7 ok',
  'v6 2001:db8::1 ok',
  'version 1.2.3 only',
)
const access = given('access', '1.1.1.1 - [GET /a] 200', '2.2.2.2 - [POST /b] 503 slow', 'nothing here')
const json = given(
  'json',
  '{"status":503,"ok":true,"msg":"a\\"b\\u00e9","none":null,"list":[1,{"x":2}],"req":{"path":"/x","id":{"n":7}},"st-atus":"odd","1st":"d","status":1}',
  '{"status":200, "app":"mine", "msg":"",}',
  'not json',
  '{"status":404,"msg":"broken',
)
const paths = given('paths', '{"a":{"b":[1,{"c":"x"}],"d e":"y"},"o":{"k": 1},"n":null}', '{"a":1}', 'plain')
const logfmt = given(
  'logfmt',
  'level=info msg="hello \\"w\\"" dur=12ms flag empty= key.x=1 app=mine',
  'level=warn =bad msg=a"b dur=1s',
  'a="open',
)
const packed = given('packed', '{"_entry":"the \\"line\\"","pod2":"p","n":5,"app":"q"}', '{"x":"y"}', 'plain')
const values = given(
  'values',
  { line: 'one', meta: { lat: '250ms', size: '1.5KiB', code: '404', ip: '10.0.0.5' } },
  { line: 'two', meta: { lat: '2s', size: '3 MB', code: '0x1p4', ip: '11.0.0.5' } },
  { line: 'three', meta: { lat: 'soon', size: 'big', code: 'NaN?', ip: 'none' } },
  { line: 'four' },
)
const colored = given('colored', '\u001b[31mred\u001b[0m plain \u001b[1;32mgreen\u001b[m')
const shadowed = given('shadowed', {
  line: '{"app":"j","pod_uid":"j2","level":"l"}',
  meta: { pod_uid: 'm' },
  level: 'error',
})
const numbers = given(
  'numbers',
  { line: 'v=1 d=1s b=1KB k=a', at: 0 },
  { line: 'v=2.5 d=500ms b=2KB k=b', at: 10 },
  { line: 'v=4 d=250ms b=4KB k=a', at: 20 },
  { line: 'v=oops d=1s b=1B k=b', at: 30 },
  { line: 'k=b', at: 40 },
  { line: 'v=3 d=1s b=1B k=a', at: 50 },
)

beforeAll(async () => {
  fixture = await openFixture()
  await fixture.insert(
    cases.flatMap(({ id, entries }) =>
      entries.map((entry, i) => {
        const { line, stream = {}, meta = {}, level = '', at = i } = typeof entry === 'string' ? { line: entry } : entry
        return {
          time: base + BigInt(at) * second,
          stream: { case: id, app: 'web', ...stream },
          level,
          meta,
          line,
          source: 'ab'.repeat(16),
          offset: i,
        }
      }),
    ),
  )
})
afterAll(() => fixture?.[Symbol.asyncDispose]())

async function ask(path: string, parameters: Record<string, string>, headers: Record<string, string> = {}) {
  const url = `${fixture.url}/loki/api/v1/${path}?${new URLSearchParams(parameters)}`
  const response = await fetch(url, { headers })
  const text = await response.text()
  return { status: response.status, text, data: response.status === 200 ? JSON.parse(text).data : undefined }
}

const range = { start: String(base - second), end: String(base + 3600n * second), direction: 'forward' }

interface Entry {
  readonly line: string
  readonly labels: Record<string, string>
}

/** The entries of a query in the order of time, with the labels that tell them from others of their case. */
async function entries(query: string): Promise<Entry[]> {
  const { data, text } = await ask('query_range', { ...range, query })
  expect(data, text).toBeDefined()
  const found = (data.result as { stream: Record<string, string>; values: [string, string][] }[]).flatMap(
    ({ stream, values }) => values.map(([time, line]) => ({ time, line, stream })),
  )
  return found
    .sort((a, b) => Number(BigInt(a.time) - BigInt(b.time)))
    .map(({ line, stream: { case: _, app, ...labels } }) => ({
      line,
      labels: app === 'web' ? labels : { app: app ?? '', ...labels },
    }))
}

const lines = async (query: string) => (await entries(query)).map(({ line }) => line)
const labels = async (query: string) => (await entries(query)).map(({ labels }) => labels)

/** A query that begins with the case's selector. */
const of = (id: string, rest: string) => `{case="${id}"} ${rest}`

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
  [addresses, '!= ip("10.0.0.0/8") != ip("2001:db8::1")', ['from 192.168.0.7 ok', 'version 1.2.3 only']],
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

/** Value of each series at the end of the minute, by the labels that are not the case's. */
async function samples(query: string): Promise<Record<string, number>> {
  const { data, text } = await ask('query', { query, time: String(base + 60n * second) })
  expect(data, text).toBeDefined()
  return Object.fromEntries(
    (data.result as { metric: Record<string, string>; value: [number, string] }[]).map(
      ({ metric: { case: _, app: __, ...rest }, value }) => [
        Object.entries(rest)
          .map(([name, text]) => `${name}=${text}`)
          .join(),
        Number(value[1].replace('Inf', 'Infinity')),
      ],
    ),
  )
}

const n = (rest: string) => of(numbers, `| logfmt ${rest}`)
const ok = '| __error__=""'

test.for([
  [`sum(count_over_time(${n('')} [1m1s]))`, { '': 6 }],
  [`sum by (k) (count_over_time(${n('')} [1m1s]))`, { 'k=a': 3, 'k=b': 3 }],
  [`sum by (k) (rate(${n('| k="a"')} [1m1s]))`, { 'k=a': 3 / 61 }],
  [`sum(bytes_over_time(${n('| line_format "xx"')} [1m1s]))`, { '': 12 }],
  [`sum(sum_over_time(${n(`| unwrap v ${ok}`)} [1m1s]))`, { '': 10.5 }],
  [`sum by (k) (sum_over_time(${n(`| unwrap v ${ok}`)} [1m1s]))`, { 'k=a': 8, 'k=b': 2.5 }],
  [`sum(rate(${n(`| unwrap v ${ok}`)} [1m1s]))`, { '': 10.5 / 61 }],
  [`max_over_time(${n(`| unwrap v ${ok}`)} [1m1s]) by (k)`, { 'k=a': 4, 'k=b': 2.5 }],
  [`min_over_time(${n(`| unwrap v ${ok}`)} [1m1s]) by ()`, { '': 1 }],
  [`avg_over_time(${n(`| unwrap v ${ok}`)} [1m1s]) by (k)`, { 'k=a': 8 / 3, 'k=b': 2.5 }],
  [`first_over_time(${n(`| unwrap v ${ok}`)} [1m1s]) by (k)`, { 'k=a': 1, 'k=b': 2.5 }],
  [`last_over_time(${n(`| unwrap v ${ok}`)} [1m1s]) by (k)`, { 'k=a': 3, 'k=b': 2.5 }],
  [`stdvar_over_time(${n(`| unwrap v ${ok}`)} [1m1s]) by (k)`, { 'k=a': 14 / 9, 'k=b': 0 }],
  [`stddev_over_time(${n(`| unwrap v ${ok}`)} [1m1s]) by (k)`, { 'k=a': Math.sqrt(14 / 9), 'k=b': 0 }],
  [`quantile_over_time(0.75, ${n(`| unwrap v ${ok}`)} [1m1s]) by (k)`, { 'k=a': 3.5, 'k=b': 2.5 }],
  [`quantile_over_time(1.5, ${n(`| unwrap v ${ok}`)} [1m1s]) by (k)`, { 'k=a': Infinity, 'k=b': Infinity }],
  [`sum(rate_counter(${n(`| k="a" | drop d, b | unwrap v ${ok}`)} [1m1s]))`, { '': 6 / 50 }],
  [`max_over_time(${n('| unwrap duration(d)')} [1m1s]) by ()`, { '': 1 }],
  [`sum(sum_over_time(${n('| unwrap duration_seconds(d)')} [1m1s]))`, { '': 3.75 }],
  [`sum(sum_over_time(${n('| unwrap bytes(b)')} [1m1s]))`, { '': 7002 }],
  [`max_over_time(${n(`| keep v, k | unwrap v ${ok}`)} [1m1s])`, { 'k=a': 4, 'k=b': 2.5 }],
  [`sum by (k) (count_over_time(${n('')} [30s]))`, { 'k=a': 1, 'k=b': 1 }],
  [`sum by (k) (count_over_time(${n('')} [30s] offset 20s))`, { 'k=a': 1, 'k=b': 2 }],
  [`sum(count_over_time(${n('')} [10s] offset -1m))`, {}],
  [`absent_over_time({case="nope", x="y"} [1m])`, { 'x=y': 1 }],
  [`absent_over_time(${of(numbers, '')} [2m])`, {}],
  [`sum by (__error__) (count_over_time(${of(json, '| json')} [2m]))`, { '': 2, '__error__=JSONParserErr': 2 }],
] as [string, Record<string, number>][])('range aggregations: %s', async ([query, expected]) => {
  const found = await samples(query)
  expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort())
  for (const [key, value] of Object.entries(expected)) expectClose(found[key], value)
})

function expectClose(actual: number | undefined, wanted: number): void {
  if (Number.isFinite(wanted)) expect(actual).toBeCloseTo(wanted, 9)
  else expect(actual).toBe(wanted)
}

const byK = `sum by (k) (count_over_time(${n('')} [1m1s]))`
const byBoth = `sum by (k, d) (count_over_time(${n('| d != ""')} [1m1s]))`

test.for([
  [`max(${byBoth})`, { '': 2 }],
  [`min by (k) (${byBoth})`, { 'k=a': 1, 'k=b': 1 }],
  [`avg by (k) (${byBoth})`, { 'k=a': 1.5, 'k=b': 1 }],
  [`count by (k) (${byBoth})`, { 'k=a': 2, 'k=b': 2 }],
  [`stddev by (k) (${byBoth})`, { 'k=a': 0.5, 'k=b': 0 }],
  [`stdvar without (d) (${byBoth})`, { 'k=a': 0.25, 'k=b': 0 }],
  [`topk(1, ${byBoth})`, { 'd=1s,k=a': 2 }],
  [`bottomk by (k) (1, ${byBoth})`, { 'd=250ms,k=a': 1, 'd=1s,k=b': 1 }],
  [`approx_topk(1, ${byBoth})`, { 'd=1s,k=a': 2 }],
  [`${byK} + 1`, { 'k=a': 4, 'k=b': 4 }],
  [`2 * ${byK} - 1`, { 'k=a': 5, 'k=b': 5 }],
  [`${byK} % 2 ^ 2`, { 'k=a': 3, 'k=b': 3 }],
  [`${byK} / 0`, { 'k=a': Number.NaN, 'k=b': Number.NaN }],
  [`${byBoth} > 1`, { 'd=1s,k=a': 2 }],
  [`${byBoth} > bool 1`, { 'd=1s,k=a': 1, 'd=250ms,k=a': 0, 'd=1s,k=b': 0, 'd=500ms,k=b': 0 }],
  [
    `${byBoth} / on (k) group_left () ${byK}`,
    { 'd=1s,k=a': 2 / 3, 'd=250ms,k=a': 1 / 3, 'd=1s,k=b': 1 / 3, 'd=500ms,k=b': 1 / 3 },
  ],
  [
    `${byK} * ignoring (d) group_right () ${byBoth}`,
    { 'd=1s,k=a': 6, 'd=250ms,k=a': 3, 'd=1s,k=b': 3, 'd=500ms,k=b': 3 },
  ],
  [`sum(${byK}) + ignoring (k) sum(${byK})`, { '': 12 }],
  [`${byBoth} and on (k) (${byK} > 100)`, {}],
  [`${byBoth} unless ignoring (k) ${byBoth} > 1`, { 'd=250ms,k=a': 1, 'd=500ms,k=b': 1 }],
  [`(${byBoth} > 1) or vector(7)`, { 'd=1s,k=a': 2, '': 7 }],
  [`sum(vector(2)) ^ 2 ^ 3`, { '': 256 }],
  [`label_replace(${byK}, "z", "<$1>", "k", "(.)")`, { 'k=a,z=<a>': 3, 'k=b,z=<b>': 3 }],
  [`label_replace(${byK}, "k", "", "k", "a|b")`, 'vector cannot contain metrics with the same labelset'],
  [
    `${byK} + on () ${byK}`,
    'found duplicate series on the right hand-side;many-to-many matching not allowed: matching labels must be unique on one side',
  ],
  [
    `${byBoth} + on (k) ${byK}`,
    'multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)',
  ],
] as [string, Record<string, number> | string][])('aggregations and operators: %s', async ([query, expected]) => {
  if (typeof expected === 'string') {
    expect(await ask('query', { query, time: String(base + 60n * second) })).toMatchObject({
      status: 400,
      text: expected,
    })
    return
  }
  const found = await samples(query)
  expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort())
  for (const [key, value] of Object.entries(expected)) expectClose(found[key], value)
})

test('sort decides the order of an instant answer', async () => {
  const order = async (query: string) => {
    const { data } = await ask('query', { query, time: String(base + 60n * second) })
    return (data.result as { value: [number, string] }[]).map(({ value }) => value[1])
  }
  expect(await order(`sort(${byBoth})`)).toEqual(['1', '1', '1', '2'])
  expect(await order(`sort_desc(${byBoth})`)).toEqual(['2', '1', '1', '1'])
  expect(await order(byBoth)).toEqual(['2', '1', '1', '1'])
})

test.for([
  [
    `count_over_time(${of(json, '|= "not" | json')} [1m])`,
    /^pipeline error: 'JSONParserErr' for series: '\{__error__="JSONParserErr", __error_details__="Value looks like object, but can't find closing '}' symbol", app="web", case="json"}'\.\nUse a label filter to intentionally skip this error\. \(e\.g \| __error__!="JSONParserErr"\)\.\n/,
  ],
  [`sum(sum_over_time(${n('| unwrap v')} [1m]))`, /^pipeline error: 'SampleExtractionErr' for series/],
  [`sum by (z) (count_over_time(${of(values, '| lat > 1s')} [1m]))`, /^pipeline error: 'LabelFilterErr'/],
  [`topk(1, rate(${n('')}[1m])) by (k) > approx_topk(0, vector(1))`, /invalid parameter \(must be greater than 0\)/],
] as const)('a query over entries with errors is refused: %s', async ([query, expected]) => {
  const answer = await ask('query', { query, time: String(base + 60n * second) })
  expect(answer.status).toBe(400)
  expect(answer.text).toMatch(expected)
})

test('approx_topk is for one time only', async () => {
  const answer = await ask('query_range', { ...range, query: `approx_topk(1, ${byK})`, step: '60' })
  expect(answer).toMatchObject({ status: 400, text: 'count min sketches are only supported on instant queries' })
})

test('explain=1 answers the plan instead of the result', async () => {
  const { data } = await ask('query_range', { ...range, query: of(json, '|= "x" | json'), explain: '1' })
  expect(data).toMatchObject({ resultType: 'plan', result: { store: ['|= "x"'], process: ['| json'] } })
})

test.for([
  [
    { maxQuerySeries: 1 },
    `sum by (k) (count_over_time(${n('')} [1m]))`,
    'maximum of series (1) reached for a single query',
  ],
  [{ maxQueryRows: 1 }, `sum(count_over_time(${n('')} [1m]))`, /^the query needs more memory/],
  [{ maxQueryMemory: '1KiB' }, `sum(count_over_time(${n('')} [1m]))`, /^the query needs more memory/],
] as const)("a tenant's limits of queries hold: %j", async ([limits, query, expected]) => {
  await using stack = new AsyncDisposableStack()
  const url = await listen(stack, { store: fixture.client, tenantLimits: () => limitsConfig.parse(limits) })
  const parameters = new URLSearchParams({ query, time: String(base + 60n * second) })
  const response = await fetch(`${url}/loki/api/v1/query?${parameters}`)
  expect([response.status, await response.text()]).toEqual([
    400,
    typeof expected === 'string' ? expected : expect.stringMatching(expected),
  ])
})
