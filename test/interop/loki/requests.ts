/** Requests about everything but the language: parameters, paths, methods, tenants, and the endpoints beside queries. */
import type { Request } from './compare.ts'
import { at, base, range } from './entries.ts'
import { secondTenant, tenant } from './server.ts'

type Parameters = Readonly<Record<string, string>>

const api = '/loki/api/v1/'
const multi = '{case="multi"}'
/** Of one stream: where only some of the entries are wanted, it is not by chance which. */
const single = '{case="json"}'
const counted = `count_over_time(${multi}[1m])`

/** Times and tenants are named by what they are, so that a name is the same in every run. */
function named(path: string, parameters: Parameters, rest: string): string {
  const shown = Object.entries(parameters).map(([name, value]) => `${name}=${value.replaceAll(anyTime, shownTime)}`)
  return `${path.replace(api, '')}${shown.length === 0 ? '' : `?${shown.join('&')}`}${rest}`
}

/** Seconds, milliseconds or nanoseconds of this century. */
const anyTime = /\b[1-3]\d{9}(?:\d{3}|\d{9})?\b(?:\.\d+)?/g

function shownTime(text: string): string {
  const seconds = text.length > 14 ? Number(BigInt(text) - base) / 1e9 : Number(text) - Number(base) / 1e9
  return `<${Number(seconds.toFixed(6))}${text.length > 14 ? '' : ' s'}>`
}

function get(path: string, parameters: Parameters = {}, rest: Partial<Request> = {}, note = ''): Request {
  const whole = path.startsWith('/') ? path : `${api}${path}`
  return { path: whole, parameters, ...rest, name: named(whole, parameters, note === '' ? '' : ` ${note}`) }
}

const log = (more: Parameters, rest: Partial<Request> = {}, note = ''): Request =>
  get('query_range', { query: multi, ...range, ...more }, rest, note)
const steps = (more: Parameters): Request => get('query_range', { query: counted, ...range, step: '60', ...more })
const instant = (query: string, more: Parameters = {}, rest: Partial<Request> = {}, note = ''): Request =>
  get('query', { query, time: at(60), ...more }, rest, note)

const seconds = (n: number): string => at(n).slice(0, 10)

const iso = new Date(Number(base / 1_000_000n)).toISOString()

/** As people and programs write times, and as nobody should. */
const times: readonly string[] = [
  ...['', '0', 'abc', '1e9', '2024-01-02', 'NaN.', '1e3.', ' 1', '0x10', '1_000', '9223372036854775808'],
  ...['2024-02-30T00:00:00Z', '2024-01-01T24:00:00Z', '2024-01-01T00:00:60Z'],
]
const writtenTimes: readonly (readonly [text: string, note: string])[] = [
  [seconds(0), 'in seconds'],
  [`${seconds(0)}.5`, 'in seconds and half of one'],
  [`${seconds(0)}000`, 'in milliseconds'],
  [at(1), 'in nanoseconds'],
  [iso, 'RFC 3339'],
  [iso.replace('Z', '+00:00'), 'RFC 3339 with a zone'],
  [iso.replace('Z', ''), 'RFC 3339 without a zone'],
  [iso.replace('T', ' '), 'RFC 3339 with a blank'],
  [iso.toLowerCase(), 'RFC 3339 in small letters'],
]

const parameters: readonly Request[] = [
  ...['forward', 'backward', 'FORWARD', 'sideways'].map((direction) => log({ query: single, direction, limit: '5' })),
  ...['0', '-1', '5000', '5001', '1e3', 'abc', '', '1.5', '99999999999999999999'].map((limit) => log({ limit })),
  ...['0', '5001', '-1'].flatMap((limit) => [steps({ limit }), instant(counted, { limit })]),
  ...['0', '-1', '0.5', '1m', '1h30m', '60s', 'abc', '1e2', '1.5m', '', '1d', '30', '60000ms'].map((step) =>
    steps({ step }),
  ),
  ...['1ms', '1us', '9999999999999', 'NaN', 'Inf', '+30', '-Inf', 'inf', '1e400'].map((step) => steps({ step })),
  ...['1ms', '0', '-5'].map((step) => log({ step })),
  ...['1s', '1', '0', '-1', 'abc', '2s', '0.5', '1500ms', 'NaN'].flatMap((interval) => [
    log({ query: single, interval }),
    log({ query: single, interval, direction: 'forward' }),
  ]),
  ...times.flatMap((text) => [log({ start: text }), instant(counted, { time: text })]),
  ...writtenTimes.flatMap(([text, note]) => [
    { ...log({ start: text }), name: `query_range, start ${note}` },
    { ...instant(counted, { time: text }), name: `query, time ${note}` },
  ]),
  ...['0', 'abc', seconds(2)].map((end) => log({ end })),
  log({ start: at(1), end: at(1) }),
  log({ start: at(2), end: at(0) }),
  steps({ start: at(60), end: at(60) }),
  steps({ start: at(30), end: at(90), step: '30' }),
  steps({ start: at(30), end: at(90), step: '60' }),
  steps({ start: at(30), end: at(91), step: '7.5' }),
  ...['abc', '-1h'].map((since) => get('query_range', { query: multi, since })),
  get('query_range'),
  get('query_range', { query: '' }),
  get('query_range', { query: '   ', ...range }),
  get('query'),
  get('query', { query: '' }),
  get('query', { query: multi }),
  get('query', { query: 'vector(1)+vector(1)', time: '4000000000' }),
  get('query', { query: 'vector(1)', time: '4000000000', limit: '0' }),
  get('query', { query: '{a="\0"}', time: at(60) }),
]

const flags = ['categorize-labels', 'categorize-labels,foo', 'foo', 'foo, categorize-labels', '']
const encodings: readonly Request[] = flags.flatMap((flag) => {
  const headers = { 'x-loki-response-encoding-flags': flag }
  const note = `flags ${JSON.stringify(flag)}`
  const queries = ['{case="meta"}', '{case="meta"} | json | label_format zz="1", code="2"', multi, '{case="nope"}']
  return [
    ...queries.map((query) => log({ query }, { headers }, note)),
    get('query_range', { query: counted, ...range, step: '60' }, { headers }, note),
  ]
})

const selectors = ['{case="nope"}', '{', `${multi} |= "x"`, '{}', `rate(${multi}[1m])`, '', '{case=~".*"}']
const aboutStreams = [
  ...['index/stats', 'index/volume', 'index/volume_range', 'detected_labels', 'detected_fields'],
  ...['detected_field/x/values', 'patterns'],
]

const names = ['case', 'k', 'nope', 'app', 'weird', 'service_name', '1x', 'a%20b', 'a-b', '%C3%A9', '__name__']

const labels: readonly Request[] = [
  ...['labels', 'label'].flatMap((path) => [
    get(path, range),
    ...[multi, ...selectors].map((query) => get(path, { ...range, query })),
    get(path, { start: '0', end: '1' }),
    get(path, { start: range.end, end: range.start }),
    get(path, { start: 'abc' }),
  ]),
  ...[...names, 'detected_level'].flatMap((name) => [
    get(`label/${name}/values`, range),
    get(`label/${name}/values`, { ...range, query: multi }),
  ]),
  get('label/case/values', { ...range, query: '{case=~"m.*"}' }),
  get('label/case/values', { ...range, query: '{k="a"}' }),
  get('label/case/values', { ...range, query: `${multi} | json` }),
  ...[multi, ...selectors, '{case!="multi"}'].map((match) => get('series', { ...range, 'match[]': match })),
  get('series', { ...range, match: multi }),
  get('series', range),
  get('series', { start: '0', end: '1', 'match[]': multi }),
  get('series', { start: range.end, end: range.start }),
  {
    name: 'series, three selectors',
    path: `${api}series`,
    parameters: [
      ['match[]', multi],
      ['match[]', '{case="ties",k="p"}'],
      ['match', '{case="json"}'],
      ...Object.entries(range),
    ],
  },
]

const volumes: readonly Parameters[] = [
  ...['0', '-1', 'abc', '100000'].map((limit) => ({ limit })),
  ...['nope', '1x'].map((targetLabels) => ({ targetLabels })),
  ...['0', '-1', 'abc'].map((step) => ({ step })),
  {},
  { aggregateBy: 'foo' },
  { start: 'abc' },
  { start: range.end, end: range.start },
]

const explored = ['nested', 'meta', 'logfmt', 'num', 'levels'].map((kind) => `{case="${kind}"}`)
const parsedFirst = [
  ...['{case="nested"} | json', '{case="nested"} | json | logfmt | drop __error__, __error_details__ | size!=""'],
  '{case="access"} | pattern `<addr> - <_>`',
]
const explorations: readonly Request[] = [
  ...selectors.flatMap((query) => aboutStreams.map((path) => get(path, { ...range, query }))),
  get('index/stats', { ...range, query: multi }),
  ...volumes.flatMap((more) =>
    ['index/volume', 'index/volume_range'].map((path) => get(path, { ...range, query: multi, ...more })),
  ),
  ...[...explored, ...parsedFirst].map((query) => get('detected_fields', { ...range, query })),
  ...[{ limit: '0' }, { line_limit: '0' }, { line_limit: 'abc' }, { line_limit: '99999' }].flatMap((more) =>
    ['detected_fields', 'detected_field/n/values'].map((path) =>
      get(path, { ...range, query: '{case="nested"}', ...more }),
    ),
  ),
  get('detected_field/n/values', { ...range, query: '{case="nested"}' }),
  get('detected_field/nope/values', { ...range, query: '{case="nested"}' }),
  get('detected_field/detected_level/values', { ...range, query: '{case="levels"}' }),
  get('detected_labels', { ...range, query: multi }),
  get('detected_labels', range),
  get('patterns', { ...range, query: multi }),
]

const form = (fields: Parameters | string): Partial<Request> => ({
  method: 'POST',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body: typeof fields === 'string' ? fields : String(new URLSearchParams(fields)),
})
const ofMulti = { ...range, query: multi }

const forms: readonly Request[] = [
  get('query_range', {}, form(ofMulti), 'form'),
  get('query_range', { query: '{case="nope"}' }, form(ofMulti), 'form says another query'),
  get('query_range', range, form({ query: multi }), 'form says the query'),
  get('query', {}, form({ query: 'vector(1)', time: at(60) }), 'form'),
  get('labels', {}, form(range), 'form'),
  get('series', {}, form({ ...range, match: multi }), 'form'),
  get('index/volume', {}, form({ ...range, query: '{case="nope"}' }), 'form'),
  get('detected_fields', {}, form({ ...range, query: '{case="nested"}' }), 'form'),
  get('patterns', {}, form(ofMulti), 'form'),
  get('format_query', {}, form({ query: '{a="b"}' }), 'form'),
  get('query_range', {}, form('query=%zz'), 'form that is none'),
  log({}, { method: 'POST' }, 'POST without a body'),
  log({}, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }, 'POST of JSON'),
  log({}, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'x' }, 'POST of text'),
  ...['query=%zz', 'query={a="b"};start=1', 'query=%FF', 'query=%00'].map((query) => get(`query_range?${query}`)),
]

const withMethods = ['query_range', 'labels', 'push', 'rules', 'tail', 'status/buildinfo']
const paths: readonly Request[] = [
  ...['rules', 'rules/x', 'rules/x/y', '/api/prom/rules', '/api/prom/rules/x/y', '/prometheus/api/v1/rules'],
  ...['/prometheus/api/v1/alerts', '/nope', '/loki/api/v1/', '/loki', '/loki/api/v1/query_range/'],
  ...['/loki/api/v1/label//values', '/loki/api/v1/label/values', '/LOKI/api/v1/labels', '/ready', 'tail'],
]
  .map((path) => get(path))
  .concat(
    get('tail', { query: multi }),
    get('push', {}, { otherMethod: true }),
    ...withMethods.flatMap((path) =>
      ['PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'].map((method) =>
        get(path, {}, { method, otherMethod: true }, method),
      ),
    ),
    get('status/buildinfo', {}, { method: 'POST', otherMethod: true }, 'POST'),
    get('drilldown-limits', {}, { method: 'POST', otherMethod: true }, 'POST'),
  )

const tenants = ['', 'u1|u2', 'u2|u1', 'u1|u1', 'u1|', 'u1|u2|nope', 'nope', '../x', 'a b', '.', '..', 'u1/x']
const both = { 'x-scope-orgid': `${tenant}|${secondTenant}` }
const ofBoth = (path: string, parameters: Parameters): Request =>
  get(path, parameters, { headers: both }, 'both tenants')

const severalTenants: readonly Request[] = [
  ...[...tenants, 'x'.repeat(151), 'é'].flatMap((id) => {
    const headers = { 'x-scope-orgid': Buffer.from(id).toString('latin1') }
    const note = `tenant ${JSON.stringify(id)}`
    return [log({ query: '{case="multi",k="a"}' }, { headers }, note), get('labels', range, { headers }, note)]
  }),
  ...[
    '{case=~"multi|t2only"}',
    '{__tenant_id__="u2"}',
    '{case="multi",__tenant_id__="u1"}',
    '{__tenant_id__=~"u.",case="multi"}',
    '{__tenant_id__!="u1",case=~".+"}',
    `${multi} | __tenant_id__="u2"`,
    `${multi} | json | drop __error__, __error_details__`,
    '{original___tenant_id__="own"}',
    '{__tenant_id__="zzz"}',
    '{case="multi",original___tenant_id__=""}',
  ].map((query) => ofBoth('query_range', { ...range, query })),
  ...[
    counted,
    `sum by (__tenant_id__) (${counted})`,
    `sum(${counted})`,
    `topk(2, ${counted})`,
    'count_over_time({case="multi",__tenant_id__="u2"}[1m])',
    'vector(1)',
    '1+1',
  ].flatMap((query) => [
    ofBoth('query', { query, time: at(60) }),
    ofBoth('query_range', { ...range, query, step: '30' }),
  ]),
  ofBoth('labels', range),
  ofBoth('label/case/values', range),
  ofBoth('label/__tenant_id__/values', range),
  ofBoth('series', { ...range, match: multi }),
  ofBoth('index/stats', { ...range, query: '{case="nope"}' }),
  ofBoth('index/volume', { ...range, query: '{case=~"multi|t2only"}' }),
  ofBoth('detected_labels', ofMulti),
  ofBoth('detected_fields', ofMulti),
  ofBoth('patterns', ofMulti),
  ...['labels', 'query_range', 'format_query', 'index/volume', 'rules'].map((path) =>
    get(path, { query: '{a="b"}' }, { headers: { 'x-scope-orgid': '' } }, 'no tenant'),
  ),
]

const byOrder = [
  'sort(sum by (k) (count_over_time({case="ties",k!="q"}[1m])))',
  'sort_desc(sum by (k) (count_over_time({case="ties",k!="q"}[1m])))',
  'count_over_time({case="ties"}[1m])',
]
const orders: readonly Request[] = [
  ...byOrder.map((query) => instant(query, {}, { ordered: true }, 'in order')),
  get('query_range', { ...range, query: byOrder.at(-1)!, step: '30' }, { ordered: true }, 'in order'),
]

export const requests: Readonly<Record<string, readonly Request[]>> = {
  parameters,
  encodings,
  labels,
  explorations,
  forms,
  paths,
  tenants: severalTenants,
  orders,
}
