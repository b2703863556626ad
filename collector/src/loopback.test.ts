import { expect, test } from 'vitest'
import { isLoopback } from './loopback.ts'

test.for([
  ['127.0.0.1', true],
  ['127.1.2.3', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['localhost', true],
  ['0.0.0.0', false],
  ['10.0.0.1', false],
  ['::ffff:10.0.0.1', false],
  ['127.0.0.1.example.org', false],
  [undefined, false],
] as const)('%s: %s', ([address, expected]) => expect(isLoopback(address)).toBe(expected))
