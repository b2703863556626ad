import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ConfigError } from '@tributary/protocol/config-value.ts'
import { afterAll, expect, test } from 'vitest'
import { runGolden } from './golden.ts'

const directory = mkdtempSync(join(tmpdir(), 'tributary-golden-'))
afterAll(() => rmSync(directory, { recursive: true }))

writeFileSync(
  join(directory, 'collector.yaml'),
  `node: n
cluster: c
aggregator: {address: "a:24224"}
logs: {exclude: [{namespace: secret}]}
kubernetes: {labels: [team]}
parsers: {order: {regex: 'order (?P<id>\\d+) (?P<state>\\w+)'}}
filters:
  - {name: health checks, drop: {where: 'line contains "/healthz"'}}
  - redact: {patterns: [email]}
  - set: {env: prod}
`,
)

async function run(cases: string, config = 'collector.yaml'): Promise<{ ok: boolean; printed: string[] }> {
  const file = join(directory, 'cases.yaml')
  writeFileSync(file, `config: ./${config}\ncases:\n${cases.replace(/^/gm, '  ')}`)
  const printed: string[] = []
  const ok = await runGolden([file], (line) => printed.push(line.replaceAll(file, 'cases.yaml')))
  return { ok, printed }
}

test('cases that pass', async () => {
  const { ok, printed } = await run(`
- name: a health check
  input: GET /healthz
  expect: dropped
- name: which filter dropped it
  input: [GET /healthz, GET /]
  expect: [{dropped: health checks}, {line: GET /}]
- name: an address
  namespace: shop
  labels: {team: blue, app: api}
  input: mail to a@b.de
  expect:
    line: mail to [redacted:email]
    attributes: {}
    metadata: {env: prod, label_team: blue, missing: null}
    labels: {namespace: shop, app: api}
- name: a parser by annotation
  annotations: {tributary.io/parser: order}
  input: order 7 paid
  expect: {attributes: {id: '7', state: paid}}
- name: a stack trace is one record
  annotations: {tributary.io/multiline: java}
  stream: stderr
  input: |
    java.lang.IllegalStateException: boom
    	at a.b.C.d(C.java:1)
    next
  expect:
    - line: "java.lang.IllegalStateException: boom\\n\\tat a.b.C.d(C.java:1)"
    - line: next
- name: a log that is not read
  namespace: secret
  input: x
  expect: dropped
- name: a policy
  annotations: {tributary.io/rate-limit: 1/s}
  input: [a, b]
  expect: [{line: a}, {dropped: rateLimit}]
`)
  expect(printed).toEqual(['7 passed'])
  expect(ok).toBe(true)
})

test('cases that fail show what is different', async () => {
  const { ok, printed } = await run(`
- {name: one, input: GET /healthz, expect: {line: GET /healthz}}
- {name: two, input: x, expect: dropped}
- {name: three, input: [x, y], expect: {line: z, attributes: {a: b}, metadata: {env: dev}}}
- {name: four, input: x, expect: [{line: x}, {dropped: health checks}]}
- {name: five, annotations: {tributary.io/parser: xml}, input: x, expect: {line: x}}
- {name: six, annotations: {tributary.io/parser: json}, input: '{"a":1}', expect: {attributes: {}}}
- {name: seven, namespace: secret, input: x, expect: {line: x}}
- {name: eight, input: x, expect: {line: x}}
`)
  expect(ok).toBe(false)
  expect(printed).toEqual([
    'cases.yaml: one',
    '  record 1',
    '    - line: "GET /healthz"',
    '    + dropped by health checks',
    'cases.yaml: two',
    '  record 1',
    '    - dropped',
    '    + line: "x"',
    'cases.yaml: three',
    '  record 1',
    '    - line: "z"',
    '    + line: "x"',
    '    - attributes.a: "b"',
    '    + attributes.a: not there',
    '    - metadata.env: "dev"',
    '    + metadata.env: "prod"',
    '  record 2',
    '    - no record',
    '    + line: "y"',
    'cases.yaml: four',
    '  record 2',
    '    - dropped by health checks',
    '    + no record: were its lines joined with those before?',
    'cases.yaml: five',
    expect.stringMatching(/annotation tributary.io\/parser: "xml" can't be followed; write one of json, logfmt/),
    'cases.yaml: six',
    '  record 1',
    '    - attributes.a: not there',
    '    + attributes.a: "1"',
    'cases.yaml: seven',
    expect.stringMatching(/nothing of the log is read: excluded by /),
    '1 passed, 7 failed',
  ])
})

test('a module that throws fails the case', async () => {
  writeFileSync(join(directory, 'throws.ts'), "export default () => { throw new Error('boom') }")
  writeFileSync(join(directory, 'throws.yaml'), 'aggregator: {address: "a:1"}\nfilters: [{module: ./throws.ts}]\n')
  const { ok, printed } = await run('- {name: one, input: x, expect: {line: x}}', 'throws.yaml')
  expect(ok).toBe(false)
  expect(printed).toEqual(['cases.yaml: one', '  the module filters.0.module: boom', '0 passed, 1 failed'])
})

test.for([
  ['- {name: one, input: x}', 'cases.0.expect: '],
  ['- {name: one, input: x, expect: {line: x, dropped: true}}', 'cases.0.expect'],
  ['- {name: one, input: x, expect: {lien: x}}', 'cases.0.expect.lien: unknown key'],
])('%s is no case', async ([cases, message]) => {
  const problem = run(cases!)
  await expect(problem).rejects.toThrow(ConfigError)
  await expect(problem).rejects.toThrow(message)
})
