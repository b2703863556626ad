import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Needle } from './needle.ts'

const bytes = fc.array(fc.constantFrom(97, 98, 99), { maxLength: 60 }).map((all) => Buffer.from(all))

test('finds what a search of each line alone finds, whichever lines are asked about, and after other bytes came', () => {
  const lines = fc.array(fc.tuple(fc.nat(60), fc.nat(12)), { maxLength: 20 })
  fc.assert(
    fc.property(
      fc.array(fc.tuple(bytes, lines), { maxLength: 3 }),
      fc.constantFrom('a', 'ab', 'abc', 'cc'),
      (chunks, wanted) => {
        const needle = new Needle(wanted)
        for (const [chunk, lines] of chunks) {
          needle.begin(chunk)
          for (const [from, length] of lines) {
            const [start, end] = [Math.min(from, chunk.length), Math.min(from + length, chunk.length)]
            const hit = chunk.subarray(start, end).indexOf(wanted)
            expect(needle.find(chunk, start, end)).toBe(hit === -1 ? -1 : start + hit)
          }
        }
      },
    ),
    { numRuns: 1000 },
  )
})

test('bytes outside of the chunk, such as a changed line, are searched too', () => {
  const needle = new Needle('abc')
  needle.begin(Buffer.from('xxxabcxxx'))
  expect(needle.find(Buffer.from('..abc'), 0, 5)).toBe(2)
  expect(needle.find(Buffer.from('..abc'), 0, 4)).toBe(-1)
})
