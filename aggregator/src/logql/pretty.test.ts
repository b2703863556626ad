/** Layouts by the rules of Loki's formatter (pkg/logql/syntax, String and Pretty), written out by hand. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseQuery } from './parser.ts'
import { pretty } from './pretty.ts'
import { anyExpression, withoutPositions } from './random-query.ts'

const wide = '{namespace="production", app="checkout", container="server"}'
const text60 = 'x'.repeat(60)

test.for([
  ['{ app = "web" , pod=~"a.*" }', '{app="web", pod=~"a.*"}'],
  ['{app="web"}|="x"!="y"|~"z"', '{app="web"} |= "x" != "y" |~ "z"'],
  ['{app="web"} |= "a" or "b" |= ip("10.0.0.0/8")', '{app="web"} |= "a" or "b" |= ip("10.0.0.0/8")'],
  ['{app="web"}|json|status>=500', '{app="web"} | json | status>=500'],
  ['{app="web"}|json|status=500', '{app="web"} | json | status==500'],
  ['1+2*3', '7'],
  ['vector(1)*2^3', '(vector(1.000000) * 8)'],
  [
    'sum_over_time({a="b"}|x=~"c|d"|unwrap y|z=~"c|d"[1m])',
    'sum_over_time({a="b"} | x=~"c|d" | unwrap y | z=~`c|d`[1m])',
  ],
  ['{app="web"}|json|took>1h', '{app="web"} | json | took>1h0m0s'],
  ['{app="web"}|json|took<1500us', '{app="web"} | json | took<1.5ms'],
  ['{app="web"}|json|size>20MB', '{app="web"} | json | size>20MB'],
  ['{app="web"}|json|size>1500', '{app="web"} | json | size>1500'],
  ['{app="web"}|json|size>1KiB', '{app="web"} | json | size>1024B'],
  ['{app="web"}|json|size>1.5KB', '{app="web"} | json | size>1.5kB'],
  ['{app="web"}|json|a="1" and b="2"', '{app="web"} | json | ( a="1" , b="2" )'],
  ['{app="web"}|json|a="1",b="2"or c="3"', '{app="web"} | json | ( a="1" , ( b="2" or c="3" ) )'],
  ['{app="web"}|json|a=~"b|c"|d=~"[0-9]+"', '{app="web"} | json | a=~"b|c" | d=~`[0-9]+`'],
  ['{app="web"}|json|a=ip("10.0.0.1")', '{app="web"} | json | a=ip("10.0.0.1")'],
  ['{app="web"}|json a="b.c", d', '{app="web"} | json a="b.c",d="d"'],
  ['{app="web"}|logfmt --strict --keep-empty a="b"', '{app="web"} | logfmt --strict --keep-empty a="b"'],
  ['{app="web"}|regexp `(?P<a>\\d)`', '{app="web"} | regexp "(?P<a>\\\\d)"'],
  ['{app="web"}|drop a, b="c"|keep d', '{app="web"} | drop a,b="c" | keep d'],
  ['{app="web"}|label_format a=b, c=`{{.d}}`', '{app="web"} | label_format a=b,c="{{.d}}"'],
  ['rate ( {app="web"} [5m] )', 'rate({app="web"}[5m])'],
  ['rate({app="web"}[60m] offset 1h)', 'rate({app="web"}[1h] offset 1h0m0s)'],
  ['rate({app="web"}[24h])', 'rate({app="web"}[1d])'],
  ['rate({app="web"}[7d])', 'rate({app="web"}[1w])'],
  ['rate({app="web"}[90m])', 'rate({app="web"}[1h30m])'],
  [
    'quantile_over_time(0.99, {app="web"}|json|unwrap duration(took)|__error__=""[1m]) by (a, b)',
    'quantile_over_time(0.99,{app="web"} | json | unwrap duration(took) | __error__=""[1m]) by (a,b)',
  ],
  ['sum(rate({app="web"}[5m])) by (a, b)', 'sum by (a,b)(rate({app="web"}[5m]))'],
  ['sum by () (rate({app="web"}[5m]))', 'sum(rate({app="web"}[5m]))'],
  ['sum without () (rate({app="web"}[5m]))', 'sum without ()(rate({app="web"}[5m]))'],
  ['topk(5, rate({app="web"}[5m]))', 'topk(5,rate({app="web"}[5m]))'],
  ['rate({a="b"}[1m]) + rate({a="c"}[1m]) * 2', '(rate({a="b"}[1m]) + (rate({a="c"}[1m]) * 2))'],
  ['rate({a="b"}[1m]) > bool 1', '(rate({a="b"}[1m]) > bool 1)'],
  [
    'rate({a="b"}[1m]) * on(x, y) group_left(z) rate({a="c"}[1m])',
    '(rate({a="b"}[1m]) * on (x,y) group_left (z) rate({a="c"}[1m]))',
  ],
  ['rate({a="b"}[1m]) * on(x) rate({a="c"}[1m])', '(rate({a="b"}[1m]) * on (x)  rate({a="c"}[1m]))'],
  ['1000000', '1e+06'],
  ['vector(5)', 'vector(5.000000)'],
  ['label_replace(rate({a="b"}[1m]), "x", "$1", "a", "(.*)")', 'label_replace(rate({a="b"}[1m]),"x","$1","a","(.*)")'],
] as const)('%s fits on a line', ([query, expected]) => {
  expect(pretty(parseQuery(query))).toBe(expected)
})

test.for([
  [
    'each stage has a line of its own, but for line filters that are short together',
    `${wide} |= "error" != "memcached" | json | level="error" | line_format "{{.msg}}"`,
    [wide, '  |= "error" != "memcached"', '  | json', '  | level="error"', '  | line_format "{{.msg}}"'],
  ],
  [
    'line filters that are long together are broken behind the last that fits',
    `${wide} |= "a" |= "${text60}" or "b" != "${text60}" | logfmt`,
    [wide, `  |= "a" |= "${text60}" or "b"`, `  != "${text60}"`, '  | logfmt'],
  ],
  [
    'a range aggregation',
    `count_over_time(${wide} |= "error" | json | status >= 500 [1m] offset 20m)`,
    ['count_over_time(', `  ${wide} |= "error" | json | status>=500 [1m] offset 20m`, ')'],
  ],
  [
    'a parameter, an unwrap with filters, and labels',
    `quantile_over_time(0.99, ${wide} | json | unwrap response_latency_seconds | __error__="" [1m]) by (cluster, zone)`,
    [
      'quantile_over_time(',
      '  0.99,',
      `  ${wide} | json`,
      '    | unwrap response_latency_seconds',
      '    | __error__="" [1m]',
      ') by (cluster, zone)',
    ],
  ],
  [
    'a vector aggregation around what fits',
    `topk by (pod, zone) (10, sum by (pod, zone) (rate(${wide} |= "error" [5m])))`,
    ['topk by (pod, zone)(', '  10,', `  sum by (pod,zone)(rate(${wide} |= "error"[5m]))`, ')'],
  ],
  [
    'operands that fit are in brackets as on one line',
    `sum(rate(${wide}[5m])) - 1 + sum(rate({namespace="staging"}[5m])) / 2`,
    [`  (sum(rate(${wide}[5m])) - 1)`, '+', '  (sum(rate({namespace="staging"}[5m])) / 2)'],
  ],
  [
    'long operands are not, where the operators say it',
    `sum(rate(${wide}[5m])) / sum(rate(${wide} |= "b" [5m])) + sum(rate({namespace="staging"}[5m]))`,
    [
      `    sum(rate(${wide}[5m]))`,
      '  /',
      `    sum(rate(${wide} |= "b"[5m]))`,
      '+',
      '  sum(rate({namespace="staging"}[5m]))',
    ],
  ],
  [
    'and are where they do not',
    `(sum(rate(${wide}[5m])) + sum(rate(${wide} |= "b" [5m]))) / sum(rate({namespace="staging"}[5m]))`,
    [
      '  (',
      `      sum(rate(${wide}[5m]))`,
      '    +',
      `      sum(rate(${wide} |= "b"[5m]))`,
      '  )',
      '/',
      '  sum(rate({namespace="staging"}[5m]))',
    ],
  ],
  [
    'what is matched stands beside the operator',
    `sum by (a) (rate(${wide}[5m])) * on(instance, job) group_left(node) sum by (a) (rate({namespace="staging"}[5m]))`,
    [
      `  sum by (a)(rate(${wide}[5m]))`,
      '* on (instance, job) group_left (node)',
      '  sum by (a)(rate({namespace="staging"}[5m]))',
    ],
  ],
  [
    'label_replace',
    `label_replace(rate(${wide} |= "err" [5m]), "foo", "$1", "service", "(.*):.*")`,
    ['label_replace(', `  rate(${wide} |= "err"[5m]),`, '  "foo",', '  "$1",', '  "service",', '  "(.*):.*"', ')'],
  ],
] as const)('%s', ([, query, expected]) => {
  expect(pretty(parseQuery(query))).toBe(expected.join('\n'))
})

/** What means the same: `by ()` around a vector, and matching that ignores nothing. */
function normalized(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normalized)
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value).map(([key, item]) => [key, normalized(item)] as const)
  const node: Record<string, unknown> = Object.fromEntries(entries)
  const grouping = node['grouping'] as { without: boolean; labels: string[] } | undefined
  if (node['kind'] === 'vector aggregation' && grouping?.without === false && grouping.labels.length === 0)
    delete node['grouping']
  return node
}

test('what is laid out parses to the same query, and laid out again it stays', () => {
  const reached = { short: 0, long: 0, brackets: 0 }
  fc.assert(
    fc.property(anyExpression, (expression) => {
      const layout = pretty(expression)
      const parsed = parseQuery(layout)
      expect(normalized(withoutPositions(parsed)), layout).toEqual(normalized(expression))
      expect(pretty(parsed)).toBe(layout)
      layout.includes('\n') ? reached.long++ : reached.short++
      if (/^ *\($/m.test(layout)) reached.brackets++
    }),
    { numRuns: 1500 },
  )
  for (const [what, count] of Object.entries(reached)) expect(count, `never reached: ${what}`).toBeGreaterThan(0)
})
