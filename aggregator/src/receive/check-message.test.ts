import { chunkOptions, ledgerQueryOptions } from '@tributary/protocol/chunk.ts'
import { compress } from '@tributary/protocol/compression.ts'
import { forwardMessage } from '@tributary/protocol/forward.ts'
import { EventTime, encode } from '@tributary/protocol/msgpack.ts'
import { ReceiveError } from '@tributary/protocol/receive/receive-error.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { checkMessage } from './check-message.ts'

const max = 1 << 20
const time = new EventTime(1, 2)
const entry = encode([time, { log: 'x' }])
const header = {
  source: Buffer.alloc(16, 1),
  range: [0, 10] as const,
  seen: 10,
  rawBytes: entry.length,
  path: '/x',
  labels: { pod: 'p' },
  metadata: {},
}
const message = (entries: Uint8Array, options: Record<string, unknown>) =>
  Buffer.concat(forwardMessage('t', entries, options))
const own = (changes: Record<string, unknown>, options: Record<string, unknown> = {}) => {
  const made = chunkOptions(header, 1, 'none')
  return message(entry, { ...made, ...options, tributary: { ...(made['tributary'] as object), ...changes } })
}

test.for([
  { what: 'nil', bytes: encode(null), expected: { kind: 'heartbeat' } },
  { what: 'a chunk of ours', bytes: own({}), expected: { kind: 'chunk', records: 1, header: { range: [0, 10] } } },
  {
    what: 'a chunk of lost bytes',
    bytes: own({ outcome: 'lost:deleted' }, { size: 0 }),
    expected: { kind: 'chunk', records: 0, header: { outcome: { kind: 'lost', reason: 'deleted' } } },
  },
  {
    what: 'a ledger query',
    bytes: message(Buffer.alloc(0), ledgerQueryOptions('q', [{ source: header.source, keep: 7 }])),
    expected: { kind: 'query', chunk: 'q', sources: [{ source: header.source, keep: 7 }] },
  },
  {
    what: 'metrics',
    bytes: message(entry, { chunk: 'c', fluent_signal: 1 }),
    expected: { kind: 'unsupported', signal: 'metrics' },
  },
  { what: 'packed records', bytes: message(entry, {}), expected: { kind: 'foreign', chunk: undefined } },
  {
    what: 'compressed records',
    bytes: message(compress(entry, 'gzip'), { compressed: 'gzip' }),
    expected: { kind: 'foreign' },
  },
  {
    what: 'gzip that is called zstd',
    bytes: message(compress(entry, 'gzip'), { compressed: 'zstd' }),
    expected: { kind: 'foreign' },
  },
  {
    what: 'metadata beside the time',
    bytes: encode(['t', [[[time, {}], { log: 'x' }]]]),
    expected: { kind: 'foreign' },
  },
  {
    what: 'entries that are none among one that is',
    bytes: encode(['t', [[null, {}], 5, [time, 'x'], [time, { log: 'x' }]]]),
    expected: { kind: 'foreign' },
  },
  {
    what: 'no records at all',
    bytes: message(Buffer.alloc(0), { chunk: 'c' }),
    expected: { kind: 'foreign', chunk: 'c' },
  },
])('$what', ({ bytes, expected }) => expect(checkMessage(bytes, max)).toMatchObject(expected))

test.for([
  { what: 'another protocol', bytes: Buffer.from('G'), problem: 'not_forward', fatal: true },
  { what: 'a message without entries', bytes: encode(['t']), problem: 'not_forward', fatal: false },
  { what: 'a source of 15 bytes', bytes: own({ source: Buffer.alloc(15) }), problem: 'bad_chunk', fatal: false },
  { what: 'a range that ends before it begins', bytes: own({ first: 11 }), problem: 'bad_chunk', fatal: false },
  { what: 'a newer version', bytes: own({ v: 2 }), problem: 'bad_chunk', fatal: false },
  { what: 'a chunk that says it is a push', bytes: own({ push: 1 }), problem: 'bad_chunk', fatal: false },
  { what: 'an unknown outcome', bytes: own({ outcome: 'lost:cat' }), problem: 'bad_chunk', fatal: false },
  {
    what: 'our key with a number behind it',
    bytes: message(entry, { tributary: 5 }),
    problem: 'bad_chunk',
    fatal: false,
  },
  {
    what: 'a chunk without the number of its records',
    bytes: own({}, { size: 'x' }),
    problem: 'bad_chunk',
    fatal: false,
  },
  {
    what: 'a query of half a source',
    bytes: message(entry, { chunk: 'c', tributary: { v: 1, query: Buffer.alloc(8) } }),
    problem: 'bad_chunk',
    fatal: false,
  },
  {
    what: 'plain records called gzip',
    bytes: message(entry, { compressed: 'gzip' }),
    problem: 'bad_entries',
    fatal: false,
  },
  { what: 'an entry that is a number', bytes: message(encode(5), {}), problem: 'bad_entries', fatal: false },
  { what: 'a time that is a string', bytes: encode(['t', [['now', {}]]]), problem: 'bad_entries', fatal: false },
  { what: 'a record that is a string', bytes: encode(['t', [[time, 'x']]]), problem: 'bad_entries', fatal: false },
  { what: 'a message whose time is nil', bytes: encode(['t', null, {}]), problem: 'bad_entries', fatal: false },
  {
    what: 'a bomb that says so',
    bytes: message(compress(Buffer.alloc(max + 1), 'zstd'), {}),
    problem: 'zip_bomb',
    fatal: false,
  },
])('$what is refused as $problem', ({ bytes, problem, fatal }) => {
  try {
    checkMessage(bytes, max)
    expect.unreachable()
  } catch (error) {
    expect(error).toBeInstanceOf(ReceiveError)
    expect(error).toMatchObject({ problem, fatal })
  }
})

test('any change to a message gives a message or a ReceiveError, nothing else', () => {
  const seeds = [own({}), message(compress(entry, 'zstd'), { chunk: 'c' }), encode(['t', [[time, { log: 'x' }]], {}])]
  const seen = { refused: 0, taken: 0 }
  fc.assert(
    fc.property(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(400), fc.nat(255))), (seed, changes) => {
      const bytes = Buffer.from(seed)
      for (const [at, value] of changes) bytes[at % bytes.length] = value
      try {
        checkMessage(bytes, max)
        seen.taken++
      } catch (error) {
        expect(error).toBeInstanceOf(ReceiveError)
        seen.refused++
      }
    }),
    { numRuns: 3000 },
  )
  expect(Math.min(seen.refused, seen.taken)).toBeGreaterThan(100)
})
