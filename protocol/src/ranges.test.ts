import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addRange, type ByteRange, type ByteRanges, totalBytes, uncovered, unionOf } from './ranges.ts'

const range = fc.tuple(fc.nat(60), fc.nat(20)).map(([first, length]): ByteRange => [first, first + length])
const bitmap = (ranges: ByteRanges) => {
  const bits = new Uint8Array(100)
  for (const [a, b] of ranges) bits.fill(1, a, b)
  return bits
}

test('adding ranges in any order gives what a bitmap gives, merged', () => {
  fc.assert(
    fc.property(fc.array(range), (list) => {
      const set = list.reduce<ByteRanges>(addRange, [])
      expect(bitmap(set)).toEqual(bitmap(list))
      for (let i = 1; i < set.length; i++) expect(set[i]![0]).toBeGreaterThan(set[i - 1]![1])
      expect(totalBytes(set)).toBe(bitmap(list).reduce((sum, bit) => sum + bit, 0))
      expect(unionOf(...list.map((one) => [one]))).toEqual(set)
    }),
  )
})

test('what is uncovered and what was there tile the asked range', () => {
  fc.assert(
    fc.property(fc.array(range), range, (list, asked) => {
      const set = list.reduce<ByteRanges>(addRange, [])
      const missing = uncovered(set, asked)
      const expected = bitmap([asked]).map((bit, i) => (bit === 1 && bitmap(set)[i] === 0 ? 1 : 0))
      expect(bitmap(missing)).toEqual(expected)
    }),
  )
})
