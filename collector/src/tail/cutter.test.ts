import { RecordScanner, truncatedFlag } from '@tributary/protocol/records.ts'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { DockerParser } from '../cri/docker.ts'
import { CriParser, type LineParser, PlainParser } from '../cri/line.ts'
import { ChunkCutter, type Detectors, noDetectors } from './cutter.ts'

interface Seen {
  offset: number
  stream: number
  flags: number
  line: string
}

const maxLineBytes = 64
const windowBytes = new ChunkCutter({ maxLineBytes, maxLines: 8 }).windowBytes

function recordsOf(cutter: ChunkCutter): Seen[] {
  const scanner = new RecordScanner(Buffer.from(cutter.out.subarray(0, cutter.encodedBytes)))
  const seen: Seen[] = []
  while (scanner.next()) {
    const line = cutter.out.toString('latin1', scanner.lineStart, scanner.lineEnd)
    seen.push({ offset: scanner.offset, stream: scanner.stream, flags: scanner.flags, line })
  }
  expect(seen.length).toBe(cutter.records)
  return seen
}

/** Reads a whole file as the tailer does, with reads of the given sizes; asserts that the chunks tile it. */
function readAll(
  file: Buffer,
  parser: LineParser,
  reads: readonly number[],
  detectors: Detectors = noDetectors,
): { records: Seen[]; boundaries: number[] } {
  const cutter = new ChunkCutter({ maxLineBytes, maxLines: 8 })
  const records: Seen[] = []
  const boundaries: number[] = []
  let [at, midLine, want] = [0, false, 0]
  for (let i = 0; at < file.length; i++) {
    want = Math.min(windowBytes, want + reads[i % reads.length]!)
    const bytes = file.subarray(at, at + want)
    const rest = at + bytes.length === file.length ? 'all' : 'wait'
    cutter.cut({ bytes, offset: at, parser, detectors, midLine, seconds: 1, nanoseconds: 0, rest })
    records.push(...recordsOf(cutter))
    midLine = cutter.midLine
    at += cutter.consumed
    if (cutter.consumed > 0) {
      boundaries.push(at)
      want = 0
    }
    expect(i, 'a full window always makes progress').toBeLessThan(10_000)
  }
  return { records, boundaries }
}

const time = '2026-11-23T14:00:00.123456789Z'
const cri = (stream: string, tag: string, message: string) => `${time} ${stream} ${tag} ${message}\n`
const message = fc.string({ unit: fc.constantFrom('a', 'b', ' ', 'é'), maxLength: 30 })
/** Whole records of one stream, each as one or more CRI lines. */
const record = fc.record({
  stream: fc.constantFrom('stdout', 'stderr'),
  parts: fc.array(message, { minLength: 1, maxLength: 4 }),
})
const reached: Record<string, number> = { interleaved: 0, split: 0, tooLong: 0 }

/** The lines of both streams mixed at random, each stream in its own order. */
function interleave(records: { stream: string; parts: string[] }[], picks: boolean[]): string[] {
  const queues = ['stdout', 'stderr'].map((stream) =>
    records
      .filter((one) => one.stream === stream)
      .flatMap(({ parts }) => parts.map((part, i) => cri(stream, i < parts.length - 1 ? 'P' : 'F', part))),
  )
  const lines: string[] = []
  for (let i = 0; queues.some((queue) => queue.length > 0); i++) {
    const queue = queues[picks[i % picks.length] ? 0 : 1]!
    const other = queues[picks[i % picks.length] ? 1 : 0]!
    lines.push((queue.length > 0 ? queue : other).shift()!)
  }
  return lines
}

test('where a CRI file is cut into reads never changes its records', () => {
  fc.assert(
    fc.property(
      fc.array(record, { maxLength: 12 }),
      fc.array(fc.boolean(), { minLength: 1 }),
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 5 }),
      (records, picks, reads) => {
        // Within the caps only: what a cap cuts depends on where it is met.
        const small = records.filter(({ parts }) => Buffer.byteLength(parts.join('')) <= maxLineBytes).slice(0, 2)
        const lines = interleave(small, picks)
        const file = Buffer.from(lines.join(''))
        if (file.length > windowBytes) return
        const expected = small.map(({ stream, parts }) => `${stream} ${Buffer.from(parts.join('')).toString('latin1')}`)
        const { records: seen } = readAll(file, new CriParser(), reads)
        expect(seen.map(({ stream, line }) => `${stream === 0 ? 'stdout' : 'stderr'} ${line}`).sort()).toEqual(
          expected.sort(),
        )
        expect(seen.every(({ flags }) => flags === 0)).toBe(true)
        expect(new Set(seen.map(({ offset }) => offset)).size).toBe(seen.length)
        if (/P [^\n]*\n[^\n]*stderr/.test(lines.join('')) && small.length === 2) reached['interleaved']!++
        if (small.some(({ parts }) => parts.length > 1)) reached['split']!++
      },
    ),
    { numRuns: 500 },
  )
})

test('every byte of every message comes out once, in order per stream, whatever the caps cut', () => {
  fc.assert(
    fc.property(
      fc.array(record, { maxLength: 40 }),
      fc.array(fc.boolean(), { minLength: 1 }),
      fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 5 }),
      (records, picks, reads) => {
        const file = Buffer.from(interleave(records, picks).join(''))
        const { records: seen } = readAll(file, new CriParser(), reads)
        for (const [id, stream] of ['stdout', 'stderr'].entries()) {
          const written = records.filter((one) => one.stream === stream).flatMap(({ parts }) => parts)
          const lines = seen.filter((one) => one.stream === id).map(({ line }) => line)
          expect(lines.join('')).toBe(Buffer.from(written.join('')).toString('latin1'))
        }
        if (seen.some(({ flags }) => flags !== 0)) reached['tooLong']!++
      },
    ),
    { numRuns: 500 },
  )
})

test('what is too long for one record becomes several of the longest kind, all flagged, in however many parts it came', () => {
  const reached = { longPart: 0, longRecord: 0 }
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          stream: fc.constantFrom('stdout', 'stderr'),
          parts: fc.array(fc.string({ unit: fc.constantFrom('a', 'é'), maxLength: 150, size: 'max' }), {
            minLength: 1,
            maxLength: 4,
          }),
        }),
        { maxLength: 6 },
      ),
      fc.array(fc.boolean(), { minLength: 1 }),
      (records, picks) => {
        const bytes = Buffer.from(interleave(records, picks).join(''))
        // Enough for all of it: what is flagged does not depend on where chunks end then.
        const cutter = new ChunkCutter({ maxLineBytes, maxLines: 8, leastWindowBytes: 16 * 1024 })
        const request = { bytes, offset: 0, parser: new CriParser(), detectors: noDetectors, midLine: false }
        cutter.cut({ ...request, seconds: 1, nanoseconds: 0, rest: 'all' })
        const seen = recordsOf(cutter)
        expect(new Set(seen.map(({ offset }) => offset)).size).toBe(seen.length)
        for (const [id, stream] of ['stdout', 'stderr'].entries()) {
          const own = seen.filter((one) => one.stream === id)
          for (const { parts } of records.filter((one) => one.stream === stream)) {
            const text = Buffer.from(parts.join('')).toString('latin1')
            let line = ''
            const flags: number[] = []
            do {
              const next = own.shift()!
              expect(next.line.length).toBeLessThanOrEqual(maxLineBytes)
              line += next.line
              flags.push(next.flags)
            } while (line.length < text.length)
            expect(line).toBe(text)
            const tooLong = text.length > maxLineBytes
            expect(flags.every((one) => one === (tooLong ? truncatedFlag : 0))).toBe(true)
            if (tooLong) reached.longRecord++
            if (parts.slice(0, -1).some((part) => Buffer.byteLength(part) > maxLineBytes)) reached.longPart++
          }
        }
      },
    ),
  )
  expect(reached.longPart).toBeGreaterThan(50)
  expect(reached.longRecord).toBeGreaterThan(50)
})

test('reading on from any chunk boundary gives the records that lie behind it', () => {
  fc.assert(
    fc.property(
      fc.array(record, { maxLength: 20 }),
      fc.array(fc.boolean(), { minLength: 1 }),
      fc.nat(),
      (records, picks, pick) => {
        const file = Buffer.from(
          interleave(
            records.filter(({ parts }) => parts.length < 3),
            picks,
          ).join(''),
        )
        const { records: seen, boundaries } = readAll(file, new CriParser(), [150])
        const resume = boundaries[pick % Math.max(1, boundaries.length)] ?? 0
        const again = readAll(file.subarray(resume), new CriParser(), [90]).records
        expect(again.map((one) => ({ ...one, offset: one.offset + resume }))).toEqual(
          seen.filter(({ offset }) => offset >= resume),
        )
      },
    ),
  )
})

test('plain bytes of any kind come out once, lines longer than the cap in pieces', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 1500 }),
      fc.constantFrom(0, 30, 254),
      fc.array(fc.integer({ min: 1, max: 256 }), { minLength: 1 }),
      (raw, lf, reads) => {
        // Line feeds seldom, so that lines longer than the window occur.
        const file = Buffer.from(
          raw.map((byte) => (byte === 10 ? 11 : byte < lf && byte % 4 === 0 ? 10 : byte === 13 ? 14 : byte)),
        )
        const { records } = readAll(file, new PlainParser(), reads)
        expect(records.map(({ line }) => line).join('')).toBe(file.toString('latin1').replaceAll('\n', ''))
        expect(records.every(({ line }) => line.length <= maxLineBytes)).toBe(true)
      },
    ),
  )
})

test.for([
  { when: 'no fraction', line: '2026-11-23T14:00:00Z stdout F x', nanoseconds: 0, text: 'x' },
  { when: 'a numeric zone', line: '2026-11-23T15:30:00.5+01:30 stderr F x y', nanoseconds: 5e8, text: 'x y' },
  { when: 'a second tag', line: '2026-11-23T14:00:00.000000001Z stdout F:more x', nanoseconds: 1, text: 'x' },
  { when: 'an empty message', line: '2026-11-23T14:00:00.1Z stdout F ', nanoseconds: 1e8, text: '' },
  { when: 'no blank behind the tag', line: '2026-11-23T14:00:00.1Z stdout F', nanoseconds: 1e8, text: '' },
])('CRI with $when', ({ line, nanoseconds, text }) => {
  const parser = new CriParser()
  const bytes = Buffer.from(line)
  parser.begin(bytes)
  expect(parser.parse(0, bytes.length)).toBe(true)
  expect(parser).toMatchObject({ seconds: Date.UTC(2026, 10, 23, 14) / 1000, nanoseconds, partial: false })
  expect(bytes.toString('utf8', parser.start, parser.end)).toBe(text)
})

test.for([
  'not a line',
  '2026-13-23T14:00:00Z stdout F x',
  '2026-11-23T14:00:00Z stdin F x',
  '2026-11-23T14:00:00Z stdout X x',
  '2026-11-23T14:00:00 stdout F x',
  '1969-12-31T23:59:59Z stdout F x',
  '',
])('%j is kept as it is, flagged malformed', (line) => {
  const cutter = new ChunkCutter({ maxLineBytes, maxLines: 8 })
  const bytes = Buffer.from(`${cri('stdout', 'F', 'good')}${line}\n`)
  cutter.cut({
    bytes,
    offset: 0,
    parser: new CriParser(),
    detectors: noDetectors,
    midLine: false,
    seconds: 1,
    nanoseconds: 0,
    rest: 'wait',
  })
  expect(recordsOf(cutter).map(({ line, flags }) => [line, flags])).toEqual([
    ['good', 0],
    [line, 2],
  ])
  expect(cutter).toMatchObject({ consumed: bytes.length, malformed: 1 })
})

test('docker lines are unescaped like JSON.parse does, and joined until the line feed', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.string({ unit: 'binary', maxLength: 12 }), fc.constantFrom('stdout', 'stderr')), {
        minLength: 1,
        maxLength: 6,
      }),
      fc.boolean(),
      (pairs, ascii) => {
        const escaped = (json: string) =>
          ascii ? json.replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`) : json
        const line = ([text, stream]: [string, string]) =>
          `${escaped(JSON.stringify({ log: `${text.replaceAll('\n', '')}\n`, stream, time }))}\n`
        const cutter = new ChunkCutter({ maxLineBytes: 4096, maxLines: 8 })
        const bytes = Buffer.from(pairs.map(line).join(''))
        cutter.cut({
          bytes,
          offset: 0,
          parser: new DockerParser(),
          detectors: noDetectors,
          midLine: false,
          seconds: 1,
          nanoseconds: 0,
          rest: 'wait',
        })
        expect(cutter.malformed).toBe(0)
        expect(recordsOf(cutter).map(({ line }) => line)).toEqual(
          pairs.map(([text]) => Buffer.from(text.replaceAll('\n', '')).toString('latin1')),
        )
      },
    ),
  )
})

test('docker parts without a line feed are joined per stream; other shapes of JSON still count', () => {
  const lines = [
    { log: 'out-1 ', stream: 'stdout', time },
    { log: 'err\n', stream: 'stderr', time },
    { stream: 'stdout', attrs: { tag: 'x' }, time, log: 'out-2\n' },
  ]
  const bytes = Buffer.from(`${lines.map((line) => JSON.stringify(line)).join('\n')}\n{"log":1}\n`)
  const cutter = new ChunkCutter({ maxLineBytes, maxLines: 8 })
  cutter.cut({
    bytes,
    offset: 0,
    parser: new DockerParser(),
    detectors: noDetectors,
    midLine: false,
    seconds: 1,
    nanoseconds: 0,
    rest: 'all',
  })
  expect(recordsOf(cutter).map(({ line, stream, flags }) => [line, stream, flags])).toEqual([
    ['err', 1, 0],
    ['out-1 out-2', 0, 0],
    ['{"log":1}', 0, 2],
  ])
})

test('a partial record whose end never comes is sent as it is when told to, flagged truncated', () => {
  const cutter = new ChunkCutter({ maxLineBytes, maxLines: 8 })
  const bytes = Buffer.from(cri('stderr', 'F', 'before') + cri('stdout', 'P', 'half') + cri('stderr', 'F', 'after'))
  const request = {
    bytes,
    offset: 100,
    parser: new CriParser(),
    detectors: noDetectors,
    midLine: false,
    seconds: 1,
    nanoseconds: 0,
  }
  cutter.cut({ ...request, rest: 'wait' })
  expect(recordsOf(cutter).map(({ line }) => line)).toEqual(['before'])
  cutter.cut({ ...request, rest: 'pending' })
  expect(recordsOf(cutter).map(({ line, flags }) => [line, flags])).toEqual([
    ['before', 0],
    ['after', 0],
    ['half', 1],
  ])
  expect(cutter.consumed).toBe(bytes.length)
})

afterAll(() => {
  for (const [what, count] of Object.entries(reached))
    expect(count, `the generator never reached: ${what}`).toBeGreaterThan(20)
})
