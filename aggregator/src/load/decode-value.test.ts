import { encode, MsgpackError, TooDeepError } from '@tributary/protocol/msgpack.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Extension, textOf, ValueReader } from './decode-value.ts'

const read = (hex: string) => new ValueReader(Buffer.from(hex, 'hex')).next()

test.for([
  ['05', 5],
  ['ff', -1],
  ['c0', null],
  ['c2', false],
  ['cc80', 128],
  ['cf0020000000000000', 2n ** 53n],
  ['cfffffffffffffffff', 2n ** 64n - 1n],
  ['d3ffffffffffffffff', -1],
  ['ca3fc00000', 1.5],
  ['a161', Buffer.from('a')],
  ['c40161', Buffer.from('a')],
  ['d7000000000100000002', new Extension(0, Buffer.from('0000000100000002', 'hex'))],
  ['92c30a', [true, 10]],
  ['81a95f5f70726f746f5f5f01', new Map([['__proto__', 1]])],
  ['810102', new Map([['1', 2]])],
] as const)('%s', ([hex, value]) => expect(read(hex)).toEqual(value))

test.for(['', 'c1', 'a2', 'd9', '91', '81a1', 'ce0000', `${'91'.repeat(100)}00`])('%s is refused', (hex) => {
  expect(() => read(hex)).toThrow(MsgpackError)
})

test('maps as keys of maps are text; as keys of keys of keys they nest too deep, as their text would double with each', () => {
  const nested = (levels: number) => `${'81'.repeat(levels)}a161${'01'.repeat(levels)}`
  expect(read(nested(3))).toEqual(new Map([['{"{\\"a\\":1}":1}', 1]]))
  expect(read(`${'91'.repeat(40)}81a16101`)).toBeInstanceOf(Array)
  for (const levels of [6, 30, 60]) expect(() => read(nested(levels))).toThrow(TooDeepError)
})

test('as text a record is JSON, with every digit of its integers', () => {
  const record = read('82a16181a95f5f70726f746f5f5fcfffffffffffffffffa16290')
  expect(textOf(record)).toBe('{"a":{"__proto__":18446744073709551615},"b":[]}')
})

test('what another encoder wrote is read as it was meant', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      expect(JSON.parse(`[${wrapped(value)}]`)[0]).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})

/** The value read back and written as JSON; a bare string has no quotes as text. */
function wrapped(value: unknown): string {
  return textOf([new ValueReader(encode(value)).next()]).slice(1, -1)
}

test('any bytes give values or a MsgpackError, nothing else', () => {
  let values = 0
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => {
      try {
        const reader = new ValueReader(Buffer.from(bytes))
        while (!reader.done) {
          textOf(reader.next())
          values++
        }
      } catch (error) {
        expect(error).toBeInstanceOf(MsgpackError)
      }
    }),
    { numRuns: 5000 },
  )
  expect(values).toBeGreaterThan(1000)
})
