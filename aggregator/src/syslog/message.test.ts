import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseSyslog } from './message.ts'
import { streamsOf } from './streams.ts'

const received = Date.parse('2026-01-02T03:04:05.678Z')
const at = (text: string, nanoseconds = 0) => ({ seconds: Date.parse(text) / 1000, nanoseconds })

test.for([
  {
    text: `<165>1 2026-01-02T03:04:05.000003-07:00 host.example app 8710 ID47 [ex@32473 a="1" b="q\\"u\\\\o\\]te"][other x="é"] \ufeffa line`,
    is: {
      ...{ format: 'rfc5424', facility: 20, severity: 5, time: at('2026-01-02T10:04:05Z', 3000), host: 'host.example' },
      ...{ app: 'app', process: '8710', messageId: 'ID47', line: 'a line' },
      structured: { 'ex@32473_a': '1', 'ex@32473_b': 'q"u\\o]te', other_x: 'é' },
    },
  },
  {
    text: '<34>1 - - - - - -',
    is: { format: 'rfc5424', facility: 4, severity: 2, structured: {}, line: '' },
  },
  {
    text: '<34>1 2026-01-02T03:04:05Z h a - - - no mark\n',
    is: { format: 'rfc5424', time: at('2026-01-02T03:04:05Z'), host: 'h', app: 'a', structured: {}, line: 'no mark' },
  },
  {
    text: '<34>1 2026-01-02T03:04:05Z h a - - [flag] x',
    is: { format: 'rfc5424', structured: {}, line: 'x' },
  },
  {
    text: '<13>Jan  2 03:04:06 host app[12]: a line',
    is: {
      ...{ format: 'rfc3164', facility: 1, severity: 5, time: at('2026-01-02T03:04:06Z'), host: 'host', app: 'app' },
      ...{ process: '12', line: 'a line' },
    },
  },
  {
    text: '<13>Jan  2 03:04:06.713 host app[12]: x',
    is: { time: at('2026-01-02T03:04:06Z', 713_000_000), host: 'host', app: 'app', process: '12', line: 'x' },
  },
  { text: '<13>Dec 31 23:59:59 h a: x', is: { time: at('2025-12-31T23:59:59Z') } },
  { text: '<13>Feb 28 00:00:00 h a: x', is: { time: at('2026-02-28T00:00:00Z') } },
  {
    text: '<13>2026-01-02T04:04:05.5+01:00 fe80::1 app: a: b',
    is: { format: 'rfc3164', time: at('2026-01-02T03:04:05Z', 500_000_000), host: 'fe80::1', app: 'app', line: 'a: b' },
  },
  { text: '<13>Jan  2 03:04:06 host no tag here', is: { host: 'host', line: 'no tag here' } },
  { text: '<13>Jan  2 03:04:06 app[1]: of here', is: { app: 'app', process: '1', line: 'of here' } },
  { text: '<13>cron[9]: no time', is: { format: 'rfc3164', app: 'cron', process: '9', line: 'no time' } },
  { text: '<13>some words: and more', is: { format: 'rfc3164', line: 'some words: and more' } },
  { text: '<13>Foo 99 03:04:06 h a: x', is: { format: 'rfc3164', line: 'Foo 99 03:04:06 h a: x' } },
  { text: '<34>1 yesterday h a - - - x', is: { format: 'rfc3164', line: '1 yesterday h a - - - x' } },
  { text: '<34>1 - h a - - [broken x="] y', is: { format: 'rfc3164', line: '1 - h a - - [broken x="] y' } },
  { text: '<192>1 - - - - - - x', is: { format: 'none', line: '<192>1 - - - - - - x' } },
  { text: 'plain text', is: { format: 'none', line: 'plain text' } },
  { text: '', is: { format: 'none', line: '' } },
])('$text', ({ text, is }) => {
  const { line, ...rest } = parseSyslog(Buffer.from(text), received)
  expect({ ...rest, line: line.toString() }).toMatchObject(is)
})

test('lines keep bytes that are not UTF-8', () => {
  const line = Buffer.from([0xff, 0x00, 0xfe])
  expect(parseSyslog(Buffer.concat([Buffer.from('<1>1 - - a - - - '), line]), received).line).toEqual(line)
})

test('whatever comes is a message, and its line is part of what came', () => {
  const reached = { rfc5424: 0, rfc3164: 0, none: 0 }
  const piece = fc.oneof(
    fc.constantFrom(
      '<34>',
      '1 ',
      '- ',
      '[a b="',
      '"]',
      '2026-01-02T03:04:05Z ',
      'Jan  2 03:04:06 ',
      'host ',
      'app[1]: ',
      '\\',
      ']',
      '\0',
    ),
    fc.string({ unit: 'binary', maxLength: 5 }),
  )
  const begun = fc.constantFrom('', '<34>', '<34>1 - - - - - ', '<34>1 2026-01-02T03:04:05Z host app - - [a b="')
  fc.assert(
    fc.property(begun, fc.array(piece, { maxLength: 12 }), (beginning, pieces) => {
      const bytes = Buffer.from(beginning + pieces.join(''))
      const { format, line } = parseSyslog(bytes, received)
      reached[format]++
      expect(bytes.includes(line)).toBe(true)
      streamsOf([{ bytes, truncated: false }], 'peer', received)
    }),
    { numRuns: 3000 },
  )
  for (const [what, count] of Object.entries(reached)) expect(count, `never reached: ${what}`).toBeGreaterThan(50)
})

test('messages become streams by app, host and facility, with severity and structured data', () => {
  const frame = (text: string, truncated = false) => ({ bytes: Buffer.from(text), truncated })
  const { formats, streams } = streamsOf(
    [
      frame('<11>1 2026-01-02T03:04:05Z h a 7 M [x@1 some.key="v"] one'),
      frame('<14>1 2026-01-02T03:04:06Z h a - - - two', true),
      frame('not syslog'),
    ],
    '10.0.0.1',
    received,
  )
  expect(formats).toEqual({ rfc5424: 2, rfc3164: 0, none: 1 })
  expect(
    streams.map(({ labels, entries }) => ({
      labels,
      entries: entries.map((one) => ({ ...one, line: one.line.toString() })),
    })),
  ).toEqual([
    {
      labels: { app: 'a', host: 'h', facility: 'user' },
      entries: [
        {
          ...at('2026-01-02T03:04:05Z'),
          line: 'one',
          metadata: { x_1_some_key: 'v', process_id: '7', message_id: 'M', detected_level: 'error' },
        },
        { ...at('2026-01-02T03:04:06Z'), line: 'two', metadata: { detected_level: 'info', truncated: 'true' } },
      ],
    },
    {
      labels: { host: '10.0.0.1' },
      entries: [{ ...at('2026-01-02T03:04:05Z', 678_000_000), line: 'not syslog', metadata: {} }],
    },
  ])
})
