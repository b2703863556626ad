import fc from 'fast-check'
import { expect, test } from 'vitest'
import { findTrace } from './detect-trace.ts'

const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
const span = '00f067aa0ba902b7'
const find = (line: string) => {
  const bytes = Buffer.from(`race trace_id=nothing\n${line}\ntrace_id=${'e'.repeat(32)}`)
  const start = bytes.indexOf(10) + 1
  return findTrace(bytes, start, start + Buffer.byteLength(line))
}

test.for([
  [`{"msg":"x","trace_id":"${trace}","span_id":"${span}"}`, { trace_id: trace, span_id: span }],
  [`{"traceId": "${trace.toUpperCase()}", "spanId": "${span}"}`, { trace_id: trace, span_id: span }],
  [`level=info traceID=${trace} spanID=${span} msg="y"`, { trace_id: trace, span_id: span }],
  [`INFO [app,${trace},${span}] trace.id="${trace}"`, { trace_id: trace }],
  [`traceparent: 00-${trace}-${span}-01`, { trace_id: trace, span_id: span }],
  [`{"headers":"{\\"traceparent\\":\\"00-${trace}-${span}-01\\"}"}`, { trace_id: trace, span_id: span }],
  [
    'dd.trace_id=1234567890123456789 dd.span_id=987654321 ok',
    { trace_id: '1234567890123456789', span_id: '987654321' },
  ],
  [`X-B3-TraceId: ${span}`, { trace_id: span }],
  [`é trace-id=${trace}`, { trace_id: trace }],
  ['no id here', undefined],
  ['TRACE trace level, a race condition', undefined],
  [`trace_id=${'0'.repeat(32)}`, undefined],
  [`trace_id=${trace}abc`, undefined],
  ['trace_id=deadbeef', undefined],
  [`trace_identity=${trace}`, undefined],
  [`trace_id${trace}`, undefined],
  [`span_id=${span}`, undefined],
  ['', undefined],
])('%s', ([line, ids]) => {
  expect(find(line as string)).toEqual(ids)
})

test('a key is found wherever in a line it begins', () => {
  for (let before = 0; before < 12; before++) {
    for (const key of ['trace_id', 'TraceId', 'traceID']) {
      const line = `${'.'.repeat(before)}${key}=${trace}`
      expect(find(line), line).toEqual({ trace_id: trace })
    }
  }
})

test('each line of a message has its own, and any bytes are looked through', () => {
  const line = fc.oneof(
    fc.constant(`trace_id=${trace}`),
    fc.string({ unit: fc.constantFrom('t', 'race', 'trace_id', '=', '"', 'a', '0', 'span', ' '), maxLength: 40 }),
  )
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), (lines) => {
      const bytes = Buffer.from(lines.join('\n'))
      let at = 0
      for (const one of lines) {
        const found = findTrace(bytes, at, at + one.length)
        expect(found).toEqual(findTrace(Buffer.from(one), 0, one.length))
        at += one.length + 1
      }
    }),
  )
})
