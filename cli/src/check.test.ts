import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { checkFile, checkFilters, kindOf } from './check.ts'

const directory = mkdtempSync(join(tmpdir(), 'tributary-check-'))
afterAll(() => rmSync(directory, { recursive: true }))

function file(text: string): string {
  const path = join(directory, 'config.yaml')
  writeFileSync(path, text)
  return path
}

test.for([
  ['aggregator: {address: "a:24224"}', 'collector'],
  ['node: x\nstateDir: /y\naggregator: {address: "a:1"}', 'collector'],
  ['dataDir: /x', 'aggregator'],
  ['store: {retention: 7d}\nhttp: {port: 1}', 'aggregator'],
  ['', 'aggregator'],
] as const)('%j is recognised', ([text, kind]) => {
  const path = file(text)
  expect(kindOf(path)).toBe(kind)
  expect(checkFile(path)).toEqual([])
})

test.for([
  ['dataDir: /x\nhttp: {prot: 3100}', 'http.prot: unknown key'],
  ['dataDir: /x\nwal: {maxBytes: much}', 'wal.maxBytes: "much" is not a size'],
  ['node: n\nlogs: {path: [1]}\naggregator: {address: "a:1"}', 'logs.path: '],
  ['limits: {inFlightBytes: 0}\naggregator: {address: "a:1"}', 'limits.inFlightBytes: must be more than 0'],
  ['stateDir: /x', 'aggregator: is missing; set aggregator.address to the host:port of an aggregator'],
  ['aggregator: {address: "a:1"}\nhttp:', 'http: has no value; remove the key, or write below it'],
  ['aggregator: {address: "a:1"}\nfilters: [{set: {"x y": a}}]', 'filters.0.set.x y: a name has letters, digits and _'],
  ...['set: {cluster: a}', 'set: {app: a}', 'rename: {a: pod}', 'rename: {pod: a}', 'remove: [namespace]'].map(
    (filter) => [`aggregator: {address: "a:1"}\nfilters: [{${filter}}]`, 'is a stream label, and filters'] as const,
  ),
  ['aggregator: {address: "a:1"}\nparsers: {json: {regex: "(?<a>b)"}}', 'parsers.json: "json" is built in; choose'],
  ['aggregator: {address: "a:1"}\nparsers: {own: {regex: "(b)"}}', 'parsers.own.regex: has no named group'],
  ...['java', 'auto', 'off'].map(
    (name) =>
      [
        `aggregator: {address: "a:1"}\nmultiline: {patterns: {${name}: {start: x}}}`,
        `multiline.patterns.${name}: "${name}" is built in; choose another name`,
      ] as const,
  ),
  ['dataDir: [', 'config.yaml: '],
] as const)('%j is refused by path', ([text, problem]) => {
  const problems = checkFile(file(text))
  expect(problems.length).toBeGreaterThan(0)
  expect(problems.join('\n')).toContain(problem)
})

test('a file that is not there is a problem, not an exception', () => {
  expect(checkFile(join(directory, 'none.yaml'))).toEqual([expect.stringContaining('cannot be read')])
})

test('the kind can be said where keys do not tell', () => {
  expect(checkFile(file('http: {port: 1}'), 'collector').join()).toContain('aggregator')
})

test.for([
  ['filters: [{drop: {where: \'line =~ "("\'}}]', /^\S+: filters\.0\.drop\.where: character 9: .*missing closing \)/],
  ['parsers: {own: {regex: "["}}', /^\S+: parsers\.own\.regex: /],
  ['filters: [{module: ./none.ts}]', /^\S+: filters\.0\.module: \S+none\.ts can not be loaded/],
  ['multiline: {patterns: {own: {start: "["}}}', /^\S+: multiline\.patterns\.own\.start: .*RE2/],
] as const)('%s is wrong in what it names', async ([text, problem]) => {
  const problems = await checkFilters(file(`aggregator: {address: "a:1"}\n${text}`))
  expect(problems).toEqual([expect.stringMatching(problem)])
})

test('what is wrong with filters and with patterns of records is told at once', async () => {
  const text = 'filters: [{redact: {custom: {a: "["}}}]\nmultiline: {patterns: {b: {start: "["}, c: {start: "["}}}'
  const problems = await checkFilters(file(`aggregator: {address: "a:1"}\n${text}`))
  expect(problems.map((problem) => problem.split(': ')[1])).toEqual([
    'filters.0.redact.custom.a',
    'multiline.patterns.b.start',
    'multiline.patterns.c.start',
  ])
})

test.for([
  'forward: {sharedKey: hush-Qk, sharedKeyFile: /x}',
  'forward: {sharedKey: hush-Qk, prot: 1}',
  'forward: {sharedKey: hush-Qk, users: {ann: {password: hush-Qk, passwordFile: /x}}}',
  'forward: {users: {ann: hush-Qk}}',
  'forward: {sharedKey: [hush-Qk]}',
  'http: {auth: {credentials: [{name: a, token: hush-Qk, password: hush-Qk, roles: [read]}]}}',
  'http: {auth: {credentials: [{name: a, token: hush-Qk, roles: [reed]}]}}',
  'http: {auth: {credentials: [{name: a, token: {x: hush-Qk}, roles: [read], tenants: [b]}]}}',
  'store: {engine: clickhouse, clickhouse: {password: hush-Qk}}',
  'aggregator: {address: a, sharedKey: hush-Qk, password: 5}\nnode: x',
  'aggregator: {address: "a:1", sharedKey: hush-Qk\n  password: hush-Qk',
])('what is wrong beside a secret is told without it: %s', (text) => {
  const told = checkFile(file(text))
  expect(told).not.toEqual([])
  expect(told.join('\n')).not.toContain('hush')
})
