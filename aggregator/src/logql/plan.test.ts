import { expect, test } from 'vitest'
import { NotEvaluatedError } from './error.ts'
import { slices } from './logs.ts'
import { parseQuery } from './parser.ts'
import { plan } from './plan.ts'

test.for([
  ['{a="b"} | json', '| json', 9],
  ['{a="b"} |= "x" | logfmt', '| logfmt', 16],
  ['{a="b"} | regexp "(?P<x>y)"', '| regexp', 9],
  ['{a="b"} | pattern "<x>"', '| pattern', 9],
  ['{a="b"} | unpack', '| unpack', 9],
  ['{a="b"} | line_format "x"', '| line_format', 9],
  ['{a="b"} | label_format x=y', '| label_format', 9],
  ['{a="b"} | keep x', '| keep', 9],
  ['{a="b"} | decolorize', '| decolorize', 9],
  ['{a="b"} |> "x"', '|>', 9],
  ['{a="b"} != ip("1.1.1.1")', '!= ip(…)', 9],
  ['{a="b"} | x="1" and y > 5', '| y > <number>', 21],
  ['{a="b"} | x > 5s', '| x > <duration>', 11],
  ['{a="b"} | x > 5KB', '| x > <bytes>', 11],
  ['{a="b"} | x=ip("1.1.1.1")', '| x = <ip>', 11],
  ['{a="b"} |= "\\xff"', 'a string with bytes that are not UTF-8', 9],
  ['{a="\\xff"}', 'a string with bytes that are not UTF-8', 1],
  ['rate({a="b"} | unwrap x [1m])', '| unwrap', 14],
  ['absent_over_time({a="b"}[1m])', 'absent_over_time', 1],
  ['sum(max_over_time({a="b"} | unwrap x [1m]))', 'max_over_time', 5],
  ['topk(3, rate({a="b"}[1m]))', 'topk', 1],
  ['stddev(rate({a="b"}[1m]))', 'stddev', 1],
  ['vector(1) or vector(2)', 'or', 11],
  ['vector(1) + on () vector(2)', 'on', 11],
  ['vector(1) + ignoring () group_left vector(2)', 'group_left', 11],
  ['label_replace(vector(1), "x", "", "", "")', 'label_replace', 1],
] as const)('%s is not evaluated yet: %s', ([query, construct, column]) => {
  const error = new NotEvaluatedError(construct, { line: 1, column })
  expect(() => plan(parseQuery(query))).toThrowError(error.message)
})

test('counts are added up in the store when a sum needs only some labels', () => {
  const keysOf = (query: string) => (plan(parseQuery(query)) as { inner: { keys?: readonly string[] } }).inner.keys
  expect(keysOf('sum(rate({a="b"}[1m]))')).toEqual([])
  expect(keysOf('sum by (x, y, x) (rate({a="b"}[1m]))')).toEqual(['x', 'y'])
  expect(keysOf('sum without (x) (rate({a="b"}[1m]))')).toBeUndefined()
  expect(keysOf('max by (x) (rate({a="b"}[1m]))')).toBeUndefined()
})

test('slices tile a stretch of time in the order in which entries are wanted, and grow', () => {
  const [first, last] = [1_000n, 100_000_000_000_000n]
  const forward = [...slices(first, last, 'forward')]
  const backward = [...slices(first, last, 'backward')]
  expect([forward[0]!.first, forward.at(-1)!.last]).toEqual([first, last])
  expect([backward[0]!.last, backward.at(-1)!.first]).toEqual([last, first])
  for (let i = 1; i < forward.length; i++) expect(forward[i]!.first).toBe(forward[i - 1]!.last + 1n)
  for (let i = 1; i < backward.length; i++) expect(backward[i]!.last).toBe(backward[i - 1]!.first - 1n)
  expect(forward.length).toBe(5)
  expect([...slices(5n, 5n, 'backward')]).toEqual([{ first: 5n, last: 5n }])
  expect([...slices(6n, 5n, 'backward')]).toEqual([])
})
