/** Pushes, end to end: over HTTP into a running aggregator, and read back with queries. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync, gzipSync } from 'node:zlib'
import { parseConfig } from '@tributary/protocol/config-file.ts'
import { pino } from 'pino'
import { compressSync } from 'snappy'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningAggregator, startAggregator } from '../aggregator.ts'
import { aggregatorConfig } from '../config.ts'
import { encodePushRequest } from '../push/test-push.ts'

let directory: string
let aggregator: RunningAggregator
const start = async () => {
  const text = `dataDir: ${directory}
forward: {listen: 127.0.0.1, port: 0}
http: {listen: 127.0.0.1, port: 0}
load: {blockDelay: 20ms}
push: {maxBodyBytes: 128KiB, maxDecompressedBytes: 512KiB}
limits: {maxLineBytes: 1KiB, maxLabelNames: 4, maxMetadataPairs: 2}
`
  return startAggregator(parseConfig('test', text, aggregatorConfig), { log: pino({ level: 'fatal' }) })
}
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tributary-push-'))
  aggregator = await start()
})
afterAll(async () => {
  await aggregator?.close()
  rmSync(directory, { recursive: true, force: true })
})

const now = BigInt(Date.now()) * 1_000_000n
const ago = (seconds: number) => now - BigInt(seconds) * 1_000_000_000n

async function push(body: string | Buffer, headers: Record<string, string> = {}, path = '/loki/api/v1/push') {
  const response = await fetch(`http://127.0.0.1:${aggregator.httpPort}${path}`, {
    method: 'POST',
    body: typeof body === 'string' ? body : new Uint8Array(body),
    headers,
  })
  return [response.status, await response.text()] as const
}
const json = { 'content-type': 'application/json' }
const protobuf = { 'content-type': 'application/x-protobuf' }
const jsonBody = (labels: object, values: unknown[]) => JSON.stringify({ streams: [{ stream: labels, values }] })

interface Stream {
  readonly stream: Record<string, string>
  readonly values: [string, string, { structuredMetadata?: Record<string, string> }][]
}

async function read(query: string): Promise<Stream[]> {
  const parameters = new URLSearchParams({ query, start: String(ago(8 * 86_400)), limit: '5000', direction: 'forward' })
  await expect.poll(() => aggregator.caughtUp()).toBe(true)
  const headers = { 'x-loki-response-encoding-flags': 'categorize-labels' }
  const response = await fetch(`http://127.0.0.1:${aggregator.httpPort}/loki/api/v1/query_range?${parameters}`, {
    headers,
  })
  const { data } = (await response.json()) as { data: { result: Stream[] } }
  return data.result
}

test.for([
  ['json', json, (labels: string) => jsonOf(labels)],
  ['json, gzip', { ...json, 'content-encoding': 'gzip' }, (labels: string) => gzipSync(jsonOf(labels))],
  ['json, deflate', { ...json, 'content-encoding': 'deflate' }, (labels: string) => deflateRawSync(jsonOf(labels))],
  ['json with charset', { 'content-type': 'Application/JSON; charset=utf-8' }, (labels: string) => jsonOf(labels)],
  ['protobuf', protobuf, (labels: string) => compressSync(protobufOf(labels))],
  ['protobuf, no type', {}, (labels: string) => compressSync(protobufOf(labels))],
  [
    'protobuf, said to be snappy',
    { ...protobuf, 'content-encoding': 'snappy' },
    (labels: string) => compressSync(protobufOf(labels)),
  ],
  ['protobuf, gzip', { ...protobuf, 'content-encoding': 'gzip' }, (labels: string) => gzipSync(protobufOf(labels))],
] as const)('%s: lines, times, labels and metadata are there as they were sent', async ([name, headers, body]) => {
  expect(await push(body(name), headers)).toEqual([204, ''])
  expect(await read(`{app="${name}"}`)).toEqual([
    {
      stream: { app: name, env: 'quo"te', service_name: name },
      values: [
        [String(ago(3600)), 'level=warn older', { structuredMetadata: { detected_level: 'warn' } }],
        [String(ago(60) + 1n), 'ünïcode', { structuredMetadata: { detected_level: 'error', trace_id: 'abc' } }],
      ],
    },
  ])
})

const jsonOf = (app: string) =>
  jsonBody({ app, env: 'quo"te', empty: '' }, [
    [String(ago(60) + 1n), 'ünïcode', { trace_id: 'abc', detected_level: 'error' }],
    [String(ago(3600)), 'level=warn older'],
    [String(ago(3600)), 'level=warn older'],
  ])

const protobufOf = (app: string) =>
  encodePushRequest([
    {
      labels: `{app="${app}", env="quo\\"te", empty=""}`,
      entries: [
        { time: ago(60) + 1n, line: 'ünïcode', metadata: { trace_id: 'abc', detected_level: 'error' } },
        { time: ago(3600), line: 'level=warn older' },
        { time: ago(3600), line: 'level=warn older' },
      ],
    },
  ])

test('a line without a level has the level unknown: shown, found, and counted by entries and bytes', async () => {
  const lines = ['level=warn x', 'nothing to tell', 'nor here']
  const values = lines.map((line, i) => [String(ago(60 - i)), line])
  expect(await push(jsonBody({ app: 'levels' }, values), json)).toEqual([204, ''])
  const unknown = { structuredMetadata: { detected_level: 'unknown' } }
  const shown = (await read('{app="levels"}'))[0]!.values.map(([, line, told]) => [line, told])
  expect(shown).toEqual([
    [lines[0], { structuredMetadata: { detected_level: 'warn' } }],
    [lines[1], unknown],
    [lines[2], unknown],
  ])
  const found = await read('{app="levels"} | detected_level="unknown"')
  expect(found[0]!.values.map(([, line]) => line)).toEqual(lines.slice(1))
  expect(await read('{app="levels"} | detected_level=""')).toEqual([])

  const ask = async (path: string, parameters: Record<string, string>) => {
    const text = new URLSearchParams(parameters)
    const response = await fetch(`http://127.0.0.1:${aggregator.httpPort}/loki/api/v1/${path}?${text}`)
    const body = (await response.json()) as { data: { result: { metric: object; value: [number, string] }[] } }
    return body.data.result.map(({ metric, value }) => [metric, value[1]])
  }
  const total = String(Buffer.byteLength(lines[1]! + lines[2]!))
  const histogram = 'sum by (level, detected_level) (count_over_time({app="levels"} | drop __error__ [5m]))'
  expect(await ask('query', { query: histogram })).toEqual([
    [{ detected_level: 'unknown' }, '2'],
    [{ detected_level: 'warn' }, '1'],
  ])
  const bytes = 'sum by (detected_level) (bytes_over_time({app="levels"} | logfmt [5m]))'
  expect(await ask('query', { query: bytes })).toEqual([
    [{ detected_level: 'unknown' }, total],
    [{ detected_level: 'warn' }, String(lines[0]!.length)],
  ])
})

test('lines that are not UTF-8 keep their bytes', async () => {
  const body = encodePushRequest([
    { labels: '{app="raw"}', entries: [{ time: ago(9), line: Buffer.from([0x61, 0xff]) }] },
  ])
  expect(await push(compressSync(body), protobuf)).toEqual([204, ''])
  expect((await read('{app="raw"}'))[0]!.values[0]![1]).toBe('a\ufffd')
  const query = new URLSearchParams({ query: 'bytes_over_time({app="raw"}[1m])' })
  const answer = await fetch(`http://127.0.0.1:${aggregator.httpPort}/loki/api/v1/query?${query}`)
  const { data } = (await answer.json()) as { data: { result: { value: [number, string] }[] } }
  expect(data.result[0]!.value[1]).toBe('2')
})

const long = 'x'.repeat(2000)
test.for([
  ['{', json, 400, 'JSON: '],
  ['[]', json, 400, 'JSON: the body is not an object'],
  ['{"streams":[]}', json, 422, 'error at least one valid stream is required for ingestion'],
  [compressSync(encodePushRequest([])), protobuf, 422, 'error at least one valid stream is required for ingestion'],
  [jsonBody({ a: 'b' }, [[1, 'x']]), json, 400, 'JSON: streams[0].values[0]: time and line must be strings'],
  [jsonBody({ a: 'b' }, [['1', 2]]), json, 400, 'JSON: streams[0].values[0]: time and line must be strings'],
  [
    jsonBody({ a: 'b' }, [['then', 'x']]),
    json,
    400,
    'JSON: streams[0].values[0]: the time "then" is no number of nanoseconds',
  ],
  [
    jsonBody({ a: 'b' }, [['1', 'x', { n: 1 }]]),
    json,
    400,
    'JSON: streams[0].values[0]: structured metadata "n" is not a string',
  ],
  [jsonBody({}, [[String(now), 'x']]), json, 400, 'error at least one label pair is required per stream'],
  [jsonBody({ a: '' }, [[String(now), 'x']]), json, 400, 'error at least one label pair is required per stream'],
  [
    jsonBody({ 'a b': 'c' }, [[String(now), 'x']]),
    json,
    400,
    `error parsing labels '{a b="c"}' with error: parse error at line 1, col 4`,
  ],
  [jsonBody({ a: '1', b: '2', c: '3', d: '4', e: '5' }, [[String(now), 'x']]), json, 400, 'has 5 label names; limit 4'],
  [jsonBody({ a: long.repeat(2) }, [[String(now), 'x']]), json, 400, 'has label value too long: '],
  [
    jsonBody({ a: 'b' }, [[String(now), long]]),
    json,
    400,
    "max entry size '1024' bytes exceeded for stream '{a=\"b\"}' while adding an entry with length '2000' bytes",
  ],
  [
    jsonBody({ a: 'b' }, [['1', 'x']]),
    json,
    400,
    `entry for stream '{a="b"}' has timestamp too old: 1970-01-01T00:00:00`,
  ],
  [jsonBody({ a: 'b' }, [[String(ago(-3600)), 'x']]), json, 400, `entry for stream '{a="b"}' has timestamp too new: `],
  [
    jsonBody({ a: 'b' }, [[String(now), 'x', { a: '1', b: '2', c: '3' }]]),
    json,
    400,
    "has too many structured metadata labels: '3', limit: '2'",
  ],
  [
    `{"streams":[{"stream":{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}},"values":[["${now}","x"]]}]}`,
    json,
    400,
    'streams[0].stream: "a" is nested too deeply',
  ],
  ['not snappy', protobuf, 400, 'snappy: '],
  [Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0]), protobuf, 413, 'request body too large'],
  [compressSync(Buffer.from('not protobuf')), protobuf, 400, 'protobuf: '],
  ['{}', { ...json, 'content-encoding': 'br' }, 400, 'Content-Encoding "br" not supported'],
  ['not gzip', { ...json, 'content-encoding': 'gzip' }, 400, 'gzip: '],
  [gzipSync(Buffer.alloc(600_000)), { ...json, 'content-encoding': 'gzip' }, 413, 'request body too large'],
  [compressSync(Buffer.alloc(600_000)), protobuf, 413, 'request body too large'],
  [Buffer.alloc(200_000), json, 413, 'request body too large'],
] as const)('what can not be taken is refused: %#', async ([body, headers, status, message]) => {
  const [got, text] = await push(body, headers)
  expect([got, text]).toEqual([status, expect.stringContaining(message)])
})

test('what is good beside what is wrong is taken, and the answer tells of the rest', async () => {
  const streams = [
    {
      stream: { app: 'partly' },
      values: [
        [String(ago(5)), 'good'],
        [String(ago(4)), long],
        ['1', 'old'],
        ['2', 'older'],
      ],
    },
    { stream: {}, values: [[String(ago(5)), 'nobody']] },
    { stream: { app: 'partly', more: 'yes' }, values: [[String(ago(5)), 'good too']] },
  ]
  const [status, text] = await push(JSON.stringify({ streams }), json)
  expect([status, text]).toEqual([
    400,
    expect.stringMatching(/^1 errors like: .*ax entry size.*; 1 errors like: error at least one label pair/),
  ])
  const lines = (await read('{app="partly"}')).flatMap(({ values }) => values.map(([, line]) => line))
  expect(lines.sort()).toEqual(['good', 'good too'])
})

test('a refusal does not repeat all of what is too long', async () => {
  const [status, text] = await push(jsonBody({ app: 'x'.repeat(60_000) }, [[String(ago(5)), 'l']]), json)
  expect([status, text.slice(0, 20)]).toEqual([400, 'stream \'{app="xxxxxx'])
  expect(text.length).toBeLessThan(9000)
})

test('times may come in any order, also within a stream', async () => {
  const times = [50, 10, 90, 30, 70].map(ago)
  for (const time of times)
    expect((await push(jsonBody({ app: 'unordered' }, [[String(time), String(time)]]), json))[0]).toBe(204)
  const [stream] = await read('{app="unordered"}')
  expect(stream!.values.map(([time]) => time)).toEqual(times.sort((a, b) => (a < b ? -1 : 1)).map(String))
})

test('a push that comes again is answered and not stored twice, also while the first is under way', async () => {
  const body = jsonBody({ app: 'again' }, [[String(ago(5)), 'once']])
  const answers = await Promise.all([
    push(body, json),
    push(body, json),
    push(gzipSync(body), { ...json, 'content-encoding': 'gzip' }),
  ])
  expect(answers).toEqual([
    [204, ''],
    [204, ''],
    [204, ''],
  ])
  expect((await push(body, json, '/api/prom/push'))[0]).toBe(204)
  expect((await read('{app="again"}'))[0]!.values).toHaveLength(1)
})

test('what was acknowledged is there after a restart', async () => {
  const lines = Array.from({ length: 300 }, (_, i) => [String(ago(20) + BigInt(i)), `line ${i}`])
  await aggregator.close()
  aggregator = await start()
  expect(await push(jsonBody({ app: 'durable' }, lines), json)).toEqual([204, ''])
  await aggregator.close()
  aggregator = await start()
  expect((await read('{app="durable"}'))[0]!.values.map(([, line]) => line)).toEqual(lines.map(([, line]) => line))
})
