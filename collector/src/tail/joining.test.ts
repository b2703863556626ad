import { RecordScanner, truncatedFlag } from '@tributary/protocol/records.ts'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { CriParser, PlainParser } from '../cri/line.ts'
import type { RecordDetector } from '../multiline/detector.ts'
import { tracesOf } from '../multiline/traces.ts'
import { ChunkCutter, type CutRequest, type Detectors } from './cutter.ts'

/** A line that starts with `T` may begin a record, and lines that start with `+` go on with it. */
const detector: RecordDetector = {
  mayContinue: Uint8Array.from({ length: 257 }, (_, byte) => (byte === 43 ? 1 : 0)),
  begin: (bytes, start, end) => (start < end && bytes[start] === 84 ? 1 : 0),
  next: (state, bytes, start, end) => (start < end && bytes[start] === 43 ? state : 0),
}
const both: Detectors = [detector, detector]
const maxLineBytes = 64
const maxLines = 5

interface Seen {
  offset: number
  stream: number
  flags: number
  line: string
}

function recordsOf(cutter: ChunkCutter): Seen[] {
  const scanner = new RecordScanner(Buffer.from(cutter.out.subarray(0, cutter.encodedBytes)))
  const seen: Seen[] = []
  while (scanner.next()) {
    const line = cutter.out.toString('latin1', scanner.lineStart, scanner.lineEnd)
    seen.push({ offset: scanner.offset, stream: scanner.stream, flags: scanner.flags, line })
  }
  return seen
}

const time = '2026-11-23T14:00:00.123456789Z'
const cri = (stream: string, tag: string, message: string) => `${time} ${stream} ${tag} ${message}\n`
const word = fc.string({ unit: fc.constantFrom('a', 'b', 'é'), maxLength: 6 })
const logical = fc.record({
  stream: fc.constantFrom('stdout', 'stderr'),
  parts: fc
    .tuple(fc.constantFrom('T', '+', 'x', ''), fc.array(word, { minLength: 1, maxLength: 3 }), fc.boolean())
    // What tells may be in the second part: there are runtimes that cut lines anywhere.
    .map(([first, rest, late]) => [...(late ? [''] : []), first + rest[0], ...rest.slice(1)]),
})
type Logical = { stream: string; parts: string[] }
const reached: Record<string, number> = { joined: 0, cutInRecord: 0, overSeam: 0, interleaved: 0 }

/** Physical lines, the streams mixed at random, each in its own order. */
function physical(lines: readonly Logical[], picks: readonly boolean[]): string[] {
  const queues = ['stdout', 'stderr'].map((stream) =>
    lines
      .filter((one) => one.stream === stream)
      .flatMap(({ parts }) => parts.map((part, i) => cri(stream, i < parts.length - 1 ? 'P' : 'F', part))),
  )
  const out: string[] = []
  for (let i = 0; queues.some((queue) => queue.length > 0); i++) {
    const [first, second] = picks[i % picks.length] ? [0, 1] : [1, 0]
    out.push((queues[first]!.length > 0 ? queues[first]! : queues[second]!).shift()!)
  }
  return out
}

/** What a stream's lines have to come out as, by the plain reading of the rule. */
function expected(lines: readonly Logical[], stream: string): string[] {
  const records: string[] = []
  let size = 0
  for (const { parts } of lines.filter((one) => one.stream === stream)) {
    const line = parts.join('')
    const last = records.at(-1)
    if (line.startsWith('+') && last?.startsWith('T') && size < maxLines) {
      records[records.length - 1] = `${last}\n${line}`
      size++
      reached['joined']!++
    } else {
      records.push(line)
      size = 1
    }
  }
  return records
}

/** Short enough that no cap is reached: the caps have tests of their own. */
const lines = fc.array(logical, { minLength: 1, maxLength: 12 }).filter((all) =>
  ['stdout', 'stderr'].every((stream) =>
    expected(all, stream).every((record) => {
      const bytes = Buffer.byteLength(record)
      return bytes <= maxLineBytes && record.split('\n').length < maxLines
    }),
  ),
)

function request(bytes: Buffer, offset: number, rest: CutRequest['rest'], seam?: number): CutRequest {
  const parser = new CriParser()
  const base = { bytes, offset, parser, detectors: both, midLine: false, seconds: 1, nanoseconds: 0, rest }
  return seam === undefined ? base : { ...base, seam }
}

/** Reads a file with windows that grow by the given sizes; `left` bytes at its end could not be cut without what follows. */
function readFile(file: Buffer, reads: readonly number[], last: 'all' | 'wait'): { records: Seen[]; left: number } {
  const cutter = new ChunkCutter({ maxLineBytes: 1024, maxLines })
  const records: Seen[] = []
  let [at, want] = [0, 0]
  for (let i = 0; at < file.length; i++) {
    want = Math.min(cutter.windowBytes, want + reads[i % reads.length]!)
    const bytes = file.subarray(at, at + want)
    const end = at + bytes.length === file.length
    cutter.cut(request(bytes, at, end ? last : 'wait'))
    if (cutter.consumed === 0 && end) break
    if (cutter.consumed > 0 && cutter.consumed < bytes.length) reached['cutInRecord']!++
    records.push(...recordsOf(cutter))
    at += cutter.consumed
    if (cutter.consumed > 0) want = 0
    expect(i).toBeLessThan(10_000)
  }
  return { records, left: file.length - at }
}

function byStream(records: readonly Seen[]): string[][] {
  return [0, 1].map((stream) =>
    records
      .filter((one) => one.stream === stream)
      .sort((a, b) => a.offset - b.offset)
      .map(({ line }) => Buffer.from(line, 'latin1').toString()),
  )
}

const reads = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 6 })
const picks = fc.array(fc.boolean(), { minLength: 1, maxLength: 8 })

test('lines of one stream are joined however they are read, split and mixed with the other stream', () => {
  fc.assert(
    fc.property(lines, picks, reads, (all, mix, sizes) => {
      const file = Buffer.from(physical(all, mix).join(''))
      const { records, left } = readFile(file, sizes, 'all')
      expect(left).toBe(0)
      const wanted = [expected(all, 'stdout'), expected(all, 'stderr')]
      if (wanted.every((stream) => stream.some((record) => record.includes('\n')))) reached['interleaved']!++
      expect(byStream(records)).toEqual(wanted)
      expect(records.every(({ flags }) => flags === 0)).toBe(true)
    }),
    { numRuns: 1500 },
  )
})

/** Reads files that followed one another, none of which is written to any more, as the reader does: the end of each with the next one. */
function readFiles(files: readonly Buffer[], sizes: readonly number[]): Seen[] {
  const records: Seen[] = []
  const take = (found: readonly Seen[], base: number) =>
    records.push(...found.map((one) => ({ ...one, offset: one.offset + base })))
  let base = 0
  let at = 0
  for (const [i, file] of files.entries()) {
    const next = files[i + 1]
    let over = 0
    while (at < file.length) {
      const { records: whole, left } = readFile(file.subarray(at), sizes, next ? 'wait' : 'all')
      take(whole, base + at)
      at = file.length - left
      if (left === 0 || next === undefined) break
      const cutter = new ChunkCutter({ maxLineBytes: 1024, maxLines })
      const bytes = Buffer.concat([file.subarray(at), next])
      cutter.cut(request(bytes, 0, 'wait', left))
      // What may still go on behind the end of the next file is told to be over.
      if (cutter.consumed === 0)
        cutter.cut(request(bytes, 0, files[i + 2] === undefined ? 'pending' : 'overlapping', left))
      expect(cutter.consumed).toBeGreaterThan(0)
      take(recordsOf(cutter), base + at)
      at += cutter.consumed
      over = at - file.length
    }
    if (over > 0) reached['overSeam']!++
    base += file.length
    at = Math.max(0, over)
  }
  return records
}

test('a rotation between any two lines changes no record', () => {
  fc.assert(
    fc.property(lines, picks, reads, fc.nat(), (all, mix, sizes, where) => {
      const out = physical(all, mix)
      const cut = where % (out.length + 1)
      const files = [out.slice(0, cut), out.slice(cut)].map((part) => Buffer.from(part.join('')))
      const found = byStream(
        readFiles(
          files.filter(({ length }) => length > 0),
          sizes,
        ),
      )
      expect(found).toEqual([expected(all, 'stdout'), expected(all, 'stderr')])
    }),
    { numRuns: 1500 },
  )
})

const written = fc
  .record({
    stream: fc.constantFrom('stdout', 'stderr'),
    frames: fc.array(fc.tuple(fc.constant('+'), word), { maxLength: 3 }),
    cutAt: fc.nat({ max: 12 }),
  })
  .map(({ stream, frames, cutAt }) => {
    const texts = [frames.length > 0 ? 'Trace' : 'x', ...frames.map((parts) => parts.join(''))]
    // The runtime may cut one of the lines.
    return texts.flatMap((text, i) =>
      i === cutAt % 8 && text.length > 1
        ? [cri(stream, 'P', text.slice(0, 1)), cri(stream, 'F', text.slice(1))]
        : [cri(stream, 'F', text)],
    )
  })

test('records that are written one after another stay whole over rotations that follow closely', () => {
  const rotations = fc.array(fc.integer({ min: 4, max: 12 }), { minLength: 2, maxLength: 4 })
  fc.assert(
    fc.property(fc.array(written, { minLength: 8, maxLength: 24 }), rotations, reads, (records, gaps, sizes) => {
      const out = records.flat()
      const ends = gaps.map((_, i) => gaps.slice(0, i + 1).reduce((sum, gap) => sum + gap, 0))
      const starts = [0, ...ends.filter((end) => end < out.length)]
      let first = 0
      for (const record of records) {
        // One that lies in three files is cut at the second rotation.
        fc.pre(starts.filter((start) => start > first && start < first + record.length).length < 2)
        first += record.length
      }
      const files = starts.map((start, i) => Buffer.from(out.slice(start, starts[i + 1]).join('')))
      const whole = byStream(readFiles([Buffer.from(out.join(''))], sizes))
      expect(byStream(readFiles(files, sizes))).toEqual(whole)
    }),
    { numRuns: 3000 },
  )
})

test.for([
  {
    what: 'the first line',
    lines: ['java.lang.Ille|galStateException: boom', '\tat a.B.c(B.java:1)', '\tat a.B.d(B.java:2)'],
  },
  {
    what: 'a frame',
    lines: ['java.lang.IllegalStateException: boom', '\t|at a.B.c(B.java:1)', '\tat a.B.d(B.java:2)'],
  },
  {
    what: 'all lines',
    lines: ['java.lang.I|l|legalStateException: boom', '|\ta|t a.B.c(B.java:1)', '\t|at a.B.d(B.java:2)'],
  },
])('a stack trace of which the runtime cut $what anywhere is one record', ({ lines }) => {
  const java = tracesOf(['java'])
  const parts = lines.flatMap((line) => line.split('|').map((part, i, all) => [i < all.length - 1 ? 'P' : 'F', part]))
  const text = [['F', 'before'], ...parts, ['P', 'af'], ['F', 'ter']].map(([tag, part]) => cri('stderr', tag!, part!))
  const cutter = new ChunkCutter({ maxLineBytes: 1024, maxLines })
  cutter.cut({ ...request(Buffer.from(text.join('')), 0, 'all'), detectors: [java, java] })
  const trace = lines.join('\n').replaceAll('|', '')
  expect(recordsOf(cutter).map(({ line }) => line)).toEqual(['before', trace, 'after'])
})

function cutOnce(text: string, rest: CutRequest['rest'] = 'all', options = { maxLineBytes, maxLines }) {
  const cutter = new ChunkCutter(options)
  const bytes = Buffer.from(text)
  cutter.cut(request(bytes, 0, rest))
  return { cutter, bytes, records: recordsOf(cutter) }
}

test('what exceeds the lines of one record goes on in further records, all flagged truncated', () => {
  const more = Array.from({ length: 11 }, (_, i) => cri('stdout', 'F', `+${i}`)).join('')
  const { records, cutter } = cutOnce(`${cri('stdout', 'F', 'T')}${more}${cri('stdout', 'F', 'x')}`)
  expect(records.map(({ line, flags }) => [line, flags])).toEqual([
    ['T\n+0\n+1\n+2\n+3', truncatedFlag],
    ['+4\n+5\n+6\n+7\n+8', truncatedFlag],
    ['+9\n+10', truncatedFlag],
    ['x', 0],
  ])
  expect(cutter.truncated).toBe(3)
})

test('what exceeds the bytes of one record goes on in another', () => {
  const frame = `+${'f'.repeat(30)}`
  const { records } = cutOnce([cri('stderr', 'F', 'T'), ...Array(3).fill(cri('stderr', 'F', frame))].join(''))
  expect(records.map(({ line, flags }) => [line, flags])).toEqual([
    [`T\n${frame}`, truncatedFlag],
    [`${frame}\n${frame}`, truncatedFlag],
  ])
})

test.for([
  { what: 'a possible beginning', tail: cri('stdout', 'F', 'T last'), kept: false },
  { what: 'an ordinary line', tail: cri('stdout', 'F', 'last'), kept: true },
  { what: 'a record that may go on', tail: cri('stdout', 'F', 'T') + cri('stdout', 'F', '+'), kept: false },
])('at the end of what is there, $what is sent at once: $kept', ({ tail, kept }) => {
  const head = cri('stderr', 'F', 'before')
  const { cutter, bytes } = cutOnce(head + tail, 'wait')
  expect(cutter.consumed).toBe(kept ? bytes.length : Buffer.byteLength(head))
  expect(cutter.pendingTo).toBe(kept ? -1 : bytes.length - 1)
  expect(cutter.pendingPart).toBe(false)
  const { cutter: late } = cutOnce(head + tail, 'pending')
  expect(late.consumed).toBe(bytes.length)
})

test('a plain line has the same time, however often it was held back', () => {
  const text = Buffer.from('x\nT\n')
  const parser = new PlainParser()
  const base = { parser, detectors: both, midLine: false, nanoseconds: 0, seconds: 7 }
  const cutter = new ChunkCutter({ maxLineBytes, maxLines })
  cutter.cut({ ...base, bytes: text, offset: 0, rest: 'wait' })
  expect([cutter.consumed, cutter.nanoseconds]).toEqual([2, 1])
  cutter.cut({ ...base, bytes: text.subarray(2), offset: 2, nanoseconds: cutter.nanoseconds, rest: 'pending' })
  expect([cutter.consumed, cutter.nanoseconds]).toEqual([2, 2])
})

test('a malformed line of a log ends no record of the stream it interrupts', () => {
  const { records } = cutOnce(`${cri('stdout', 'F', 'T')}${cri('stdout', 'F', '+1')}???\n${cri('stdout', 'F', '+2')}`)
  expect(records.map(({ line }) => line).sort()).toEqual(['???', 'T\n+1\n+2'])
})

afterAll(() => {
  for (const [what, count] of Object.entries(reached))
    expect(count, `the generator never reached: ${what}`).toBeGreaterThan(5)
})
