import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type PolicyOptions, policyOf } from './annotations.ts'
import { usualPolicy } from './log-policy.ts'
import type { PodFacts } from './pod-facts.ts'

const options: PolicyOptions = {
  usual: usualPolicy,
  known: { parsers: ['json', 'logfmt', 'nginx', 'access'], patterns: ['dated'] },
}

const podWith = (annotations: Record<string, string>): PodFacts => ({
  uid: 'u',
  namespace: 'shop',
  name: 'web-1',
  labels: {},
  annotations,
  namespaceLabels: {},
  addresses: [],
  workload: undefined,
  containers: { nginx: { image: 'n', imageId: undefined }, app: { image: 'a', imageId: undefined } },
})
const read = (annotations: Record<string, string>, container = 'nginx') =>
  policyOf(podWith(annotations), container, options)

describe('where nobody said anything', () => {
  test.for([
    { what: 'an unknown pod', reading: () => policyOf(undefined, 'nginx', options) },
    { what: 'no annotation', reading: () => read({}) },
    { what: 'annotations of others', reading: () => read({ 'example.com/parser': 'json', 'fluentbit.io/other': 'x' }) },
    { what: 'another container', reading: () => read({ 'tributary.io/exclude.app': 'true' }) },
  ])('$what: the usual', ({ reading }) => {
    const { policy, ...rest } = reading()
    expect(policy).toBe(usualPolicy)
    expect(rest).toEqual({ annotations: [], excludedBy: undefined, problems: [] })
  })
})

test.for([
  { annotation: 'exclude', value: 'true', key: 'exclude', expected: true },
  { annotation: 'exclude', value: 'False', key: 'exclude', expected: false },
  { annotation: 'parser', value: 'logfmt', key: 'parser', expected: 'logfmt' },
  { annotation: 'parser', value: 'access', key: 'parser', expected: 'access' },
  { annotation: 'parser', value: 'off', key: 'parser', expected: undefined },
  { annotation: 'multiline', value: 'java', key: 'multiline', expected: 'java' },
  { annotation: 'multiline', value: 'off', key: 'multiline', expected: 'off' },
  { annotation: 'multiline', value: 'dated', key: 'multiline', expected: 'dated' },
  { annotation: 'sample', value: '0.1', key: 'sample', expected: 0.1 },
  { annotation: 'sample', value: '10%', key: 'sample', expected: 0.1 },
  { annotation: 'sample', value: '0', key: 'sample', expected: 0 },
  { annotation: 'rate-limit', value: '100/s', key: 'rateLimit', expected: { linesPerSecond: 100, burst: 100 } },
  { annotation: 'rate-limit', value: '30/m', key: 'rateLimit', expected: { linesPerSecond: 0.5, burst: 1 } },
  {
    annotation: 'rate-limit',
    value: '100/s, burst=500',
    key: 'rateLimit',
    expected: { linesPerSecond: 100, burst: 500 },
  },
  { annotation: 'rate-limit', value: 'off', key: 'rateLimit', expected: undefined },
] as const)('$annotation: $value', ({ annotation, value, key, expected }) => {
  const name = `tributary.io/${annotation}`
  const { policy, annotations, problems } = read({ [name]: value })
  expect(problems).toEqual([])
  expect(policy[0][key]).toEqual(expected)
  expect(policy[1][key]).toEqual(expected)
  expect(annotations).toEqual([name])
})

test.for([
  ['exclude', 'maybe', '"true" or "false"'],
  ['parser', 'xml', 'one of json, logfmt, nginx, access, off'],
  ['multiline', 'cobol', 'one of auto, off, java, python, go, node, dotnet, ruby, php, dated'],
  ['sample', '2', 'a share from 0 to 1'],
  ['sample', '110%', 'a share from 0 to 1'],
  ['sample', '-1', 'a share from 0 to 1'],
  ['sample', '', 'a share from 0 to 1'],
  ['rate-limit', '100', 'lines a second'],
  ['rate-limit', '0/s', 'lines a second'],
  ['rate-limit', '5/s,burst=0', 'lines a second'],
  ['rate-limit', '5/s burst=9', 'lines a second'],
] as const)('%s: %s is a problem, and the rest holds', ([annotation, value, cure]) => {
  const { policy, problems } = read({ [`tributary.io/${annotation}`]: value, 'tributary.io/exclude_stderr': 'true' })
  expect(problems).toEqual([
    {
      reason: 'bad_value',
      namespace: 'shop',
      pod: 'web-1',
      annotation: `tributary.io/${annotation}`,
      value,
      cure: expect.stringContaining(cure),
    },
  ])
  expect(policy[0]).toEqual(usualPolicy[0])
  expect(policy[1]).toEqual({ ...usualPolicy[1], exclude: true })
})

describe('the most specific wins', () => {
  const all = {
    'fluentbit.io/parser_stdout-nginx': 'json',
    'tributary.io/multiline': 'java',
    'tributary.io/multiline_stderr': 'go',
    'tributary.io/multiline.nginx': 'node',
    'tributary.io/multiline_stdout.nginx': 'off',
    'tributary.io/parser': 'logfmt',
  }
  test('container and stream, then container, then stream, then all', () => {
    const multilineOf = (container: string) => read(all, container).policy.map(({ multiline }) => multiline)
    expect(multilineOf('nginx')).toEqual(['off', 'node'])
    expect(multilineOf('app')).toEqual(['java', 'go'])
  })
  test('ours wins over the most specific of Fluent Bit', () => {
    expect(read(all).policy[0].parser).toBe('logfmt')
  })
  test('in whatever order they come', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(Object.entries(all), { minLength: 6 }), (entries) => {
        expect(read(Object.fromEntries(entries)).policy).toEqual(read(all).policy)
      }),
    )
  })
  test('a bad value of the more specific leaves the less specific in force', () => {
    const { policy, problems } = read({ ...all, 'tributary.io/multiline_stdout.nginx': 'cobol' })
    expect(policy.map(({ multiline }) => multiline)).toEqual(['node', 'node'])
    expect(problems).toHaveLength(1)
  })
})

describe('a log that is left out as a whole', () => {
  test.for([
    { annotations: { 'tributary.io/exclude': 'true' }, by: 'tributary.io/exclude' },
    { annotations: { 'fluentbit.io/exclude': 'true' }, by: 'fluentbit.io/exclude' },
    {
      annotations: { 'tributary.io/exclude_stdout': 'true', 'tributary.io/exclude_stderr.nginx': 'true' },
      by: 'tributary.io/exclude_stdout, tributary.io/exclude_stderr.nginx',
    },
    { annotations: { 'tributary.io/exclude_stdout': 'true' }, by: undefined },
    { annotations: { 'fluentbit.io/exclude': 'true', 'tributary.io/exclude': 'false' }, by: undefined },
    { annotations: { 'tributary.io/exclude': 'true', 'tributary.io/exclude.nginx': 'false' }, by: undefined },
  ])('$annotations', ({ annotations, by }) => {
    expect(read(annotations as unknown as Record<string, string>).excludedBy).toBe(by)
  })
})

test.for([
  ['fluentbit.io/parser', 'docker', 'json', 'json'],
  ['fluentbit.io/parser', 'nginx', 'nginx', 'nginx'],
  ['fluentbit.io/parser_stderr', 'logfmt', undefined, 'logfmt'],
  ['fluentbit.io/parser-nginx', 'json', 'json', 'json'],
  ['fluentbit.io/parser_stdout-nginx', 'access', 'access', undefined],
  ['fluentbit.io/parser-app', 'json', undefined, undefined],
] as const)('%s: %s', ([annotation, value, stdout, stderr]) => {
  const { policy, problems } = read({ [annotation]: value })
  expect(policy.map(({ parser }) => parser)).toEqual([stdout, stderr])
  expect(problems).toEqual([])
})

test('a parser of Fluent Bit that is not here is said, and the line kept', () => {
  const { policy, problems } = read({ 'fluentbit.io/parser': 'apache_error' })
  expect(policy).toBe(usualPolicy)
  expect(problems).toMatchObject([{ reason: 'bad_value', annotation: 'fluentbit.io/parser', value: 'apache_error' }])
})

test.for([
  ['tributary.io/excluded', 'unknown_annotation', 'rate-limit'],
  ['tributary.io/parser_stdin', 'unknown_annotation', '_stdout or _stderr'],
  ['tributary.io/parser.web.app', 'unknown_annotation', '.<container>'],
  ['tributary.io/constructor', 'unknown_annotation', 'exclude'],
  ['tributary.io/exclude.ngnix', 'unknown_container', 'nginx, app'],
] as const)('%s is a problem', ([annotation, reason, cure]) => {
  const { policy, problems } = read({ [annotation]: 'true' })
  expect(policy).toBe(usualPolicy)
  expect(problems).toMatchObject([{ reason, annotation, cure: expect.stringContaining(cure) }])
})

test('whatever the annotations are, the answer is a policy and problems', () => {
  const key = fc.oneof(
    fc.constantFrom('tributary.io/', 'fluentbit.io/').chain((prefix) => fc.string().map((rest) => prefix + rest)),
    fc.constantFrom('exclude', 'parser', 'multiline', 'sample', 'rate-limit').map((what) => `tributary.io/${what}`),
  )
  const value = fc.oneof(fc.string(), fc.constantFrom('true', 'json', '1e9/s', '99999999999999999999/s', '0.0000001%'))
  fc.assert(
    fc.property(fc.dictionary(key, value), (annotations) => {
      for (const { sample, rateLimit } of read(annotations).policy) {
        expect(sample >= 0 && sample <= 1).toBe(true)
        if (rateLimit) expect(rateLimit.linesPerSecond > 0 && rateLimit.burst >= 1).toBe(true)
      }
    }),
  )
})
