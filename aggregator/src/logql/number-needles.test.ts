import fc from 'fast-check'
import { RE2JS } from 're2js'
import { afterAll, expect, test } from 'vitest'
import type { CompareOperator, Stage } from './ast.ts'
import { jsonNumberRegex, lastWord, logfmtNumberRegex } from './number-needles.ts'
import { compileStages } from './pipeline/compile.ts'
import { WorkingEntry } from './pipeline/working-entry.ts'

const at = { line: 1, column: 1 }
const names = ['status', 'http_status', 'a_b_c', '_5xx', 'x']
const values = [0, 1, 7, 10, 99, 100, 199, 499, 500, 505, 999, 1000, 12.5, 0.5, -3, 1e15, 1e16, 123456789012345]

/** Keys that become the name, among them those that only nearly do. */
const keyOf = (name: string): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.constantFrom('', '', '', ' ', '\u00a0', '\t', 'x', '\\n'),
      fc.constantFrom('_', '.', '-', '\\"', 'é', '"', '{"'),
      fc.constantFrom('', '', '', ' ', '\u00a0', '\ufeff', 'x', '\\n', '\\t', '\\u0020', '\udcff'),
    )
    .map(([before, joint, after]) => `${before}${name.replaceAll('_', joint)}${after}`)
const number = fc.oneof(
  fc.constantFrom(...values.map(String)),
  fc.nat({ max: 1100 }).map(String),
  fc.nat({ max: 12 }).map(String),
  fc.constantFrom(
    ...[
      '007',
      '0',
      '00000000000000000001',
      '5e2',
      '500.0',
      '0x1f4',
      '1_000',
      '-1',
      '+500',
      '',
      'null',
      'true',
      '"500"',
    ],
    ...['"5"', '500x', '4\udcff', '4\u00a0', '500é', '4"', '4=5', '4\f', 'NaN', 'Inf', '{"a":1}', '[500]', '4\\n'],
  ),
)
const blank = fc.constantFrom('', '', '', ' ', '\t', '\n')

const jsonLine = (name: string): fc.Arbitrary<string> =>
  fc
    .array(
      fc.oneof(
        fc
          .tuple(keyOf(name), blank, blank, number, blank)
          .map(([key, a, b, value, c]) => `"${key}"${a}:${b}${value}${c}`),
        fc.tuple(keyOf(name), number).map(([key, value]) => `"msg":"${key}\\":${value}"`),
        fc.tuple(keyOf(lastWord(name)), number).map(([key, value]) => `"http":{"${key}":${value}}`),
        fc.constant('"level":"info"'),
      ),
      { maxLength: 3 },
    )
    .chain((members) => fc.constantFrom(`{${members.join(',')}}`, `{${members.join(', ')} }`, `{${members.join(',')}`))
const logfmtLine = (name: string): fc.Arbitrary<string> =>
  fc
    .array(
      fc.oneof(
        fc.tuple(keyOf(name), number).map(([key, value]) => `${key}=${value}`),
        fc.tuple(keyOf(name), number).map(([key, value]) => `msg="${key}=${value}"`),
        fc.constantFrom('level=info', name),
      ),
      { maxLength: 3 },
    )
    .map((pairs) => pairs.join(' '))

const question = fc.constantFrom(...names).chain((name) =>
  fc.oneof(
    fc.record({ parser: fc.constant('json' as const), name: fc.constant(name), line: jsonLine(name) }),
    fc.record({
      parser: fc.constantFrom('logfmt' as const, 'keepEmpty' as const),
      name: fc.constant(name),
      line: logfmtLine(name),
    }),
  ),
)
const operator = fc.constantFrom<CompareOperator>('>=', '>', '<', '<=', '=', '!=')

const reached = { passed: 0, failedAndLeftOut: 0, failedButKept: 0, unreadable: 0 }
afterAll(() => {
  for (const [what, count] of Object.entries(reached)) expect(count, `never reached: ${what}`).toBeGreaterThan(100)
})

test('the expression matches every line whose number a filter lets pass', () => {
  fc.assert(
    fc.property(question, operator, fc.constantFrom(...values), ({ parser, name, line }, op, value) => {
      const regex =
        parser === 'json'
          ? jsonNumberRegex(lastWord(name), op, value)
          : logfmtNumberRegex(lastWord(name), op, value, parser === 'keepEmpty')
      if (regex === undefined) return
      const stage: Stage =
        parser === 'json'
          ? { kind: 'json', extractions: [], at }
          : { kind: 'logfmt', strict: false, keepEmpty: parser === 'keepEmpty', extractions: [], at }
      const run = compileStages([stage, { kind: 'label', filter: { kind: 'number', name, op, value, at }, at }])
      const entry = new WorkingEntry()
      entry.begin(0n, line, new Map(), new Map())
      const passes = run(entry)
      // What the store asks beside the expression.
      const kept =
        RE2JS.compile(regex).matcher(line).find() || !line.isWellFormed() || (parser === 'json' && line.includes('\\u'))
      if (passes) expect(kept, `${regex} on ${JSON.stringify(line)}`).toBe(true)
      if (passes) reached.passed++
      else kept ? reached.failedButKept++ : reached.failedAndLeftOut++
      if (passes && entry.error !== '') reached.unreadable++
    }),
    { numRuns: 6000 },
  )
})

test.for([
  [
    '>=',
    500,
    ['{"status":200}', '{"status": 404, "x":1}', '{"a":{"status":499}}', '{"msg":"status 500"}', '{"status":99}'],
  ],
  ['>', 500, ['{"status":500}', '{"status":7 }']],
  ['<', 500, ['{"status":500}', '{"status":12345}', '{"status":999,"x":1}']],
  ['<=', 500, ['{"status":501}', '{"status":600}']],
  ['=', 500, ['{"status":501}', '{"status":50}', '{"status":5000}']],
] as const)('numbers that are not %s %d are told without their lines being read', ([op, value, lines]) => {
  const regex = RE2JS.compile(jsonNumberRegex('status', op, value)!)
  for (const line of lines) expect(regex.matcher(line).find(), line).toBe(false)
})

test.for([
  ['>=', 500, ['status=200', 'a=1 status=404 b=2', 'xstatus=7', 'msg="the status" x=1']],
  ['<', 500, ['status=500', 'status=5000 x=1']],
] as const)('so are they in logfmt, not %s %d', ([op, value, lines]) => {
  const regex = RE2JS.compile(logfmtNumberRegex('status', op, value, false)!)
  for (const line of lines) expect(regex.matcher(line).find(), line).toBe(false)
})
