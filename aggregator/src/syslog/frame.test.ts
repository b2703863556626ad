import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Frame, FrameError, FrameSplitter } from './frame.ts'

const texts = (frames: readonly Frame[]) =>
  frames.map(({ bytes, truncated }) => bytes.toString() + (truncated ? '…' : ''))
const split = (text: string, maxBytes = 100) => {
  const splitter = new FrameSplitter(maxBytes)
  return { frames: texts(splitter.push(Buffer.from(text))), last: texts(splitter.end()) }
}

test.for([
  ['<1>a\n<2>b\n', ['<1>a', '<2>b'], []],
  ['4 <1>a5 <2>bc', ['<1>a', '<2>bc'], []],
  ['5 <1>a\n4 <2>b', ['<1>a\n', '<2>b'], []],
  ['4 <1>a<2>b\n4 <3>c', ['<1>a', '<2>b', '<3>c'], []],
  ['4 <1>a\n4 <2>b\n', ['<1>a', '<2>b'], []],
  ['\n\n<1>a\n\n', ['<1>a'], []],
  ['<1>a\n<2>b', ['<1>a'], ['<2>b']],
  ['9 <1>a', [], []],
  ['12', [], []],
  ['<1>456789ABCDEF\n<2>b\n', ['<1>4567…', '<2>b'], []],
  ['14 <1>456789ABCDE<2>b\n', ['<1>4567…', '<2>b'], []],
] as const)('%j', ([text, frames, last]) => {
  expect(split(text, 7)).toEqual({ frames, last })
})

test.for(['GET / HTTP/1.1'.replace('GET', '3GET'), '12345678 x', '5<1>a'])('%j is no syslog', (text) => {
  expect(() => split(text)).toThrow(FrameError)
})

const message = fc.record({
  text: fc
    .string({ unit: fc.constantFrom('a', ' ', '\n', '5'), maxLength: 30, size: 'max' })
    .map((text) => `<1>${text}`),
  counted: fc.boolean(),
})

test('however the bytes are cut, the messages are the same', () => {
  const reached = { counted: 0, long: 0, feeds: 0 }
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 10 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      (all, cuts) => {
        const sent = all.map(({ counted, text }) => ({ counted, text: counted ? text : text.replaceAll('\n', '_') }))
        const bytes = Buffer.from(
          sent.map(({ counted, text }) => (counted ? `${text.length} ${text}` : `${text}\n`)).join(''),
        )
        const splitter = new FrameSplitter(20)
        const frames: Frame[] = []
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const end = at + cuts[i % cuts.length]!
          for (const { bytes: own, truncated } of splitter.push(bytes.subarray(at, end))) {
            frames.push({ bytes: Buffer.from(own), truncated })
          }
          expect(splitter.pendingBytes).toBeLessThanOrEqual(20 + 8)
          at = end
        }
        expect(texts(frames)).toEqual(sent.map(({ text }) => (text.length > 20 ? `${text.slice(0, 20)}…` : text)))
        if (sent.some((one) => one.counted)) reached.counted++
        if (sent.some((one) => one.text.length > 20)) reached.long++
        if (sent.some((one) => one.text.includes('\n'))) reached.feeds++
      },
    ),
    { numRuns: 500 },
  )
  for (const [what, count] of Object.entries(reached)) expect(count, `never reached: ${what}`).toBeGreaterThan(20)
})
