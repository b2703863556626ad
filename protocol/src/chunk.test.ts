import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type ChunkHeader,
  chunkHeader,
  chunkOptions,
  encodeAck,
  filterReasons,
  ledgerQuery,
  ledgerQueryOptions,
  lossReasons,
  parseAck,
  querySession,
  seamVersion,
} from './chunk.ts'
import { decode, encode, MsgpackError } from './msgpack.ts'

const source = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes))
const strings = fc.dictionary(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), {
  maxKeys: 3,
  noNullPrototype: true,
})
const outcome = fc.oneof(
  fc.constantFrom(...lossReasons).map((reason) => ({ kind: 'lost', reason }) as const),
  fc.constantFrom(...filterReasons).map((reason) => ({ kind: 'filtered', reason }) as const),
)
const header: fc.Arbitrary<ChunkHeader> = fc
  .record(
    {
      source,
      next: source,
      first: fc.oneof(
        fc.nat(1000),
        fc.nat(2 ** 31).map((n) => n * 2 ** 20),
      ),
      length: fc.integer({ min: 2, max: 100_000 }),
      ahead: fc.nat(1000),
      cut: fc.nat(),
      rawBytes: fc.nat(),
      path: fc.string(),
      labels: strings,
      metadata: strings,
      outcome,
      dropped: fc.nat(),
      session: fc.string(),
    },
    {
      requiredKeys: ['source', 'first', 'length', 'ahead', 'cut', 'rawBytes', 'path', 'labels', 'metadata'],
      noNullPrototype: true,
    },
  )
  .map(({ next, first, length, ahead, cut, dropped, ...rest }) => {
    const end = first + length
    return {
      ...rest,
      range: [first, end],
      seen: end + ahead,
      ...(dropped === undefined ? {} : { leftOut: { dropped: dropped % (length + 1) } }),
      ...(next === undefined ? {} : { seam: { source: next, at: first + 1 + (cut % (length - 1)) } }),
    }
  })

const own = (options: Record<string, unknown>) => options['tributary'] as Record<string, unknown>

test('what a chunk says of itself comes back as it was', () => {
  fc.assert(
    fc.property(header, (sent) => {
      const options = chunkOptions(sent, 3, 'none')
      expect(chunkHeader(decode(encode(options)))).toEqual(sent)
      expect(own(options)['v']).toBe(sent.seam === undefined ? 1 : seamVersion)
    }),
  )
})

test('whatever stands in a field, it is a header or a typed error', () => {
  const value = fc.oneof(
    fc.constantFrom(undefined, null, -1, 0.5, 2 ** 53, '', 'x:y', [], {}, { rate: -1 }, { toString: 1 }),
    fc.uint8Array({ maxLength: 17 }).map((bytes) => Buffer.from(bytes)),
    fc.anything({ maxDepth: 1 }),
  )
  const keys = ['v', 'source', 'first', 'end', 'seen', 'raw', 'path', 'labels', 'outcome', 'left_out', 'next', 'seam']
  let refused = 0
  fc.assert(
    fc.property(header, fc.constantFrom(...keys, 'metadata', 'session', 'relay'), value, (sent, key, garbage) => {
      const options = chunkOptions(sent, 3, 'none')
      own(options)[key] = garbage
      try {
        const { range, seam, leftOut, seen } = chunkHeader(options) ?? { ...sent }
        expect(range[0] <= range[1] && range[1] <= seen).toBe(true)
        if (seam) expect(seam.at > range[0] && seam.at < range[1]).toBe(true)
        for (const bytes of Object.values(leftOut ?? {})) expect(bytes).toBeLessThanOrEqual(range[1] - range[0])
      } catch (error) {
        refused++
        expect(error).toBeInstanceOf(MsgpackError)
      }
    }),
    { numRuns: 1000 },
  )
  expect(refused).toBeGreaterThan(100)
})

const sound: ChunkHeader = {
  ...{ source: Buffer.alloc(16, 1), range: [10, 20], seen: 20, rawBytes: 0, path: '/x', labels: {}, metadata: {} },
}
const seam = { v: seamVersion, next: Buffer.alloc(16, 2) }
test.for([
  [{ v: 3 }, 'version 3'],
  [{ source: Buffer.alloc(15) }, 'tributary.source'],
  [{ end: 9 }, 'tributary.first'],
  [{ labels: { a: 1 } }, 'tributary.labels'],
  [{ session: 7 }, 'tributary.session'],
  [{ left_out: { moods: 1 } }, 'tributary.left_out'],
  [{ left_out: { rate: 6, dropped: 5 } }, '11 bytes of a range of 10'],
  [{ left_out: 'rate' }, 'tributary.left_out'],
  [{ ...seam, seam: 10 }, 'tributary.seam'],
  [{ ...seam, seam: 20 }, 'tributary.seam'],
  [{ ...seam, seam: 15, next: Buffer.alloc(3) }, 'tributary.next'],
  [{ v: seamVersion }, 'tributary.next'],
  [{ outcome: 'lost:interest' }, 'tributary.outcome'],
] as const)('%o is refused by name', ([change, message]) => {
  const options = chunkOptions(sound, 0, 'none')
  Object.assign(own(options), change)
  expect(() => chunkHeader(options)).toThrow(MsgpackError)
  expect(() => chunkHeader(options)).toThrow(message)
})

const asked = [
  { source: Buffer.alloc(16, 1), keep: 0 },
  { source: Buffer.alloc(16, 2), keep: 2 ** 40 },
]

test('a ledger query tells its sources, what they were acknowledged, and its session', () => {
  const query = decode(encode(ledgerQueryOptions('q', asked, 's')))
  expect(ledgerQuery(query)).toEqual(asked)
  expect(querySession(query)).toBe('s')
  const older = decode(encode(ledgerQueryOptions('q', asked)))
  expect(querySession(older)).toBeUndefined()
  expect(ledgerQuery(decode(encode(ledgerQueryOptions('q', []))))).toEqual([])
  expect(ledgerQuery(chunkOptions(sound, 0, 'none'))).toBeUndefined()
})

test('a query of a collector that does not tell what it keeps keeps nothing', () => {
  const options = ledgerQueryOptions('q', asked)
  own(options)['keep'] = undefined
  expect(ledgerQuery(options)!.map(({ keep }) => keep)).toEqual([0, 0])
})

test.for([[[1]], [[1, -1]], [[1, 0.5]], [[1, '2']], [7], [null], [{ length: 2 }]])(
  '%j as what is kept is refused',
  ([keep]) => {
    const options = ledgerQueryOptions('q', asked)
    own(options)['keep'] = keep
    expect(() => ledgerQuery(options)).toThrow(MsgpackError)
    expect(() => ledgerQuery(options)).toThrow('tributary.keep')
  },
)

test.for([
  { ack: 'a' },
  { ack: 'a', ranges: [] },
  { ack: 'a', ranges: [[[0, 5]], []], ledger: 'l', shared: false },
  { ack: 'a', ranges: [[[0, 5]]], ledger: 'l', shared: true },
  { ack: 'a', ranges: [], ledger: 'l', shared: false, before: ['k', 'j'] },
] as const)('the answer %j comes back as it was', (ack) => {
  expect(parseAck(decode(encodeAck(ack)))).toEqual(ack)
})

test.for([
  [null],
  [{}],
  [{ ack: 'a', ranges: [[[1]]] }],
  [{ ack: 'a', ranges: [[1]] }],
  [{ ack: 'a', ranges: [], ledger: 1 }],
  [{ ack: 'a', ranges: [], ledger: 'l', before: 'k' }],
  [{ ack: 'a', ranges: [], ledger: 'l', before: [1] }],
])('%j is no answer', ([value]) => {
  expect(() => parseAck(value)).toThrow(MsgpackError)
})
