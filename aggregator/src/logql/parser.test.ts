import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Expression, LabelFilter } from './ast.ts'
import { LogqlError } from './error.ts'
import { parseQuery, parseSelectorQuery } from './parser.ts'
import { print } from './print.ts'
import { anyExpression, withoutPositions } from './random-query.ts'

/** The tree in brackets: how operators were grouped, whatever the spacing. */
const canonical = (text: string): string => print(parseQuery(text))

test.for([
  ['{a="b"}', '{a="b"}'],
  ['{ a = "b" , c!~`d\\d` }', '{a="b", c!~"d\\\\d"}'],
  ['({a="b"})', '{a="b"}'],
  ['{a="b"} |= "x" != `y` |~ "z" !~ "w"', '{a="b"} |= "x" != "y" |~ "z" !~ "w"'],
  ['{a="b"} |> "<_> x" !> "y <_>"', '{a="b"} |> "<_> x" !> "y <_>"'],
  ['{a="b"} |= "x" or "y" or ip("10.0.0.0/8") | json', '{a="b"} |= "x" or "y" or ip("10.0.0.0/8") | json'],
  ['{a="b"} != ip("1.2.3.4-1.2.3.9")', '{a="b"} != ip("1.2.3.4-1.2.3.9")'],
  ['{a="b"}|json x="y.z[0]", w|x="1"', '{a="b"} | json x="y.z[0]", w="w" | x="1"'],
  ['{a="b"} | logfmt --strict --keep-empty x, y="z"', '{a="b"} | logfmt --strict --keep-empty x="x", y="z"'],
  [
    '{a="b"} | regexp "(?P<m>\\\\w+)" | pattern "<p> - <_>" | unpack | decolorize',
    '{a="b"} | regexp "(?P<m>\\\\w+)" | pattern "<p> - <_>" | unpack | decolorize',
  ],
  [
    '{a="b"} | line_format "{{.x}}" | label_format a=b, c="{{.d}}"',
    '{a="b"} | line_format "{{.x}}" | label_format a=b, c="{{.d}}"',
  ],
  ['{a="b"} | drop x, y="1", __error__ | keep z=~"q.*"', '{a="b"} | drop x, y="1", __error__ | keep z=~"q.*"'],
  ['{a="b"} | x="1", y="2" or z="3"', '{a="b"} | (x="1" and (y="2" or z="3"))'],
  ['{a="b"} | x="1" or y="2" and z="3"', '{a="b"} | (x="1" or (y="2" and z="3"))'],
  ['{a="b"} | x="1" and y="2" or z="3"', '{a="b"} | ((x="1" and y="2") or z="3")'],
  ['{a="b"} | x="1" y="2" z="3"', '{a="b"} | (x="1" and (y="2" and z="3"))'],
  ['{a="b"} | (x="1" or y="2") z="3"', '{a="b"} | ((x="1" or y="2") and z="3")'],
  [
    '{a="b"} | x>1 and y>=1.5 and z<-2 and w<=3 and v==4 and u!=5 and t=6',
    '{a="b"} | ((((((x>1 and y>=1.5) and z<-2) and w<=3) and v=4) and u!=5) and t=6)',
  ],
  [
    '{a="b"} | x>5m and y<=1.5h and z=10KB and w==1d and v>1KiB',
    '{a="b"} | ((((x>5m and y<=1h30m) and z=10000B) and w=24h) and v>1024B)',
  ],
  ['{a="b"} | x = ip("::1") and y != ip("10.0.0.1")', '{a="b"} | (x=ip("::1") and y!=ip("10.0.0.1"))'],
  ['rate({a="b"}[5m])', 'rate({a="b"} [5m])'],
  ['SUM(RATE({a="b"}[5m]))', 'sum(rate({a="b"} [5m]))'],
  ['sum by (x,y) (rate({a="b"}[1h30m]))', 'sum by (x, y)(rate({a="b"} [1h30m]))'],
  ['sum(rate({a="b"}[1m])) without (x)', 'sum without (x)(rate({a="b"} [1m]))'],
  ['sum by () (rate({a="b"}[1m]))', 'sum by ()(rate({a="b"} [1m]))'],
  ['topk(3, rate({a="b"}[1m])) by (x)', 'topk by (x)(3, rate({a="b"} [1m]))'],
  ['count_over_time({a="b"} |= "x" [1m] offset 5m)', 'count_over_time({a="b"} |= "x" [1m] offset 5m)'],
  ['count_over_time({a="b"}[1m] offset -5m)', 'count_over_time({a="b"} [1m] offset -5m)'],
  ['count_over_time({a="b"}[1m] |= "x")', 'count_over_time({a="b"} |= "x" [1m])'],
  ['count_over_time(({a="b"} |= "x")[1m])', 'count_over_time({a="b"} |= "x" [1m])'],
  ['count_over_time(({a="b"} |= "x" [1m]))', 'count_over_time({a="b"} |= "x" [1m])'],
  ['sum_over_time({a="b"} | json | unwrap x [1m])', 'sum_over_time({a="b"} | json | unwrap x [1m])'],
  ['sum_over_time({a="b"}[1m] | unwrap bytes(x))', 'sum_over_time({a="b"} | unwrap bytes(x) [1m])'],
  [
    'max_over_time({a="b"} | unwrap duration(x) | __error__="" [1m]) by (y)',
    'max_over_time({a="b"} | unwrap duration(x) | __error__="" [1m]) by (y)',
  ],
  [
    'avg_over_time({a="b"} | unwrap duration_seconds(x)[5m] offset 1m)',
    'avg_over_time({a="b"} | unwrap duration_seconds(x) [5m] offset 1m)',
  ],
  [
    'quantile_over_time(0.99, {a="b"} | unwrap x [1m]) without (y)',
    'quantile_over_time(0.99, {a="b"} | unwrap x [1m]) without (y)',
  ],
  ['vector(1) + vector(2) * vector(3)', 'vector(1) + (vector(2) * vector(3))'],
  ['vector(1) - 2 - 3', '(vector(1) - 2) - 3'],
  ['vector(2) ^ vector(3) ^ 2', 'vector(2) ^ (vector(3) ^ 2)'],
  ['-2 ^ vector(2)', '-2 ^ vector(2)'],
  ['vector(2) - -2', 'vector(2) - -2'],
  ['(1 + vector(2)) * 3', '(1 + vector(2)) * 3'],
  // What is said of numbers alone is worked out.
  ['1 + 2 * 3', '7'],
  ['1 - 2 - 3', '-4'],
  ['2 ^ 3 ^ 2', '512'],
  ['-2 ^ 2', '4'],
  ['(1 + 2) * 3', '9'],
  ['1 > bool 2 == 3', '0'],
  ['vector(1) * 2 ^ 3', 'vector(1) * 8'],
  [
    'vector(1) or vector(2) and vector(3) unless vector(4)',
    'vector(1) or ((vector(2) and vector(3)) unless vector(4))',
  ],
  ['vector(1) > bool 2 == 3', '(vector(1) > bool 2) == 3'],
  ['vector(1)+vector(1)', 'vector(1) + vector(1)'],
  ['vector(1) * on (a,b) group_left (c) vector(2)', 'vector(1) * on (a, b) group_left (c) vector(2)'],
  ['vector(1) / ignoring () group_right vector(2)', 'vector(1) / ignoring () group_right () vector(2)'],
  [
    'label_replace(rate({a="b"}[1m]), "x", "$1", "y", "(.*)")',
    'label_replace(rate({a="b"} [1m]), "x", "$1", "y", "(.*)")',
  ],
  ['{a="b"} # all of it\n|= "x" // and\n/* but\nnot */ != "y"', '{a="b"} |= "x" != "y"'],
  ['{größe="b", _x1="c"}', '{größe="b", _x1="c"}'],
  ['{rate="b"} | sum="1" | by_x="2"', '{rate="b"} | sum="1" | by_x="2"'],
  ['{a="\\u00e9\\t\\"\\x41\\101"}', '{a="é\\t\\"AA"}'],
  ['{a="b"} |= "\\xff"', '{a="b"} |= "\\xff"'],
  ['vector(1e3) + .5 + 1_000', '(vector(1000) + 0.5) + 1000'],
] as const)('%s is %s', ([text, expected]) => {
  expect(canonical(text)).toBe(expected)
  expect(canonical(expected)).toBe(expected)
})

const impossible =
  'parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~".*" does not meet this requirement, but app=~".+" will'

test.for([
  ['', 'parse error : syntax error: unexpected $end'],
  [' ', 'parse error at line 1, col 2: syntax error: unexpected $end'],
  ['{', 'parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }'],
  ['{a="b"', 'parse error at line 1, col 7: syntax error: unexpected $end, expecting } or ,'],
  ['{a=b}', 'parse error at line 1, col 4: syntax error: unexpected IDENTIFIER, expecting STRING'],
  ['vector(1) label_replace (a)', 'parse error at line 1, col 11: syntax error: unexpected label_replace'],
  ["{a='b'}", 'parse error at line 1, col 4: syntax error: unexpected IDENTIFIER, expecting STRING'],
  ['{a!b}', 'parse error at line 1, col 3: syntax error: unexpected IDENTIFIER, expecting = or =~ or !~ or !='],
  ['{a=~=~"b"}', 'parse error at line 0, col 5: syntax error: unexpected =~, expecting STRING'],
  ['{a="b"} |', 'parse error at line 1, col 10: syntax error: unexpected $end'],
  ['{a="b"} | json |', 'parse error at line 1, col 17: syntax error: unexpected $end'],
  ['{a="b"} | x=', 'parse error at line 1, col 13: syntax error: unexpected $end'],
  ['{a="b"} | x>"1"', 'parse error at line 1, col 13: syntax error: unexpected STRING'],
  ['{a="b"} | x > duration(y)', 'parse error at line 1, col 15: syntax error: unexpected DURATION_CONV'],
  ['{a="b"} | x="y" or', 'parse error at line 1, col 19: syntax error: unexpected $end, expecting IDENTIFIER or ('],
  ['{a="b"} | (x="y"', 'parse error at line 1, col 17: syntax error: unexpected $end'],
  ['{a="b"} |= |= "x"', 'parse error at line 0, col 12: syntax error: unexpected |=, expecting STRING or ip'],
  ['sum by (', 'parse error at line 1, col 9: syntax error: unexpected $end, expecting IDENTIFIER or )'],
  ['sum by (x', 'parse error at line 1, col 10: syntax error: unexpected $end, expecting , or )'],
  ['sum(rate({a="b"}[1m])', 'parse error at line 1, col 22: syntax error: unexpected $end'],
  ['(1', 'parse error at line 1, col 3: syntax error: unexpected $end'],
  ['topk(1 rate({a="b"}[1m]))', 'parse error at line 1, col 8: syntax error: unexpected RATE'],
  ['rate(1)', 'parse error at line 1, col 7: syntax error: unexpected ), expecting ,'],
  ['rate((', 'parse error at line 1, col 7: syntax error: unexpected $end, expecting { or ('],
  ['rate({a="b"} | unwrap x', 'parse error at line 1, col 24: syntax error: unexpected $end, expecting RANGE or |'],
  [
    'rate({a="b"} | unwrap x | json [1m])',
    'parse error at line 1, col 27: syntax error: unexpected json, expecting IDENTIFIER or (',
  ],
  [
    'rate({a="b"} | unwrap',
    'parse error at line 1, col 22: syntax error: unexpected $end, expecting IDENTIFIER or BYTES_CONV or DURATION_CONV or DURATION_SECONDS_CONV',
  ],
  // What is wrong further on does not hide it.
  [
    'max_over_time(rate({a="b"}[1m])[5m:1m])',
    'parse error at line 1, col 15: syntax error: unexpected RATE, expecting NUMBER or { or (',
  ],
  ['{a="b"} |=', 'parse error at line 1, col 11: syntax error: unexpected $end, expecting STRING or ip'],
  ['{a="b"}\n\n  | bogus stage', 'parse error at line 3, col 11: syntax error: unexpected IDENTIFIER'],
  ['{a="𝒳"} 5', 'parse error at line 1, col 9: syntax error: unexpected NUMBER'],
  ['{by="b"}', 'parse error at line 1, col 2: syntax error: unexpected by, expecting IDENTIFIER or }'],
  ['{a="b', 'parse error at line 1, col 4: literal not terminated'],
  ['{a="\\q"}', 'parse error at line 1, col 4: invalid char escape'],
  ['{a="\\400"}', 'parse error at line 1, col 4: invalid syntax'],
  ['rate({a="b"}[5minutes])', 'parse error at line 0, col 13: unknown unit "minutes" in duration "5minutes"'],
  ['rate({a="b"}[5m', "parse error at line 0, col 13: missing closing ']' in duration"],
  ['rate({a="b"}[])', 'parse error at line 0, col 13: empty duration string'],
  ['rate({a="b"}[1.5h])', 'parse error at line 0, col 13: unknown unit "." in duration "1.5h"'],
  ['rate({a="b"})', 'parse error at line 1, col 13: syntax error: unexpected )'],
  ['sum({a="b"})', 'parse error at line 1, col 12: syntax error: unexpected )'],
  ['{a="b"} | unwrap x', 'parse error at line 1, col 11: syntax error: unexpected unwrap'],
  ['1 +', 'parse error at line 1, col 4: syntax error: unexpected $end'],
  ['- rate({a="b"}[1m])', 'parse error at line 1, col 3: syntax error: unexpected RATE, expecting NUMBER'],
  ['rate({a="b"}[1m]) @ 5', 'parse error at line 1, col 19: syntax error: unexpected IDENTIFIER'],
  ['{a="b"} /* x', 'parse error at line 1, col 9: comment not terminated'],
  ['{}', impossible],
  ['{a=""}', impossible],
  ['{a!="b"}', impossible],
  ['{a=~".*"}', impossible],
  ['{a!~".+"}', impossible],
  ['sum(rate({a=~"x?"}[1m]))', impossible],
  ['{a=~"[b"}', 'parse error : error parsing regexp: missing closing ]: `[b`'],
  ['{a=~"b)|(c"}', 'parse error : error parsing regexp: unexpected ): `b)|(c`'],
  [
    '{a="b"} |~ "*"',
    `parse error : stage '|~ "*"' : error parsing regexp: missing argument to repetition operator: \`*\``,
  ],
  ['{a="b"} | x=~"("', 'parse error : error parsing regexp: missing closing ): `(`'],
  ['{a="b"} | regexp "x"', 'parse error : invalid regexp parser: at least one named capture must be supplied'],
  ['{a="b"} | regexp "(?P<x>a)(?P<x>b)"', "parse error : invalid regexp parser: duplicate extracted label name 'x'"],
  [
    '{a="b"} | pattern ""',
    'parse error : invalid pattern parser: parse error at line 1, col 1: syntax error: unexpected $end, expecting IDENTIFIER or LITERAL',
  ],
  ['{a="b"} | pattern "<_>"', 'parse error : invalid pattern parser: at least one capture is required'],
  ['{a="b"} |> "<x>"', `parse error : stage '|> "<x>"' : named captures are not allowed: found '<x>'`],
  ['{a="b"} |> "<_><_>"', `parse error : stage '|> "<_><_>"' : found consecutive capture '<_><_>': invalid expression`],
  ['{a="b"} |~ ip("1.1.1.1")', `parse error : stage '|~ ip("1.1.1.1")' : ip: invalid operation`],
  ['{a="b"} |= ip("nowhere")', `parse error : stage '|= ip("nowhere")' : ip: invalid pattern: "nowhere"`],
  ['{a="b"} | json x="a..b"', `parse error : stage '| json x="a..b"' : cannot parse expression [a..b]: syntax error`],
  [
    '{a="b"} | line_format "{{.x"',
    `parse error : stage '| line_format "{{.x"' : invalid line template: template: line:1: unclosed action`,
  ],
  [
    '{a="b"} | label_format x=y, x=z',
    "parse error : stage '| label_format x=y,x=z' : multiple label name 'x' not allowed in a single format operation",
  ],
  [
    '{a="b"} | label_format __error__=z',
    "parse error : stage '| label_format __error__=z' : __error__ cannot be formatted",
  ],
  ['sum_over_time({a="b"}[1m])', 'parse error : invalid aggregation sum_over_time without unwrap'],
  ['count_over_time({a="b"} | unwrap x [1m])', 'parse error : invalid aggregation count_over_time with unwrap'],
  ['rate({a="b"}[1m]) by (x)', 'parse error : grouping not allowed for rate aggregation'],
  ['quantile_over_time({a="b"} | unwrap x [1m])', 'parse error : parameter required for operation quantile_over_time'],
  ['topk(rate({a="b"}[1m]))', 'parse error : parameter required for operation topk'],
  ['topk(1.2, rate({a="b"}[1m]))', 'parse error : invalid parameter topk(1.2,'],
  ['topk(0, rate({a="b"}[1m]))', 'parse error : invalid parameter (must be greater than 0) topk(0'],
  ['sum(3, rate({a="b"}[1m]))', 'parse error : unsupported parameter for operation sum(3,'],
  ['sort(rate({a="b"}[1m])) by (x)', "parse error : sort and sort_desc doesn't allow grouping by "],
  ['{a="b"} + 1', 'parse error : unexpected type for left leg of binary operation (+): *syntax.MatchersExpr'],
  ['1 + {a="b"} |= "x"', 'parse error : unexpected type for right leg of binary operation (+): *syntax.PipelineExpr'],
  ['1 and vector(1)', 'parse error : unexpected literal for left leg of logical/set binary operation (and): 1.000000'],
  ['min({ foo = "bar" }[5m])', 'parse error at line 0, col 20: syntax error: unexpected RANGE'],
  [
    'quantile_over_time(foo, {a="b"} | unwrap x [1m])',
    'parse error at line 1, col 20: syntax error: unexpected IDENTIFIER, expecting NUMBER or { or (',
  ],
  ['label_replace(rate({a="b"}[5m]),"")', 'parse error at line 1, col 35: syntax error: unexpected ), expecting ,'],
  [
    'label_replace(vector(1),"foo","$1","bar","^^x43\\\\q")',
    'parse error : invalid regex in label_replace: error parsing regexp: invalid escape sequence: `\\q`',
  ],
  [
    'label_replace(vector(1),"foo","$1","bar","(")',
    'parse error : invalid regex in label_replace: error parsing regexp: missing closing ): `^(?:()$`',
  ],
  ['{a="b"} | line_format "{{ nope .x }}"', 'function "nope" not defined'],
  ['{a="b"} | x=ip("y")', `parse error : stage '| x=ip("y")' : ip: invalid pattern: "y"`],
  ['{a="b"} |~ "\\xff"', 'invalid UTF-8'],
  ['label_replace(vector(1), "", "", "", "")', 'parse error : invalid destination label name in label_replace: '],
  ['{a="\0"}', 'parse error at line 1, col 4: invalid character NUL'],
  ['{a="b"} |\0', 'parse error at line 1, col 10: invalid character NUL'],
] as const)('%s → %s', ([text, expected]) => {
  expect(() => parseQuery(text)).toThrowError(expected)
})

test('a query of the size limit is refused before it is read', () => {
  expect(() => parseQuery(`{a="${'x'.repeat(131_072)}"}`)).toThrowError(
    'parse error : input size too long (131078 > 131072)',
  )
})

test.for([
  '('.repeat(60_000),
  '1+'.repeat(60_000),
  `{a="b"} | ${'x="" '.repeat(20_000)}`,
  `${'{{'.repeat(60_000)}`,
  '/*'.repeat(60_000),
])('a query made to exhaust the stack is refused (case %#)', (text) =>
  expect(() => parseQuery(text)).toThrowError(LogqlError),
)

test('a query whose regular expressions are large together is refused before long', () => {
  const heavy = `|~ "${'.{1000}'.repeat(400)}" `
  const began = performance.now()
  expect(() => parseQuery(`{a="b"} ${heavy.repeat(40)}`)).toThrowError(
    'the regular expressions of the query are too large',
  )
  expect(performance.now() - began).toBeLessThan(10_000)
  parseQuery('{a=~"b+"}')
})

test('label endpoints take a selector that selects everything, and nothing but a selector', () => {
  expect(parseSelectorQuery('{}').matchers).toEqual([])
  expect(() => parseSelectorQuery('{a="b"} |= "x"')).toThrowError(LogqlError)
})

test('what is printed parses to the same tree', () => {
  const kinds = new Set<string>()
  fc.assert(
    fc.property(anyExpression, (expression) => {
      kinds.add(expression.kind)
      const text = print(expression)
      expect(withoutPositions(parseQuery(text)), text).toEqual(expression)
    }),
    { numRuns: 1500 },
  )
  expect([...kinds].sort()).toEqual([
    'binary',
    'label_replace',
    'literal',
    'log',
    'range',
    'vector',
    'vector aggregation',
  ])
})

test('any text gives a tree or a LogqlError', () => {
  const words = fc.constantFrom(
    ...[
      '{',
      '}',
      '(',
      ')',
      '[5m]',
      '[',
      ',',
      '|',
      '|=',
      '!=',
      '=~',
      '=',
      '==',
      '>',
      '"x"',
      '`y`',
      '"',
      '\\',
      '5',
      '1.5',
      '5m',
      '10KB',
      '-',
    ],
    ...[
      'sum',
      'rate',
      'topk',
      'by',
      'without',
      'json',
      'logfmt',
      '--strict',
      'unwrap',
      'offset',
      'or',
      'and',
      'x',
      'ip',
      'drop',
      '#',
      '/*',
    ],
    ...[
      '{a="b"}',
      'vector(1)',
      'on',
      'bool',
      'label_replace',
      '\n',
      ' ',
      '+',
      '^',
      'pattern',
      '<_>',
      '{{',
      'line_format',
    ],
  )
  const text = fc.oneof(
    fc.array(words).map((list) => list.join(' ')),
    fc.array(words).map((list) => list.join('')),
    fc.string({ unit: 'binary' }),
    fc.tuple(anyExpression, fc.nat(), words).map(([tree, at, junk]) => {
      const query = print(tree)
      const cut = at % (query.length + 1)
      return query.slice(0, cut) + junk + query.slice(cut)
    }),
  )
  const seen = { parsed: 0, refused: 0 }
  fc.assert(
    fc.property(text, (query) => {
      try {
        parseQuery(query)
        seen.parsed++
      } catch (error) {
        expect(error, query).toBeInstanceOf(LogqlError)
        seen.refused++
      }
    }),
    { numRuns: 1_000_000, interruptAfterTimeLimit: 3000 },
  )
  expect(seen.parsed).toBeGreaterThan(20)
  expect(seen.refused).toBeGreaterThan(100)
})

test('filters carry the place where they stand', () => {
  const tree = parseQuery('{a="b"}\n| x="1" or y="2"') as Extract<Expression, { kind: 'log' }>
  const filter = (tree.stages[0] as { filter: LabelFilter }).filter as Extract<LabelFilter, { left: LabelFilter }>
  expect([tree.stages[0]!.at, filter.left.at, filter.at, filter.right.at]).toEqual([
    { line: 2, column: 1 },
    { line: 2, column: 3 },
    { line: 2, column: 9 },
    { line: 2, column: 12 },
  ])
})
