import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DockerParser } from '../cri/docker.ts'
import { CriParser, type LineFormat } from '../cri/line.ts'
import { leftOutOf, offsetSince, type StartAt, TimedLines } from './start-at.ts'

const t0 = Date.UTC(2026, 10, 23)
const criTime = (ms: number) => `${new Date(ms).toISOString().slice(0, -1)}000000Z`
const formats = {
  cri: { parser: () => new CriParser(), line: (ms: number, text: string) => `${criTime(ms)} stdout F ${text}\n` },
  docker: {
    parser: () => new DockerParser(),
    line: (ms: number, text: string) =>
      `${JSON.stringify({ log: `${text}\n`, stream: 'stdout', time: criTime(ms) })}\n`,
  },
}

/** Lines at times that never go back; now and then one without a time. */
const logs = fc.record({
  format: fc.constantFrom('cri' as const, 'docker' as const),
  lines: fc.array(
    fc.record({
      step: fc.integer({ min: 0, max: 3 }),
      length: fc.oneof(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 16_000, max: 40_000 })),
      timed: fc.integer({ min: 0, max: 5 }).map((n) => n > 0),
    }),
    { maxLength: 40 },
  ),
  since: fc.integer({ min: -2, max: 80 }),
  /** The last line lacks its end. */
  open: fc.boolean(),
})

test('what is left out ends exactly behind the last line that is older, wherever lines without a time lie', () => {
  let within = 0
  fc.assert(
    fc.property(logs, ({ format, lines, since, open }) => {
      const { parser, line } = formats[format]
      let [at, text, expected] = [0, '', 0]
      lines.forEach(({ step, length, timed }, i) => {
        at += step
        const whole = timed ? line(t0 + at, 'x'.repeat(length)) : `${'?'.repeat(length)}\n`
        const cut = open && i === lines.length - 1
        text += cut ? whole.slice(0, -1) : whole
        if (timed && !cut && at < since) expected = text.length
      })
      const bytes = Buffer.from(text)
      const read = (position: number, length: number) => bytes.subarray(position, position + length)
      expect(offsetSince(new TimedLines(read, parser()), bytes.length, t0 + since)).toBe(expected)
      if (expected > 0 && expected < bytes.length) within++
    }),
    { numRuns: 400 },
  )
  expect(within).toBeGreaterThan(40)
})

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tributary-start-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

const hour = 3_600_000
const { line } = formats.cri
const [old, young] = [line(t0 - 2 * hour, 'old'), line(t0 - hour, 'young') + line(t0, 'now')]

test.for<[string, StartAt, { name: string; text: string; writtenMs: number; format?: 'plain' }, number]>([
  ['from the beginning', 'beginning', { name: '0.log', text: old, writtenMs: t0 }, 0],
  ['from the end: the last complete line', 'end', { name: '0.log', text: `${old}half`, writtenMs: t0 }, old.length],
  ['within a file; the limit itself is read', hour, { name: '0.log', text: old + young, writtenMs: t0 }, old.length],
  ['a ms earlier', hour - 1, { name: '0.log', text: line(t0 - hour, ''), writtenMs: t0 }, line(0, '').length],
  [
    'within a compressed file',
    hour,
    { name: '0.log.20261123-000000.gz', text: old + young, writtenMs: t0 },
    old.length,
  ],
  ['last written before', hour, { name: '0.log', text: `${young}ha`, writtenMs: t0 - 2 * hour }, young.length],
  [
    'rotated, last written before',
    hour,
    { name: '0.log.20261123-000000', text: `${young}ha`, writtenMs: 0 },
    young.length + 2,
  ],
  [
    'compressed, last written before',
    hour,
    { name: '0.log.20261123-000000.gz', text: young, writtenMs: 0 },
    young.length,
  ],
  ['plain text has the time of its last write', hour, { name: 'a.log', text: old, writtenMs: t0, format: 'plain' }, 0],
  ['plain text that is old', hour, { name: 'a.log', text: old, writtenMs: 0, format: 'plain' }, old.length],
  ['not what its name says', hour, { name: 'broken.log.1.gz', text: '', writtenMs: t0 }, 0],
])('%s', async ([, startAt, { name, text, writtenMs, format = 'cri' }, expected]) => {
  const path = join(directory, name)
  const gzip = name.endsWith('.gz')
  writeFileSync(path, gzip && text !== '' ? gzipSync(text) : text)
  utimesSync(path, writtenMs / 1000, writtenMs / 1000)
  const rotation = /\.log(.*?)(\.gz)?$/.exec(name)![1]!
  const file = {
    path,
    name: { restart: 0, rotation, gzip, lasting: true },
    format: format as LineFormat,
    modifiedMs: writtenMs,
  }
  expect((await leftOutOf(file, startAt, t0)).bytes).toBe(expected)
})

test('a compressed file of many reads is left out up to the same line as an uncompressed one', async () => {
  const text = Array.from({ length: 6000 }, (_, i) => line(t0 + i, `${i} ${'x'.repeat(i % 200)}`)).join('')
  const path = join(directory, 'many.log.20261123-000000.gz')
  writeFileSync(path, gzipSync(text))
  const name = { restart: 0, rotation: '.20261123-000000', gzip: true, lasting: true }
  const file = { path, name, format: 'cri' as const, modifiedMs: t0 + 6000 }
  expect((await leftOutOf(file, 6000 - 4321, t0 + 6000)).bytes).toBe(text.indexOf(criTime(t0 + 4321)))
})
