import { expect, test } from 'vitest'
import type { QueryResult } from './api-client.ts'
import { formatEntry, formatSamples, formatTable } from './output.ts'
import { formatStatus, metric } from './status-line.ts'

const entry = {
  timestamp: '1795428000123456789',
  labels: { namespace: 'shop', pod: 'cart-1', container: 'api' },
  line: 'a "b"',
}

test.for([
  ['raw', 'a "b"'],
  ['table', '2026-11-23T10:00:00.123456789Z  shop/cart-1/api  a "b"'],
  [
    'jsonl',
    '{"timestamp":"2026-11-23T10:00:00.123456789Z","labels":{"namespace":"shop","pod":"cart-1","container":"api"},"line":"a \\"b\\""}',
  ],
] as const)('an entry as %s', ([output, expected]) => {
  expect(formatEntry(entry, output)).toBe(expected)
})

test.for([
  [
    { resultType: 'vector', result: [{ metric: { pod: 'a' }, value: [1795428000, '3'] }] },
    '2026-11-23T10:00:00.000Z  {pod="a"}  3',
  ],
  [{ resultType: 'matrix', result: [{ metric: {}, values: [[1795428000, '3']] }] }, '2026-11-23T10:00:00.000Z  {}  3'],
  [{ resultType: 'scalar', result: [1795428000, '2'] }, '2026-11-23T10:00:00.000Z  {}  2'],
] as [QueryResult, string][])('the samples of a metric, %#', ([result, expected]) => {
  expect(formatSamples(result, 'table')).toEqual([expected])
})

test('a table is as wide as its cells, numbers to the right', () => {
  const rows = [
    ['a', 5],
    ['long name', 1234],
  ]
  expect(formatTable(['name', 'n'], rows)).toEqual(['name          n', 'a             5', 'long name  1234'])
})

test('the status line tells rates, what is behind, and errors', () => {
  const before = { at: 0, read: 100, stored: 50, unread: 0, connected: true }
  const now = { at: 2000, read: 300, stored: 150, unread: 10_240, connected: true }
  expect(formatStatus(before, now, 0)).toBe(
    'lines/s: 100 in, 50 stored · 150 stored in all · 10 KiB behind · no errors',
  )
  // A restarted process counts from zero: no rate is below it.
  expect(formatStatus(now, { ...before, at: 3000, connected: false }, 2)).toBe(
    'lines/s: 0 in, 0 stored · 50 stored in all · nothing behind · 3 errors',
  )
})

test('a metric is the sum of its samples, and of no other name', () => {
  const page = '# HELP a_total x\na_total{r="1"} 2\na_total{r="2"} 3\na_total_other 9\nb 1\n'
  expect(metric(page, 'a_total')).toBe(5)
  expect(metric(page, 'none')).toBe(0)
})
