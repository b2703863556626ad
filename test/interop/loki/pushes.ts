/** Pushes, good and bad, in the order in which they are sent. */
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { encodePushRequest } from '@tributary/aggregator/push/test-push.ts'
import { compressSync } from 'snappy'
import type { Request } from './compare.ts'
import { at, base } from './entries.ts'
import { pushTenant } from './server.ts'

const now = at(0)
const day = 86_400
const json = 'application/json'
const protobuf = 'application/x-protobuf'

type Body = string | Uint8Array<ArrayBuffer>

const push = (name: string, type: string, body: Body, headers: Readonly<Record<string, string>> = {}): Request => ({
  name,
  path: '/loki/api/v1/push',
  method: 'POST',
  headers: { 'content-type': type, 'x-scope-orgid': pushTenant, ...headers },
  body,
})

const bytes = (text: string | Buffer): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text as string))

const ofJson = (name: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Request =>
  push(name, json, typeof body === 'string' ? body : JSON.stringify(body), headers)

const one = (stream: unknown, time: unknown = now, line: unknown = 'x', ...more: unknown[]) => ({
  streams: [{ stream, values: [[time, line, ...more]] }],
})
const labels = (name: string, stream: unknown): Request => ofJson(`labels: ${name}`, one(stream))
const time = (name: string, value: unknown): Request => ofJson(`time: ${name}`, one({ a: 'b' }, value))
const line = (name: string, value: unknown): Request => ofJson(`line: ${name}`, one({ a: 'b' }, now, value))
const metadata = (name: string, value: unknown): Request =>
  ofJson(`metadata: ${name}`, one({ a: 'meta' }, now, name, value))

const many = (count: number, prefix: string) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`${prefix}${i}`, 'v']))

const bodies: readonly Request[] = [
  ofJson('one entry', one({ a: 'b' })),
  ofJson('an empty object', {}),
  ofJson('nothing', ''),
  ofJson('a list', '[]'),
  ofJson('null', 'null'),
  ofJson('a bracket', '{'),
  ofJson('streams: null', { streams: null }),
  ofJson('streams: none', { streams: [] }),
  ofJson('streams: an object', { streams: {} }),
  ofJson('no values', { streams: [{ stream: { a: 'b' } }] }),
  ofJson('empty values', { streams: [{ stream: { a: 'b' }, values: [] }] }),
  ofJson('text behind it', '{"streams":[]} x'),
  ofJson('unknown keys', { streams: [{ stream: { a: 'b' }, values: [[now, 'x']], foo: 1 }], bar: 2 }),
  ofJson('values before labels', `{"streams":[{"values":[["${now}","first"]],"stream":{"a":"b"}}]}`),
  ofJson('value: an object', { streams: [{ stream: { a: 'b' }, values: [{ ts: 1 }] }] }),
  ofJson('value: short', { streams: [{ stream: { a: 'b' }, values: [[now]] }] }),
  ofJson('value: long', one({ a: 'b' }, now, 'x', {}, 'y')),
  ofJson('half a surrogate pair', `{"streams":[{"stream":{"a":"b"},"values":[["${now}","\\ud800"]]}]}`),
]

const labelSets: readonly Request[] = [
  labels('none', {}),
  labels('an empty value', { a: '' }),
  labels('an empty value beside another', { a: '', b: 'c' }),
  labels('numbers', { a: 5, t: true }),
  labels('an object', { a: { b: 1 } }),
  labels('a dash', { 'a-b': 'c' }),
  labels('a dot', { 'a.b': 'c' }),
  labels('a digit first', { '1a': 'c' }),
  labels('é', { é: 'c' }),
  labels('no name', { '': 'c' }),
  labels('a blank', { 'a b': 'c' }),
  labels('__name__', { __name__: 'x' }),
  ofJson('labels: one twice', `{"streams":[{"stream":{"a":"1","a":"2"},"values":[["${now}","x"]]}]}`),
  labels('16', many(16, 'l')),
  labels('a long name', { ['n'.repeat(1025)]: 'v' }),
  labels('a long value', { a: 'v'.repeat(2049) }),
]

const entries: readonly Request[] = [
  time('a number', Number(now.slice(0, 10))),
  time('abc', 'abc'),
  time('1.5', '1.5'),
  time('-1', '-1'),
  time('0', '0'),
  time('8 days ago', String(base - BigInt(8 * day) * 1_000_000_000n)),
  time('in an hour and more', at(3600 * 3)),
  time('beyond 64 bits', '99999999999999999999'),
  time('2262', '9223372036854775807'),
  line('a number', 5),
  line('null', null),
  line('empty', ''),
  line('as long as can be', 'x'.repeat(262_144)),
  line('too long', 'x'.repeat(262_145)),
  metadata('a text', 'y'),
  metadata('null', null),
  metadata('a number', { k: 5 }),
  metadata('an object', { k: { z: 1 } }),
  metadata('a boolean', { k: true }),
  metadata('a list', ['k']),
  metadata('an empty value', { k: '' }),
  metadata('129 of them', many(129, 'm')),
  metadata('66 KB', { k: 'v'.repeat(66_000) }),
  metadata('dash and dot', { 'k-l': '1', 'm.n': '2' }),
  metadata('a digit first', { '3x': '4' }),
  metadata('underscores', { a__b: '1', __c: '2', d__: '3', _e: '4' }),
  metadata('signs', { 'a b': '1', 'c--d': '2', '/e': '3', f_: '4' }),
  metadata('no name', { '': 'v' }),
  metadata('é', { é: 'v' }),
  ofJson('good beside old and unnamed', {
    streams: [
      {
        stream: { a: 'part' },
        values: [
          [now, 'good'],
          [String(base - BigInt(8 * day) * 1_000_000_000n), 'old'],
          [at(1), 'good too'],
        ],
      },
    ],
  }),
]

const text = JSON.stringify(one({ a: 'encoded' }))
const encodings: readonly Request[] = [
  push('gzip', json, bytes(gzipSync(text)), { 'content-encoding': 'gzip' }),
  push('deflate', json, bytes(deflateRawSync(text)), { 'content-encoding': 'deflate' }),
  push('deflate with a head', json, bytes(deflateSync(text)), { 'content-encoding': 'deflate' }),
  push('JSON said to be Snappy', json, text, { 'content-encoding': 'snappy' }),
  push('Brotli', json, text, { 'content-encoding': 'br' }),
  push('identity', json, text, { 'content-encoding': 'identity' }),
  push('GZIP', json, bytes(gzipSync(text)), { 'content-encoding': 'GZIP' }),
  push('gzip that is none', json, 'xx', { 'content-encoding': 'gzip' }),
  push('JSON with a charset', `${json}; charset=utf-8`, text),
  push('Application/JSON', 'Application/JSON', text),
  push('text/plain', 'text/plain', text),
  push('foo/', 'foo/', text),
  push('no type', '', text),
  push('protobuf that is none', protobuf, bytes(Buffer.from([1, 2, 3]))),
  push('protobuf of nothing', protobuf, bytes('')),
  push('protobuf said to be Zstandard', protobuf, text, { 'content-encoding': 'zstd' }),
  push('no tenant', json, text, { 'x-scope-orgid': '' }),
  push('two tenants', json, text, { 'x-scope-orgid': 'a|b' }),
  push('a tenant with a slash', json, text, { 'x-scope-orgid': 'a/b' }),
]

const inProtobuf = (name: string, message: Buffer): Request =>
  push(`protobuf: ${name}`, protobuf, bytes(compressSync(message)))
const entry = { time: BigInt(now), line: 'x' }

const labelTexts = [
  ...['{a="b"', 'a="b"', '{}', '', '{a=~"b"}', '{a="b",}', `{a='b'}`, '{a=`b`}', '{ a = "b" , c="d"}', '{a="b" c="d"}'],
  ...['{a=""}', '{a="b",a="c"}', '{a-b="c"}', '{a.b="c"}', '{"a"="b"}', String.raw`{a="\u00e9\n\""}`],
  ...[
    String.raw`{a="\q"}`,
    '{__name__="x"}',
    'foo{a="b"}',
    '{é="x"}',
    '{a="b"} x',
    `{a='b"c'}`,
    String.raw`{a='b\'c'}`,
  ],
]

const protobufs: readonly Request[] = [
  ...labelTexts.map((set) => inProtobuf(set, encodePushRequest([{ labels: set, entries: [entry] }]))),
  inProtobuf('no entries', encodePushRequest([{ labels: '{a="b"}', entries: [] }])),
  inProtobuf('no streams', encodePushRequest([])),
  inProtobuf(
    'metadata',
    encodePushRequest([{ labels: '{a="protobuf"}', entries: [{ ...entry, metadata: { 'k-l.m': 'v' } }] }]),
  ),
  push('protobuf: gzip', protobuf, bytes(gzipSync(encodePushRequest([{ labels: '{a="b"}', entries: [entry] }]))), {
    'content-encoding': 'gzip',
  }),
  inProtobuf('cut off', encodePushRequest([{ labels: '{a="b"}', entries: [entry] }]).subarray(0, 10)),
]

export const pushes: readonly Request[] = [...bodies, ...labelSets, ...entries, ...encodings, ...protobufs]

/** What came of those that both took. */
const readBack = [
  '{a="meta"} !~ "^(no name|é)$"',
  '{a=~"b|part|encoded|protobuf",__name__=""} |~ "^[a-z ]*$" != "xxxxx"',
  '{c=~"b|d"}',
]

export const afterPushes: readonly Request[] = readBack.map((query) => ({
  name: query,
  path: '/loki/api/v1/query_range',
  parameters: { query, start: at(-100), end: at(4 * 3600), limit: '5000' },
  headers: { 'x-scope-orgid': pushTenant },
}))
