import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decode, EventTime, encode, MsgpackError } from './msgpack.ts'
import {
  decodeAttributes,
  encodeAttributes,
  malformedFlag,
  RecordScanner,
  recordOverhead,
  stderr,
  stdout,
  truncatedFlag,
  writeLineHead,
  writeRecordHead,
} from './records.ts'

function encodeOne(record: {
  seconds: number
  nanoseconds: number
  offset: number
  line: Buffer
  stream: 0 | 1
  flags: number
  binary: boolean
  attributes?: Record<string, string>
}) {
  const { attributes = {} } = record
  const encoded = encodeAttributes(attributes)
  const out = Buffer.alloc(record.line.length + encoded.length + recordOverhead)
  const at = writeRecordHead(
    out,
    0,
    record.seconds,
    record.nanoseconds,
    record.offset,
    record.line.length,
    record.stream,
    record.flags,
    record.binary,
    encoded,
    Object.keys(attributes).length,
  )
  record.line.copy(out, at)
  return out.subarray(0, at + record.line.length)
}

const record = fc.record({
  seconds: fc.nat(0xffffffff),
  nanoseconds: fc.nat(999_999_999),
  offset: fc.oneof(fc.nat(1000), fc.maxSafeNat()),
  line: fc
    .oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.uint8Array({ minLength: 250, maxLength: 300 }),
      fc.constant(new Uint8Array(70_000)),
    )
    .map((b) => Buffer.from(b)),
  stream: fc.constantFrom(stdout, stderr),
  flags: fc.constantFrom(0, truncatedFlag, malformedFlag, truncatedFlag | malformedFlag),
  binary: fc.boolean(),
  attributes: fc.oneof(
    fc.constant({}),
    fc.dictionary(
      fc.string({ maxLength: 40 }).map((name) => `${name}_`),
      fc.oneof(fc.string({ maxLength: 300 }), fc.constant('x'.repeat(70_000))),
      {
        maxKeys: 20,
        noNullPrototype: true,
      },
    ),
  ),
})

test('what is written by hand is what a reference decoder reads', () => {
  const bytes = encodeOne({
    seconds: 1767225600,
    nanoseconds: 7,
    offset: 2 ** 40,
    line: Buffer.from('hé'),
    stream: stderr,
    flags: truncatedFlag,
    binary: false,
    attributes: { a: '1' },
  })
  expect(decode(bytes)).toEqual([
    new EventTime(1767225600, 7),
    { offset: 2 ** 40, stream: 'stderr', truncated: 'true', a: '1', log: 'hé' },
  ])
})

test('the scanner gives back every record of a chunk', () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 8 }), (records) => {
      const bytes = Buffer.concat(records.map(encodeOne))
      const scanner = new RecordScanner(bytes)
      let start = 0
      for (const { seconds, nanoseconds, offset, line, stream, flags, attributes } of records) {
        expect(scanner.next()).toBe(true)
        expect(scanner).toMatchObject({ seconds, nanoseconds, offset, stream, flags })
        expect(bytes.subarray(scanner.lineStart, scanner.lineEnd).equals(line)).toBe(true)
        expect([scanner.start, scanner.end]).toEqual([start, scanner.lineEnd])
        start = scanner.end
        expect(scanner.attributeCount).toBe(Object.keys(attributes).length)
        expect(decodeAttributes(bytes, scanner.attributesStart, scanner.attributesEnd)).toEqual(attributes)
      }
      expect(scanner.next()).toBe(false)
    }),
  )
})

test.for([
  ['an EventTime of the wrong size', [0xd5, 0, 1, 2]],
  ['a map with a map as key', [0x81, 0x80, 0x01]],
  ['a number', [0x07]],
  ['bytes', [0xc4, 0x01, 0x41]],
])('%s is no attribute, and does not spoil the others', ([, value]) => {
  const pairs = Buffer.concat([encode('odd'), Buffer.from(value as number[]), encodeAttributes({ a: '1' })])
  expect(decodeAttributes(pairs, 0, pairs.length)).toEqual({ a: '1' })
})

test('any bytes give records or a typed error', () => {
  fc.assert(
    fc.property(
      fc.array(record, { minLength: 1, maxLength: 3 }),
      fc.nat(),
      fc.nat(255),
      fc.nat(),
      (records, at, byte, cut) => {
        const whole = Buffer.concat(records.map(encodeOne))
        whole[at % whole.length] = byte
        const scanner = new RecordScanner(whole.subarray(0, cut % (whole.length + 1)))
        try {
          while (scanner.next()) {
            expect(scanner.lineEnd).toBeLessThanOrEqual(whole.length)
            decodeAttributes(whole, scanner.attributesStart, scanner.attributesEnd)
          }
        } catch (error) {
          expect(error).toBeInstanceOf(MsgpackError)
        }
      },
    ),
    { numRuns: 500 },
  )
})

test('the head of an ordinary line is the same in large writes', () => {
  const size = fc.oneof(fc.nat(0xff), fc.nat(0xffff), fc.nat(0xffffffff))
  fc.assert(
    fc.property(
      size,
      fc.nat(999_999_999),
      fc.nat(Number.MAX_SAFE_INTEGER),
      size,
      fc.constantFrom(stdout, stderr),
      fc.nat(20),
      (...all) => {
        const [seconds, nanoseconds, offset, length, stream, at] = all
        const [one, other] = [Buffer.alloc(200), Buffer.alloc(200)]
        const end = writeRecordHead(one, at, seconds, nanoseconds, offset, length, stream, 0, false)
        const view = new DataView(other.buffer, other.byteOffset, other.length)
        expect(writeLineHead(view, at, seconds, nanoseconds, offset, length, stream)).toBe(end)
        expect(other.equals(one)).toBe(true)
      },
    ),
    { numRuns: 2000 },
  )
})
