/** For tests of the language: lines of each case in one store, and how they are asked for. */
import { expect } from 'vitest'
import { type Fixture, openFixture } from './fixture.ts'

let fixture: Fixture
export const second = 1_000_000_000n
export const base = 1_700_000_000n * second

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

export const colors = given('colors', 'red apple', 'green apple', 'red\nbrick', 'x')
export const addresses = given(
  'addresses',
  'from 10.1.2.3:80 ok',
  'from 192.168.0.7 ok',
  'v6 2001:db8::1 ok',
  'version 1.2.3 only',
  'mapped ::ffff:10.9.9.9',
)
export const access = given('access', '1.1.1.1 - [GET /a] 200', '2.2.2.2 - [POST /b] 503 slow', 'nothing here')
export const json = given(
  'json',
  '{"status":503,"ok":true,"msg":"a\\"b\\u00e9","none":null,"list":[1,{"x":2}],"req":{"path":"/x","id":{"n":7}},"st-atus":"odd","1st":"d","status":1}',
  '{"status":200, "app":"mine", "msg":"",}',
  'not json',
  '{"status":404,"msg":"broken',
)
export const paths = given(
  'paths',
  '{"a":{"b":[1,{"c":"x"}],"d e":"y"},"o":{"k": 1},"n":null}',
  '{"a":1}',
  'plain',
  '{"o":tru}',
  '{"n":"open',
)
export const logfmt = given(
  'logfmt',
  'level=info msg="hello \\"w\\"" dur=12ms flag empty= key.x=1 app=mine',
  'level=warn =bad msg=a"b dur=1s',
  'a="open',
)
export const packed = given('packed', '{"_entry":"the \\"line\\"","pod2":"p","n":5,"app":"q"}', '{"x":"y"}', 'plain')
export const values = given(
  'values',
  { line: 'one', meta: { lat: '250ms', size: '1.5KiB', code: '404', ip: '10.0.0.5' } },
  { line: 'two', meta: { lat: '2s', size: '3 MB', code: '0x1p4', ip: '11.0.0.5' } },
  { line: 'three', meta: { lat: 'soon', size: 'big', code: 'NaN?', ip: 'none' } },
  { line: 'four' },
)
export const colored = given('colored', '\u001b[31mred\u001b[0m plain \u001b[1;32mgreen\u001b[m')
export const shadowed = given('shadowed', {
  line: '{"app":"j","pod_uid":"j2","level":"l"}',
  meta: { pod_uid: 'm' },
  level: 'error',
})
export const numbers = given(
  'numbers',
  { line: 'v=1 d=1s b=1KB k=a', at: 0 },
  { line: 'v=2.5 d=500ms b=2KB k=b', at: 10 },
  { line: 'v=4 d=250ms b=4KB k=a', at: 20 },
  { line: 'v=oops d=1s b=1B k=b', at: 30 },
  { line: 'k=b', at: 40 },
  { line: 'v=3 d=1s b=1B k=a', at: 50 },
)
/** Opens a store with the lines of all cases, which the functions here ask from then on. */
export async function openLanguage(): Promise<Fixture> {
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
  return fixture
}

export async function ask(path: string, parameters: Record<string, string>, headers: Record<string, string> = {}) {
  const url = `${fixture.url}/loki/api/v1/${path}?${new URLSearchParams(parameters)}`
  const response = await fetch(url, { headers })
  const text = await response.text()
  return { status: response.status, text, data: response.status === 200 ? JSON.parse(text).data : undefined }
}

export const range = { start: String(base - second), end: String(base + 3600n * second), direction: 'forward' }

export interface Entry {
  readonly line: string
  readonly labels: Record<string, string>
}

/** The entries of a query in the order of time, with the labels that tell them from others of their case. */
export async function entries(query: string): Promise<Entry[]> {
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

export const lines = async (query: string) => (await entries(query)).map(({ line }) => line)
export const labels = async (query: string) => (await entries(query)).map(({ labels }) => labels)
/** A query that begins with the case's selector. */
export const of = (id: string, rest: string) => `{case="${id}"} ${rest}`
/** Value of each series at the end of the minute, by the labels that are not the case's. */
export async function samples(query: string): Promise<Record<string, number>> {
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
