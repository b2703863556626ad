import { expect, test } from 'vitest'
import { type ClaimPart, encodeEntry, type LogEntry, LogVersionError } from './entry.ts'
import { decodeState, encodeState } from './snapshot.ts'
import { LedgerState } from './state.ts'

const x = '01'.repeat(16)
const y = '02'.repeat(16)
const days = 86_400_000
const at = (offset: number) => ({ segment: 1, offset })

/** A state made of entries of a few writers, each written a millisecond after the other from a time on. */
class Scene {
  readonly state: LedgerState
  time: number

  constructor(state = new LedgerState(), time = 40_000 * days) {
    this.state = state
    this.time = time
  }

  /** Appends an entry; its number. */
  entry(writer: string, entry: LogEntry = {}): number {
    const seq = this.state.next
    this.state.apply({ seq, entry: `entry ${seq}`, writer, at: this.time++, body: encodeEntry(entry) })
    return seq
  }

  claim(writer: string, from: number, parts: readonly ClaimPart[]): number {
    const days = [...new Set(parts.flatMap(({ day }) => (day === undefined ? [] : [day])))]
    return this.entry(writer, { claim: { block: { from: at(from), to: at(from + 1) }, days, parts } })
  }
}

const part = (first: number, end: number, more: Partial<ClaimPart> = {}): ClaimPart => ({
  ...{ source: x, day: 100, ranges: [[first, end]], records: 1, seen: end, ...more },
})
const dayless = (first: number, end: number): ClaimPart => {
  const { day: _, ...rest } = part(first, end)
  return rest
}

test('the first entry names the ledger; entries come in order', () => {
  const scene = new Scene()
  scene.entry('a')
  scene.entry('b')
  expect(scene.state).toMatchObject({ id: 'entry 0', next: 2 })
  const row = { entry: 'e', writer: 'a', at: 0, body: encodeEntry({}) }
  for (const seq of [1, 3]) expect(() => scene.state.apply({ ...row, seq })).toThrow('where 2 is due')
})

test('an entry of a newer version changes nothing', () => {
  const { state } = new Scene()
  const row = { seq: 0, entry: 'e', writer: 'a', at: 0, body: '{"v":2,"settled":[1]}' }
  expect(() => state.apply(row)).toThrow(LogVersionError)
  expect(state).toMatchObject({ next: 0, id: '' })
})

test('claimed at once, settled when its writer says so', () => {
  const scene = new Scene()
  const { state } = scene
  const claim = scene.claim('a', 0, [part(0, 10), dayless(10, 15), part(0, 5, { source: y })])
  expect(state.claimed(x)).toEqual([[0, 15]])
  // Bytes without rows need nothing in the store.
  expect(state.settled(x)).toEqual([[10, 15]])
  expect(state.openClaims(y)).toMatchObject([{ seq: claim, writer: 'a', contested: false }])
  scene.entry('b', { settled: [claim] })
  expect(state.settled(x)).toEqual([[10, 15]])
  scene.entry('a', { settled: [claim] })
  expect([state.settled(x), state.settled(y)]).toEqual([[[0, 15]], [[0, 5]]])
  expect([state.claims.size, state.openClaims(x), state.writers.get('a')?.blocks]).toEqual([0, [], []])
})

test('a claim without rows is settled with itself', () => {
  const scene = new Scene()
  scene.claim('a', 0, [dayless(0, 10)])
  expect(scene.state.settled(x)).toEqual([[0, 10]])
  expect(scene.state.writers.get('a')).toMatchObject({ blocks: [], upTo: at(1) })
})

test('what is contested its writer settles no more; days that are not in the store are free again', () => {
  const scene = new Scene()
  const { state } = scene
  const claim = scene.claim('a', 0, [part(0, 10), part(10, 20, { day: 101 }), dayless(20, 21)])
  scene.entry('b', { resolved: [{ claim, stored: [] }] })
  expect(state.claims.size, 'resolved without being contested').toBe(1)
  scene.entry('b', { contested: [claim] })
  scene.entry('a', { settled: [claim] })
  expect(state.claims.get(claim)?.contested).toBe(true)
  scene.entry('c', { resolved: [{ claim, stored: [101] }] })
  expect(state.claims.size).toBe(0)
  expect(state.claimed(x)).toEqual([[10, 21]])
  expect(state.writers.get('a')?.blocks).toEqual([{ from: at(0), to: at(1), claim: undefined, stored: [101] }])
  // A second finding comes too late.
  scene.entry('b', { contested: [claim], resolved: [{ claim, stored: [100, 101] }] })
  expect(state.claimed(x)).toEqual([[10, 21]])
  // What is left is claimed anew, by a claim of its own.
  const again = scene.claim('a', 0, [part(0, 10)])
  expect(state.writers.get('a')).toMatchObject({ upTo: at(1), blocks: [{ claim: again, stored: [101] }] })
  scene.entry('a', { settled: [again] })
  expect(state.settled(x)).toEqual([[0, 21]])
  expect(state.writers.get('a')?.blocks).toEqual([])
})

test('a block that is found whole in the store is done', () => {
  const scene = new Scene()
  const claim = scene.claim('a', 0, [part(0, 10)])
  scene.entry('b', { contested: [claim], resolved: [{ claim, stored: [100] }] })
  expect(scene.state.writers.get('a')?.blocks).toEqual([])
  expect(scene.state.settled(x)).toEqual([[0, 10]])
})

test('a session is refused by the fence of one that was heard of later, and by no other', () => {
  const scene = new Scene()
  const { state } = scene
  const fence = (session: string, keep = 0) => scene.entry('a', { fences: [{ session, sources: [[x, keep]] }] })
  const lets = (session: string | undefined, id = x) =>
    state.lets({ source: Buffer.from(id, 'hex'), ...(session === undefined ? {} : { session }) })
  scene.claim('a', 0, [part(0, 10, { session: 'old' })])
  fence('new', 7)
  expect(state.fenceAgainst(x, 'old')).toMatchObject({ session: 'new', keep: 7 })
  expect([lets('old'), lets('new'), lets(undefined), lets('old', y)]).toEqual([false, true, true, true])
  expect(lets('never heard of')).toBe(true)
  // A query of the old process that comes late takes nothing away.
  fence('old', 99)
  expect(state.fenceAgainst(x, 'old')).toMatchObject({ session: 'new', keep: 7 })
  fence('newest')
  expect([lets('new'), lets('newest')]).toEqual([false, true])
  const seam = { source: Buffer.from(x, 'hex'), at: 5 }
  expect(state.lets({ source: Buffer.from(y, 'hex'), seam, session: 'old' } as never)).toBe(false)
})

test('what a fence refuses, a later one that keeps more does not let through', () => {
  const scene = new Scene()
  const { state } = scene
  const fence = (session: string, keep: number) => scene.entry('a', { fences: [{ session, sources: [[x, keep]] }] })
  const kept = (session: string) => state.fenceAgainst(x, session)?.keep
  fence('first', 0)
  // The second process knows less than was acknowledged to the first one, and reads 10..60 anew, in records of its own.
  fence('second', 10)
  fence('third', 60)
  expect([kept('first'), kept('second'), kept('third')]).toEqual([10, 60, undefined])
  // Asking again takes nothing back.
  fence('second', 40)
  fence('third', 70)
  expect([kept('first'), kept('second'), kept('third')]).toEqual([10, 60, undefined])
  fence('fourth', 5)
  expect([kept('first'), kept('second'), kept('third'), kept('fourth')]).toEqual([5, 5, 5, undefined])
})

test('of fences that keep only what is stored the last one is remembered', () => {
  const scene = new Scene()
  const { state } = scene
  const fence = (session: string, keep: number) => scene.entry('a', { fences: [{ session, sources: [[x, keep]] }] })
  const keeps = () => state.fences.get(x)?.map(({ session, keep }) => [session, keep])
  for (const [i, keep] of [10, 20, 30, 40].entries()) fence(`s${i}`, keep)
  expect(keeps()).toEqual([10, 20, 30, 40].map((keep, i) => [`s${i}`, keep]))
  const open = scene.claim('a', 0, [part(0, 30)])
  fence('s4', 50)
  expect(keeps(), 'what is claimed may be free again').toHaveLength(5)
  scene.entry('a', { settled: [open] })
  fence('s5', 60)
  expect(keeps()).toEqual([
    ['s2', 30],
    ['s3', 40],
    ['s4', 50],
    ['s5', 60],
  ])
  fence('s6', 30)
  expect(keeps()).toEqual([['s6', 30]])
})

test('with a snapshot, what nothing came of for 30 days is forgotten, but for what is open', () => {
  const scene = new Scene()
  const { state } = scene
  const first = scene.claim('a', 0, [part(0, 10)])
  scene.entry('a', { settled: [first], fences: [{ session: 's', sources: [[x, 0]] }] })
  const open = scene.claim('b', 0, [part(0, 10, { source: y })])
  scene.time += 31 * days
  scene.entry('c', { snapshot: 3 })
  expect([...state.accounts.keys()]).toEqual([y])
  expect([...state.writers.keys()]).toEqual(['b', 'c'])
  expect([state.fences.size, [...state.claims.keys()], state.snapshot]).toEqual([0, [open], 3])
})

test('a state is the same after it was written and read', () => {
  const scene = new Scene()
  const about = { path: '/x', labels: { pod: 'p' }, metadata: { m: '1' } }
  const claim = scene.claim('a', 0, [part(0, 10, { about, leftOut: { drop: 3 } as never })])
  scene.entry('b', { contested: [claim], resolved: [{ claim, stored: [] }] })
  scene.claim('a', 0, [part(0, 8, { about, session: 's' }), part(8, 10, { day: 101 })])
  scene.claim('b', 0, [part(0, 4, { source: y, outcome: { kind: 'lost', reason: 'corrupt' } })])
  scene.entry('c', { fences: [{ session: 't', sources: [[x, 4]] }] })
  const read = decodeState({ upTo: scene.state.next, lines: encodeState(scene.state) })
  expect(encodeState(read)).toEqual(encodeState(scene.state))
  expect(read.settled(x)).toEqual(scene.state.settled(x))
  expect(read.claimed(y)).toEqual(scene.state.claimed(y))
  expect(read.openClaims(x)).toEqual(scene.state.openClaims(x))
  expect(read.fenceAgainst(x, 's')).toEqual(scene.state.fenceAgainst(x, 's'))
  // What comes next means the same to both.
  for (const state of [read, scene.state]) {
    const next = new Scene(state, scene.time)
    next.entry('a', { settled: [3] })
    next.claim('a', 5, [part(10, 20)])
  }
  expect(encodeState(read)).toEqual(encodeState(scene.state))
  const [head, ...rest] = encodeState(read)
  const newer = JSON.stringify({ ...JSON.parse(head!), v: 2 })
  expect(() => decodeState({ upTo: 9, lines: [newer, ...rest] })).toThrow(LogVersionError)
})
