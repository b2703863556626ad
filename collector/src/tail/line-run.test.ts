import { RecordScanner } from '@tributary/protocol/records.ts'
import fc from 'fast-check'
import { afterAll, expect, test, vi } from 'vitest'
import { CriHead } from '../cri/head.ts'
import { CriParser, type LineParser } from '../cri/line.ts'
import type { RecordDetector } from '../multiline/detector.ts'
import { ChunkCutter, type CutRequest, type Detectors } from './cutter.ts'

/** A line that starts with `T` may begin a record, and lines that start with `+` go on with it. */
const detector: RecordDetector = {
  mayContinue: Uint8Array.from({ length: 257 }, (_, byte) => (byte === 43 ? 1 : 0)),
  begin: (bytes, start, end) => (start < end && bytes[start] === 84 ? 1 : 0),
  next: (state, bytes, start, end) => (start < end && bytes[start] === 43 ? state : 0),
}
const detectors: readonly Detectors[] = [
  [undefined, undefined],
  [detector, detector],
  [detector, undefined],
]
const reached = {
  inRun: 0,
  joined: 0,
  joinedOverOther: 0,
  truncated: 0,
  malformed: 0,
  rolledBack: 0,
  invalid: 0,
  long: 0,
}

const first = fc.constantFrom('T', 'T', '+', 'x', '')
const rest = fc.constantFrom('', '', '', '', 'long'.repeat(97), 'longer'.repeat(67))
const usual = fc
  .tuple(fc.constantFrom('00', '00', '01'), fc.constantFrom('stdout', 'stdout', 'stderr'), first, rest)
  .map(([second, stream, first, rest]) => `2026-11-23T14:00:${second}.123456789Z ${stream} F ${first}${rest}\n`)
const odd = fc
  .record({
    second: fc.constantFrom('00', '60'),
    fraction: fc.constantFrom('.123456789', '.999999999', '.5', '.12345678', '', '.1234567890'),
    zone: fc.constantFrom('Z', 'Z', 'Z', '+01:00', '-23:59', '+0100'),
    stream: fc.constantFrom('stdout', 'stdout', 'stderr', 'stdio'),
    tag: fc.constantFrom('F ', 'F ', 'F ', 'P ', 'F:x ', 'F', 'G '),
    first,
    rest: fc.oneof(
      fc.string({ unit: fc.constantFrom('a', 'b', 'é', '\xff', '\r', '\0', '\v'), maxLength: 20 }),
      fc.integer({ min: 0, max: 100 }).map((length) => 'y'.repeat(length)),
    ),
  })
  .map(({ second, fraction, zone, stream, tag, first, rest }) => {
    return `2026-11-23T14:00:${second}${fraction}${zone} ${stream} ${tag}${first}${rest}\n`
  })
/** A record whose lines have a line of the other stream between them. */
const interleaved = fc.constantFrom('x', 'T', '+').map((other) => {
  const head = '2026-11-23T14:00:00.123456789Z'
  return `${head} stdout F T\n${head} stderr F ${other}\n${head} stdout F +\n`
})
const line = fc.oneof(
  { weight: 12, arbitrary: usual },
  { weight: 4, arbitrary: odd },
  { weight: 1, arbitrary: interleaved },
)
/** Some are alike, as the lines of a log are. */
const lines = fc
  .array(fc.tuple(line, fc.constantFrom(1, 1, 1, 3)), { minLength: 1, maxLength: 15 })
  .map((all) => Buffer.concat(all.flatMap(([one, times]) => Array.from({ length: times }, () => encoded(one)))))

/** \xff is no UTF-8; the rest is. */
function encoded(text: string): Buffer {
  return Buffer.concat([...text].map((one) => Buffer.from(one, one === '\xff' ? 'latin1' : 'utf8')))
}

/** The same parser for a cutter that takes every line apart. */
function headless(parser: CriParser): LineParser {
  const get = (target: CriParser, key: keyof CriParser) => {
    if (key === 'head') return undefined
    const value = target[key]
    return typeof value === 'function' ? value.bind(target) : value
  }
  return new Proxy(parser, { get: get as ProxyHandler<CriParser>['get'] & {} })
}

/** All that a cut tells, records in the order of their source: a record that was pending is encoded behind those that came meanwhile. */
function cut(cutter: ChunkCutter, request: CutRequest) {
  cutter.cut(request)
  const { consumed, midLine, seconds, nanoseconds, pendingTo, pendingPart, truncated, malformed } = cutter
  const scanner = new RecordScanner(Buffer.from(cutter.out.subarray(0, cutter.encodedBytes)))
  const records: object[] = []
  while (scanner.next()) {
    const { offset, seconds, nanoseconds, stream, flags, lineStart, lineEnd } = scanner
    const text = cutter.out.toString('latin1', lineStart, lineEnd)
    records.push({ offset, seconds, nanoseconds, stream, flags, text, type: cutter.out[lineStart - 2] })
  }
  expect(records.length).toBe(cutter.records)
  records.sort((a, b) => (a as { offset: number }).offset - (b as { offset: number }).offset)
  return { records, consumed, midLine, seconds, nanoseconds, pendingTo, pendingPart, truncated, malformed }
}

test('lines that go through a run become what they become one by one', () => {
  const match = vi.spyOn(CriHead.prototype, 'match')
  fc.assert(
    fc.property(
      lines,
      fc.constantFrom(...detectors),
      fc.constantFrom('wait', 'pending', 'all'),
      fc.nat(),
      fc.option(fc.nat(), { nil: undefined }),
      fc.constantFrom(0, 2 ** 32 - 100, 2 ** 40),
      fc.constantFrom(64, 1024),
      (file, both, rest, missing, seamAt, offset, maxLineBytes) => {
        const limits = { maxLineBytes, maxLines: 5 }
        const [quick, careful] = [new ChunkCutter(limits), new ChunkCutter(limits)]
        const [parser, same] = [new CriParser(), headless(new CriParser())]
        // Behind other bytes, as in the reader's buffer; the rest of a window follows.
        const buffer = Buffer.concat([Buffer.alloc(7, 'z'), file, Buffer.alloc(50, '\n')])
        const end = rest === 'all' ? file.length : file.length - (missing % Math.min(file.length, 60))
        for (let at = 0; at < end; ) {
          const bytes = buffer.subarray(7 + at, 7 + Math.min(end, at + quick.windowBytes))
          const feed = seamAt === undefined ? -1 : bytes.indexOf(10, seamAt % bytes.length)
          const seam = feed === -1 ? {} : { seam: feed + 1 }
          const base = {
            bytes,
            offset: offset + at,
            detectors: both,
            midLine: false,
            seconds: 1,
            nanoseconds: 0,
            rest,
            ...seam,
          }
          const found = cut(quick, { ...base, parser })
          let expected = cut(careful, { ...base, parser: same })
          if (found.consumed !== expected.consumed) {
            // One by one a line that may begin a record is pending while lines of the other stream follow, and so the chunk ends elsewhere.
            expect(found.consumed).toBeGreaterThan(0)
            const { pendingTo, pendingPart } = found
            const upTo = { ...base, bytes: bytes.subarray(0, found.consumed), rest: 'pending' as const }
            expected = { ...cut(careful, { ...upTo, parser: same }), pendingTo, pendingPart }
          }
          expect(found).toEqual(expected)
          const texts = found.records.map((record) => (record as { text: string }).text)
          if (texts.some((text) => text.startsWith('T') && text.includes('\n+'))) reached.joined++
          if (found.truncated > 0) reached.truncated++
          if (found.malformed > 0) reached.malformed++
          if (found.pendingTo !== -1) reached.rolledBack++
          if (texts.some((text) => text.includes('\xff'))) reached.invalid++
          if (texts.some((text) => text.length > 384)) reached.long++
          at += found.consumed
          if (found.consumed === 0 || found.midLine) break
        }
        if (/stdout F T[^\n]*\n[^\n]*stderr F [^\n]*\n[^\n]*stdout F \+/.test(file.toString('latin1')))
          reached.joinedOverOther++
      },
    ),
    { numRuns: 1500 },
  )
  reached.inRun = match.mock.results.filter(({ value }) => value !== -1).length
  match.mockRestore()
})

afterAll(() => {
  for (const [what, count] of Object.entries(reached))
    expect(count, `the generator hardly reached: ${what}`).toBeGreaterThan(20)
})
