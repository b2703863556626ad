import fc from 'fast-check'
import { expect, test } from 'vitest'
import { briefly, exclusionsOf, meet, obstacle, openBlock } from './claim-request.ts'
import { type Claim, type ClaimPart, encodeEntry, type LogEntry } from './entry.ts'
import { LedgerState } from './state.ts'

const x = '01'.repeat(16)
const y = '02'.repeat(16)
const block = { from: { segment: 1, offset: 0 }, to: { segment: 1, offset: 9 } }

const part = (first: number, end: number, more: Partial<ClaimPart> = {}): ClaimPart => ({
  ...{ source: x, day: 100, ranges: [[first, end]], records: 1, seen: end, ...more },
})
const claimOf = (...parts: ClaimPart[]): Claim => ({ block, days: [100], parts })

function stateOf(...entries: [writer: string, entry: LogEntry][]): LedgerState {
  const state = new LedgerState()
  for (const [seq, [writer, entry]] of entries.entries())
    state.apply({ seq, entry: `${seq}`, writer, at: 0, body: encodeEntry(entry) })
  return state
}

test.each<{ what: string; writer: string; wanted: ClaimPart; found: boolean }>([
  { what: 'bytes that another has open', writer: 'b', wanted: part(19, 30), found: true },
  { what: 'bytes behind them', writer: 'b', wanted: part(20, 30), found: false },
  { what: 'bytes before them', writer: 'b', wanted: part(0, 5), found: false },
  { what: 'bytes of another source', writer: 'b', wanted: part(5, 9, { source: y }), found: false },
  { what: 'bytes that it has open itself', writer: 'a', wanted: part(5, 9), found: false },
])('$what: in the way: $found', ({ writer, wanted, found }) => {
  const state = stateOf(['a', { claim: claimOf(part(5, 20)) }])
  expect(obstacle(state, writer, claimOf(part(50, 60, { source: y }), wanted)) !== undefined).toBe(found)
})

test("what is settled is in nobody's way, and excluded", () => {
  const state = stateOf(['a', { claim: claimOf(part(0, 10), part(20, 30)) }], ['a', { settled: [0] }])
  const wanted = claimOf(part(5, 25, { session: 's' }), part(40, 50), part(0, 9, { source: y }))
  expect(obstacle(state, 'b', wanted)).toBeUndefined()
  const ranges = [
    [5, 10],
    [20, 25],
  ]
  expect(exclusionsOf(state, wanted)).toEqual([{ source: x, session: 's', ranges }])
  expect(exclusionsOf(state, claimOf(part(10, 20)))).toEqual([])
})

test('a fence excludes what older sessions have beyond what its collector keeps', () => {
  const fences = [{ session: 'new', sources: [[x, 12]] as [string, number][] }]
  const state = stateOf(['a', { claim: claimOf(part(0, 5, { session: 'old' })) }], ['b', { fences }])
  const of = (session: string | undefined) =>
    exclusionsOf(state, claimOf(part(5, 20, session === undefined ? {} : { session })))
  expect(of('old')).toEqual([{ source: x, session: 'old', ranges: [[12, 20]] }])
  for (const session of ['new', 'unheard', undefined]) expect(of(session)).toEqual([])
})

test('what the accounts know of a source is not told again', () => {
  const about = { path: '/x', labels: { pod: 'p' }, metadata: {} }
  const state = stateOf(['a', { claim: claimOf(part(0, 10, { about })) }])
  const told = (...parts: ClaimPart[]) => briefly(state, claimOf(...parts)).parts.map((one) => one.about)
  const renamed = { ...about, path: '/z' }
  expect(told(part(10, 20, { about }))).toEqual([undefined])
  expect(told(part(10, 20, { about: renamed }), part(20, 30, { about: renamed }))).toEqual([renamed, undefined])
  expect(told(part(10, 20, { about: { ...about, labels: { pod: 'q' } } }))).toHaveLength(1)
  expect(told(part(0, 5, { source: y, about }))).toEqual([about])
  // An outcome of a source whose file is gone knows less than the accounts.
  const outcome = { kind: 'lost', reason: 'corrupt' } as const
  expect(told(part(10, 20, { about: { path: '', labels: {}, metadata: {} }, outcome }))).toEqual([undefined])
})

test('the block that begins in the same place is the same', () => {
  const state = stateOf(['a', { claim: claimOf(part(0, 10)) }])
  expect(openBlock(state, 'a', block)).toMatchObject({ claim: 0 })
  expect(openBlock(state, 'b', block)).toBeUndefined()
  expect(openBlock(state, 'a', { ...block, from: { segment: 1, offset: 1 } })).toBeUndefined()
})

test('what two sets have in common is what is in both, byte by byte', () => {
  const ranges = fc
    .uniqueArray(fc.nat({ max: 40 }), { maxLength: 10 })
    .map((ends) => ends.toSorted((a, b) => a - b))
    .map((ends) =>
      ends.flatMap((first, i) => (i % 2 === 0 && i + 1 < ends.length ? [[first, ends[i + 1]!] as const] : [])),
    )
  const bytes = (set: readonly (readonly [number, number])[]) =>
    [...Array(41).keys()].filter((byte) => set.some(([first, end]) => byte >= first && byte < end))
  let met = 0
  fc.assert(
    fc.property(ranges, ranges, (a, b) => {
      const common = meet(a, b)
      if (common.length > 1) met++
      expect(bytes(common)).toEqual(bytes(a).filter((byte) => bytes(b).includes(byte)))
      for (const [first, end] of common) expect(first).toBeLessThan(end)
    }),
  )
  expect(met).toBeGreaterThan(5)
})
