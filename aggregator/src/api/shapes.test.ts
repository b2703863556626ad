import { expect, test } from 'vitest'
import { labelsFrom } from '../logql/labels.ts'
import { formatSeconds, formatValue, labelsJson, streamsJson, tailJson } from './shapes.ts'

test.for([
  [0, '0'],
  [-0, '-0'],
  [1.5, '1.5'],
  [1e21, '1000000000000000000000'],
  [1.25e22, '12500000000000000000000'],
  [1e-7, '0.0000001'],
  [-1.5e-9, '-0.0000000015'],
  [0.1 + 0.2, '0.30000000000000004'],
  [Number.NaN, 'NaN'],
  [Number.POSITIVE_INFINITY, '+Inf'],
  [Number.NEGATIVE_INFINITY, '-Inf'],
] as const)('%s is printed as %s', ([value, expected]) => expect(formatValue(value)).toBe(expected))

test.for([
  [1_700_000_000_000_000_000n, '1700000000'],
  [1_700_000_060_500_000_000n, '1700000060.5'],
  [1_700_000_060_123_999_999n, '1700000060.123'],
  [-1n, '-0.001'],
] as const)('%s ns are %s s', ([nanoseconds, expected]) => expect(formatSeconds(nanoseconds)).toBe(expected))

test('label names stay in order and are escaped, whatever they are', () => {
  const labels = labelsFrom([
    ['b', 'x"y'],
    ['__proto__', 'z'],
    ['10', 'n'],
    ['empty', ''],
  ])
  expect(labelsJson(labels)).toBe('{"10":"n","__proto__":"z","b":"x\\"y"}')
})

const entry = (time: string, stream: [string, string][], metadata: [string, string][]) => ({
  time,
  line: `at ${time}`,
  labels: { stream: labelsFrom(stream), metadata: labelsFrom(metadata), parsed: labelsFrom([]) },
})

test('entries are grouped by their final labels, metadata apart only on request', () => {
  const entries = [entry('3', [['a', 'y']], []), entry('2', [['a', 'x']], [['m', '1']]), entry('1', [['a', 'x']], [])]
  expect(streamsJson(entries, false)).toBe(
    '"resultType":"streams","result":[{"stream":{"a":"x","m":"1"},"values":[["2","at 2"]]},{"stream":{"a":"x"},"values":[["1","at 1"]]},{"stream":{"a":"y"},"values":[["3","at 3"]]}]',
  )
  expect(streamsJson(entries, true)).toBe(
    '"resultType":"streams","encodingFlags":["categorize-labels"],"result":[{"stream":{"a":"x"},"values":[["2","at 2",{"structuredMetadata":{"m":"1"}}],["1","at 1",{}]]},{"stream":{"a":"y"},"values":[["3","at 3",{}]]}]',
  )
})

test('a frame of live tail has its entries in the order in which they came, whatever their streams', () => {
  const x: [string, string][] = [['a', 'x']]
  const entries = [entry('1', x, []), entry('2', [['a', 'y']], []), entry('3', x, []), entry('4', x, [['m', '1']])]
  expect(tailJson(entries, [], false)).toBe(
    '{"streams":[{"stream":{"a":"x"},"values":[["1","at 1"]]},{"stream":{"a":"y"},"values":[["2","at 2"]]},{"stream":{"a":"x"},"values":[["3","at 3"]]},{"stream":{"a":"x","m":"1"},"values":[["4","at 4"]]}]}',
  )
  expect(JSON.parse(tailJson(entries, [], true)).streams).toEqual([
    { stream: { a: 'x' }, values: [['1', 'at 1', {}]] },
    { stream: { a: 'y' }, values: [['2', 'at 2', {}]] },
    {
      stream: { a: 'x' },
      values: [
        ['3', 'at 3', {}],
        ['4', 'at 4', { structuredMetadata: { m: '1' } }],
      ],
    },
  ])
})
