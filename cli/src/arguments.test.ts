import { InvalidArgumentError } from 'commander'
import { expect, test } from 'vitest'
import { addressText, durationText, timeText } from './arguments.ts'

test.for([
  [durationText, '1h30m'],
  [durationText, '0'],
  [timeText, '2026-01-31T10:00:00Z'],
  [timeText, '15m'],
  [timeText, '1769853600'],
  [addressText, 'http://localhost:3100'],
  [addressText, 'https://[::1]:3100/logs/'],
] as const)('%o takes %s as it is', ([check, text]) => expect(check(text)).toBe(text))

test.for([
  [durationText, 'soon'],
  [durationText, '15'],
  [timeText, 'yesterday'],
  [addressText, 'localhost:3100'],
  [addressText, 'http://'],
  [addressText, ''],
] as const)('%o refuses %s', ([check, text]) => expect(() => check(text)).toThrow(InvalidArgumentError))
