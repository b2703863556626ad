import { expect, test } from 'vitest'
import { newLinesFrom } from './cut-back.ts'

const second = Date.UTC(2026, 10, 23)
const at = (ms: number) => new Date(second + ms).toISOString()
const cri = (ms: number, line: string) => `${at(ms)} stdout F ${line}\n`
const docker = (ms: number, line: string) => `${JSON.stringify({ log: `${line}\n`, stream: 'stdout', time: at(ms) })}\n`

function find(text: string, before: { at: number | undefined; last: number }, format: 'cri' | 'docker' = 'cri') {
  const bytes = Buffer.from(text)
  const read = (position: number, length: number) => bytes.subarray(position, position + length)
  const known = { at: before.at && second + before.at, lineMs: second + before.last }
  return text.slice(newLinesFrom(read, bytes.length, format, known))
}

const old = [cri(1, 'a'), cri(2, 'b'), cri(3, 'c')].join('')

test.for<[name: string, text: string, before: { at: number | undefined; last: number }, found: string]>([
  ['lines later than the last reading', old + cri(90, 'new'), { at: 50, last: 40 }, cri(90, 'new')],
  ['nothing, where all is older', old, { at: 50, last: 40 }, ''],
  ['nothing, where it ends within an old line', old.slice(0, -4), { at: 50, last: 40 }, ''],
  [
    'a line behind what is left of another',
    old.slice(0, -4) + cri(90, 'n') + cri(91, 'm'),
    { at: 50, last: 40 },
    cri(90, 'n') + cri(91, 'm'),
  ],
  [
    'half a line behind what is left of another',
    old.slice(0, -4) + cri(90, 'new').slice(0, -2),
    { at: 50, last: 40 },
    cri(90, 'new').slice(0, -2),
  ],
  ['a line behind what is left of a head', old.slice(0, -14) + cri(90, 'new'), { at: 50, last: 40 }, cri(90, 'new')],
  ['no old line that a program wrote within a line', old + cri(4, `x ${cri(5, 'y')}`), { at: 50, last: 40 }, ''],
  ['lines of a clock that was set back', old + cri(41, 'new'), { at: 5000, last: 40 }, cri(41, 'new')],
  ['no more of a record of several lines', old + cri(4, '  at f'), { at: 5000, last: 3 }, ''],
  ['nothing, where it is not known when it was read', old + cri(90, 'new'), { at: undefined, last: 40 }, ''],
])('new lines of a file that was cut back are: %s', ([, text, before, found]) => {
  expect(find(text, before)).toBe(found)
})

test('what is left of a line of docker is not taken for the beginning of a new one', () => {
  const text = docker(1, 'a') + docker(2, 'b').slice(0, 12) + docker(90, 'new')
  expect(find(text, { at: 50, last: 40 }, 'docker')).toBe(docker(90, 'new'))
})

test('the place is found among many lines, wherever the file was cut', () => {
  const before = Array.from({ length: 5000 }, (_, i) => cri(i, `line ${i} ${'x'.repeat(i % 50)}`)).join('')
  const after = Array.from({ length: 3000 }, (_, i) => cri(10_000 + i, `line ${i}`)).join('')
  for (let cut = 100; cut < before.length; cut += 7919)
    expect(find(before.slice(0, cut) + after, { at: 9000, last: 4999 }) === after, `cut at ${cut}`).toBe(true)
})
