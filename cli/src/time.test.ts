import { expect, test } from 'vitest'
import { formatNanoseconds, parseRange, parseTime } from './time.ts'

const now = Date.UTC(2026, 10, 23, 12)

test.for([
  ['2026-11-23T10:00:00Z', BigInt(Date.UTC(2026, 10, 23, 10)) * 1_000_000n],
  ['1795428000', 1795428000n * 1_000_000_000n],
  ['1795428000123456789', 1795428000123456789n],
  ['1h30m', BigInt(now - 5_400_000) * 1_000_000n],
] as const)('%s is a time', ([text, expected]) => {
  expect(parseTime(text, now)).toBe(expected)
})

test('a time that is none is told with what to write', () => {
  expect(() => parseTime('yesterday', now)).toThrow('"yesterday" is not a time: write')
  expect(() => parseRange({ since: 'long' }, now)).toThrow('--since: "long" is not a duration')
})

test('--from goes before --since, and --to ends either', () => {
  const end = BigInt(now) * 1_000_000n
  expect(parseRange({ since: '1m' }, now)).toEqual({ start: end - 60_000_000_000n, end })
  expect(parseRange({ since: '1m', to: '10m' }, now)).toEqual({
    start: end - 660_000_000_000n,
    end: end - 600_000_000_000n,
  })
  expect(parseRange({ since: '1m', from: '2h' }, now)).toEqual({ start: end - 7_200_000_000_000n, end })
})

test('nanoseconds are kept to the last digit', () => {
  expect(formatNanoseconds('1795428000123456789')).toBe('2026-11-23T10:00:00.123456789Z')
  expect(formatNanoseconds('7')).toBe('1970-01-01T00:00:00.000000007Z')
})
