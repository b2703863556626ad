import { expect, test } from 'vitest'
import { ParameterError, parseTime, readDirection, readInterval, readLimit, readStep, readTimeRange } from './params.ts'

test.for([
  ['1700000000', 1_700_000_000_000_000_000n],
  ['4000000000', 4_000_000_000_000_000_000n],
  ['0', 0n],
  ['1700000000123456789', 1_700_000_000_123_456_789n],
  ['17000000001', 17_000_000_001n],
  ['1700000000.5', 1_700_000_000_500_000_000n],
  ['1700000000.1236', 1_700_000_000_124_000_000n],
  ['2023-11-14T22:13:20Z', 1_700_000_000_000_000_000n],
  ['2023-11-14T22:13:20.123456789Z', 1_700_000_000_123_456_789n],
  ['2023-11-14T23:13:20.5+01:00', 1_700_000_000_500_000_000n],
  ['9223372036854775807', 9_223_372_036_854_775_807n],
] as const)('the time %s is %s ns', ([text, expected]) => expect(parseTime(text)).toBe(expected))

test.for([
  ...['', 'now', '1e9', '.', '2023-11-14', '2023-13-14T22:13:20Z', '2023-02-30T00:00:00Z', '2023-11-14T24:00:00Z'],
  ...['9223372036854775808', "1'; DROP TABLE logs"],
])('the time %j is refused', (text) => expect(() => parseTime(text)).toThrowError(ParameterError))

const now = 1_700_000_000_000_000_000n
const hour = 3_600_000_000_000n

test.for([
  ['', now - hour, now],
  ['since=30m', now - hour / 2n, now],
  ['since=60', now - hour / 60n, now],
  ['end=1600000000', 1_600_000_000_000_000_000n - hour, 1_600_000_000_000_000_000n],
  ['end=1800000000', now - hour, 1_800_000_000_000_000_000n],
  ['start=1&end=2&since=5m', 1_000_000_000n, 2_000_000_000n],
] as const)('%s means a range', ([query, start, end]) =>
  expect(readTimeRange(new URLSearchParams(query), now)).toEqual({ start, end }),
)

test.for([
  ['start=abc', `could not parse 'start' parameter: strconv.ParseInt: parsing "abc": invalid syntax`],
  [
    'end=9223372036854775808',
    `could not parse 'end' parameter: strconv.ParseInt: parsing "9223372036854775808": value out of range`,
  ],
  ['since=-1h', `could not parse 'since' parameter: not a valid duration string: "-1h"`],
] as const)('%s is refused in the words of Loki', ([query, message]) =>
  expect(() => readTimeRange(new URLSearchParams(query), now)).toThrowError(message),
)

test.for([
  ['', 1_000_000_000n, 14n],
  ['', 14_000_000_000n, 3600n],
  ['step=0.5', 500_000_000n, 60n],
  ['step=1500ms', 1_500_000_000n, 60n],
  ['step=1h30m', 5_400_000_000_000n, 60n],
] as const)('%s is a step of %s ns over %s s', ([query, step, seconds]) =>
  expect(readStep(new URLSearchParams(query), { start: now, end: now + seconds * 1_000_000_000n })).toBe(step),
)

test.for([
  ['step=0', 'zero or negative query resolution step widths are not accepted. Try a positive integer'],
  ['step=-1', 'zero or negative query resolution step widths are not accepted. Try a positive integer'],
  [
    'step=1ms',
    'exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter',
  ],
  ['step=x', 'cannot parse "x" to a valid duration'],
  ['step=NaN', 'zero or negative query resolution step widths are not accepted. Try a positive integer'],
  ['step=-Inf', 'cannot parse "-Inf" to a valid duration. It overflows int64'],
  ['step=1e400', 'cannot parse "1e400" to a valid duration'],
  ['step=1e300', 'cannot parse "1e300" to a valid duration. It overflows int64'],
] as const)('%s is refused', ([query, message]) =>
  expect(() => readStep(new URLSearchParams(query), { start: now, end: now + hour })).toThrowError(message),
)

test('limit, direction and interval have defaults and bounds', () => {
  const of = (query: string) => new URLSearchParams(query)
  expect([readLimit(of('')), readLimit(of('limit=7'))]).toEqual([100, 7])
  expect(() => readLimit(of('limit=0'))).toThrowError('limit must be a positive value')
  expect(() => readLimit(of('limit=-3'))).toThrowError('limit must be a positive value')
  expect(() => readLimit(of('limit=x'))).toThrowError('strconv.Atoi: parsing "x": invalid syntax')
  expect([readDirection(of('')), readDirection(of('direction=FORWARD'))]).toEqual(['backward', 'forward'])
  expect(() => readDirection(of('direction=up'))).toThrowError("invalid direction 'up'")
  expect([readInterval(of('')), readInterval(of('interval=2s'))]).toEqual([0n, 2_000_000_000n])
  expect(() => readInterval(of('interval=-1'))).toThrowError('interval must be >= 0')
})
