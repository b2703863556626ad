import { expect, test } from 'vitest'
import { crc32c } from './crc32c.ts'

test.for([
  ['32 bytes of zeros', Buffer.alloc(32), 0x8a9136aa],
  ['32 bytes of ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
  ['incrementing bytes', Buffer.from(Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e],
  ['decrementing bytes', Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i)), 0x113fdb5c],
  ['the check value', Buffer.from('123456789'), 0xe3069283],
] as const)('%s, as RFC 3720 has it', ([, bytes, expected]) => {
  expect(crc32c(bytes)).toBe(expected)
  expect(crc32c(bytes.subarray(5), crc32c(bytes.subarray(0, 5)))).toBe(expected)
})
