import { expect, test } from 'vitest'
import { crc32c } from './crc32c.ts'
import { decodeHead, encodeHead, headLength, maxRanges, smallestHead } from './record.ts'

const marker = Buffer.from('0123456789abcdef', 'hex')
const source = Buffer.from('00112233445566778899aabbccddeeff', 'hex')
const message = Buffer.from('hello')

test('a head is what the format says, byte by byte', () => {
  const accepted = [[1, 2 ** 40]] as const
  const head = encodeHead({ accepted, message, receivedAt: 1.5, source, records: 7 }, 0xcafebabe, {
    marker,
    offset: 40,
    groupStart: 24,
  })
  const bytes = [
    '0123456789abcdef', // marker
    '01 01 0100', // kind, flags, ranges
    '05000000', // message length
    'bebafeca', // message CRC-32C
    '07000000', // records
    '10000000', // group
    '000000000000f83f', // received at, 1.5
    '00112233445566778899aabbccddeeff', // source
    '000000000000f03f', // 1
    '0000000000007042', // 2^40
  ]
  const expected = Buffer.from(bytes.join('').replaceAll(' ', ''), 'hex')
  expect(head.subarray(0, -4).toString('hex')).toBe(expected.toString('hex'))
  const offset = Buffer.from('0000000000004440', 'hex')
  expect(head.readUInt32LE(head.length - 4)).toBe(crc32c(Buffer.concat([offset, expected])))
})

test.for([
  { accepted: [], source: undefined, records: 0, seam: undefined, tenant: undefined },
  { accepted: [], source: undefined, records: 0, seam: undefined, tenant: 'shop' },
  { accepted: [[0, 5]] as const, source, records: 3, seam: undefined, tenant: undefined },
  {
    accepted: [[0, 5]] as const,
    source,
    records: 3,
    seam: { source: Buffer.alloc(16, 7), at: 4, records: 2 },
    tenant: undefined,
  },
  {
    accepted: [[0, 5]] as const,
    source,
    records: 3,
    seam: { source: Buffer.alloc(16, 7), at: 4, records: 2 },
    tenant: 't'.repeat(150),
  },
  {
    accepted: Array.from({ length: maxRanges }, (_, i) => [2 * i, 2 * i + 1] as const),
    source,
    records: 9,
    seam: undefined,
    tenant: 'a.b',
  },
])('what is encoded is decoded', (given) => {
  const head = encodeHead({ ...given, message, receivedAt: 12 }, 1, { marker, offset: 99, groupStart: 90 })
  expect(headLength(head.subarray(0, smallestHead), marker)).toBe(head.length)
  expect(decodeHead(head, 99)).toEqual({
    ...given,
    ...{ receivedAt: 12, groupStart: 90, isHole: false, headLength: head.length, messageLength: 5, messageCrc: 1 },
  })
})

test('a head at another offset, or with another marker, is none', () => {
  const head = encodeHead({ accepted: [], message, receivedAt: 12 }, 1, { marker, offset: 99, groupStart: 90 })
  expect(decodeHead(head, 98)).toBeUndefined()
  expect(headLength(head, Buffer.alloc(8))).toBeUndefined()
})

test('more ranges than a head has room for are an error of the caller', () => {
  const accepted = Array.from({ length: maxRanges + 1 }, (_, i) => [2 * i, 2 * i + 1] as const)
  expect(() => encodeHead({ accepted, message, receivedAt: 0 }, 0, { marker, offset: 0, groupStart: 0 })).toThrow(
    RangeError,
  )
})
