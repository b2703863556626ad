import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ApiError } from './api-error.ts'
import { type WatchEvent, WatchLines } from './watch-lines.ts'

const line = (type: string, version: string, name = 'a') =>
  `${JSON.stringify({ type, object: { metadata: { resourceVersion: version, name } } })}\n`

function read(pieces: readonly Buffer[]): WatchEvent[] {
  const events: WatchEvent[] = []
  const lines = new WatchLines((event) => events.push(event))
  for (const piece of pieces) lines.push(piece)
  return events
}

test('events, and how far the watch is', () => {
  const text = line('ADDED', '5') + line('MODIFIED', '6') + line('DELETED', '7') + line('BOOKMARK', '9')
  expect(read([Buffer.from(text)])).toEqual([
    { type: 'seen', version: '5', object: { metadata: { resourceVersion: '5', name: 'a' } } },
    { type: 'seen', version: '6', object: { metadata: { resourceVersion: '6', name: 'a' } } },
    { type: 'gone', version: '7', object: { metadata: { resourceVersion: '7', name: 'a' } } },
    { type: 'bookmark', version: '9' },
  ])
})

test('where the bytes are cut changes nothing, and what has no end yet is no event', () => {
  const bytes = Buffer.from(`${line('ADDED', '5', 'é')}\n${line('BOOKMARK', '6')}${line('DELETED', '7')}{"type":"AD`)
  const whole = read([bytes])
  expect(whole).toHaveLength(3)
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 8 }), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), bytes.length]
      expect(read(at.slice(1).map((to, index) => Buffer.from(bytes.subarray(at[index]!, to))))).toEqual(whole)
    }),
  )
})

test.for([
  { what: 'no JSON', text: '<html>\n', reason: 'garbage' },
  { what: 'no event', text: '{"type":"ADDED","object":{}}\n', reason: 'garbage' },
  {
    what: 'a name of a method',
    text: '{"type":"constructor","object":{"metadata":{"resourceVersion":"1"}}}\n',
    reason: 'garbage',
  },
  { what: 'a number', text: '7\n', reason: 'garbage' },
  { what: 'a place that is forgotten', text: '{"type":"ERROR","object":{"code":410}}\n', reason: 'expired' },
  { what: 'an error', text: '{"type":"ERROR","object":{"code":500,"message":"etcd"}}\n', reason: 'status' },
  { what: 'an error without a code', text: '{"type":"ERROR"}\n', reason: 'status' },
  { what: 'a line without an end', text: 'x'.repeat(9 * 1024 * 1024), reason: 'garbage' },
])('$what: $reason', ({ text, reason }) => {
  let thrown: unknown
  try {
    read([Buffer.from(text)])
  } catch (error) {
    thrown = error
  }
  expect(thrown).toBeInstanceOf(ApiError)
  expect((thrown as ApiError).reason).toBe(reason)
})
