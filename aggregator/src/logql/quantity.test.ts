import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatDuration, parseBytes, parseGoDuration, parsePrometheusDuration } from './quantity.ts'

const second = 1_000_000_000n

test.for([
  ['0', 0n],
  ['5m', 300n * second],
  ['1h30m', 5400n * second],
  ['1y2w3d4h5m6s7ms', (365n + 14n + 3n) * 86_400n * second + 14_706n * second + 7_000_000n],
  ['1m1h', undefined],
  ['1.5h', undefined],
  ['5', undefined],
  ['', undefined],
  ['-5m', undefined],
  ['300y', undefined],
] as const)('Prometheus reads %s as %s', ([text, expected]) => expect(parsePrometheusDuration(text)).toBe(expected))

test.for([
  ['0', 0n],
  ['-1.5h', -5400n * second],
  ['1m1h', 3660n * second],
  ['.5s', second / 2n],
  ['5.s', 5n * second],
  ['1us2µs3ns', 3003n],
  ['1d', undefined],
  ['.s', undefined],
  ['', undefined],
  ['-', undefined],
] as const)('Go reads %s as %s', ([text, expected]) => expect(parseGoDuration(text)).toBe(expected))

test.for([
  ['42', 42],
  ['42B', 42],
  ['1k', 1000],
  ['1KB', 1000],
  ['1KiB', 1024],
  ['1.5 mb', 1_500_000],
  ['1,000', 1000],
  ['2Gi', 2 * 1024 ** 3],
  ['x', undefined],
  ['1XB', undefined],
  ['1..5', undefined],
] as const)('%s is a size of %s', ([text, expected]) => expect(parseBytes(text)).toBe(expected))

test('a printed duration is read back', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 18n), max: 10n ** 18n }), (duration) => {
      expect(parseGoDuration(formatDuration(duration))).toBe(duration)
    }),
  )
})
