import type { ChunkHeader } from '@tributary/protocol/chunk.ts'
import { relaySource } from '@tributary/protocol/chunk.ts'
import { expect, test } from 'vitest'
import { Fleet } from './held-sender.ts'

const source = Buffer.alloc(16, 1)
const records = Buffer.alloc(100)

function header(of: Buffer, first = 0, seam?: ChunkHeader['seam']): ChunkHeader {
  const common = { seen: first + 10, rawBytes: 100, path: '/x', labels: {}, metadata: {} }
  return { source: of, range: [first, first + 10], ...common, ...(seam ? { seam } : {}) }
}

/** A source that goes to the aggregator of that name. */
function sourceFor(fleet: Fleet, name: string, seed = 0): Buffer {
  for (let i = seed * 1000; ; i++) {
    const candidate = Buffer.alloc(16)
    candidate.writeUInt32LE(i + 1, 8)
    if (fleet.courier.routeTo(candidate)?.address === name) return candidate
  }
}

test('messages of applications take no place in the window of chunks, only of the budget', async () => {
  using fleet = new Fleet({ budget: 4000, window: 1 })
  fleet.list('a')
  fleet.connect('a')
  const { courier } = fleet
  const relayed = ['x', 'y'].map((id) => courier.relay('a', id, source, [Buffer.alloc(500)]))
  expect(courier.hasRoom(source)).toBe(true)
  void courier.relay('a', 'z', source, [Buffer.alloc(1000)])
  expect([courier.hasRoom(source), courier.open]).toEqual([false, false])
  const room: string[] = []
  courier.onRoom = () => room.push('files')
  courier.onRelayRoom = () => room.push('applications')
  fleet.sender('a').ack(2)
  await Promise.all(relayed)
  expect(room).toEqual(['files', 'applications', 'files', 'applications'])
  expect([courier.hasRoom(source), courier.open]).toEqual([true, true])
  // What is left is one kilobyte, and what keeping it costs.
  expect(courier.relayedBytes).toBe(2024)
})

test('what comes before any aggregator is known waits for the first, in its order', async () => {
  using fleet = new Fleet()
  const { courier } = fleet
  const asked = courier.ask([{ source, keep: 3 }])
  const reported = courier.report(header(source))
  void courier.relay(courier.relayRoute(0), 'r', relaySource(), [Buffer.alloc(5)])
  expect([courier.waiting, courier.connected, courier.hasRoom(source)]).toEqual([3, false, false])
  fleet.list('a b')
  expect(courier.waiting).toBe(3)
  fleet.connect('a')
  const held = fleet.sender('a').held
  expect(held.map(({ kind }) => kind)).toEqual(['query', 'chunk', 'relay'])
  expect([courier.connected, courier.hasRoom(source)]).toEqual([true, true])
  held[0]!.settle({ ack: held[0]!.id, ranges: [[[0, 7]]] })
  held[1]!.settle({ ack: held[1]!.id })
  expect(await asked).toEqual(new Map([[source.toString('hex'), [[0, 7]]]]))
  await reported
})

test('a source moves to the aggregator its hash leads to when nothing of it is in flight at the old one', async () => {
  using fleet = new Fleet()
  fleet.list('a b')
  fleet.connect('a b')
  const moving = sourceFor(fleet, 'b')
  const idle = sourceFor(fleet, 'b', 1)
  fleet.list('a')
  const first = fleet.courier.deliver(header(moving), records, 1)
  fleet.list('a b')
  expect(fleet.courier.routeTo(moving)).toEqual({ address: 'a', why: 'in_flight', chunks: 1, others: 2, next: 'b' })
  expect(fleet.courier.routeTo(idle)).toEqual({ address: 'b', why: 'hash', chunks: 0, others: 2 })
  void fleet.courier.deliver(header(moving, 10), records, 1)
  expect(fleet.sender('b').waiting).toBe(0)
  fleet.sender('a').ack(2)
  await first
  void fleet.courier.deliver(header(moving, 20), records, 1)
  expect([fleet.sender('a').waiting, fleet.sender('b').waiting]).toEqual([0, 1])
})

test('a chunk over a seam keeps both its sources where it is until it is acknowledged', () => {
  using fleet = new Fleet()
  fleet.list('a b')
  fleet.connect('a b')
  const [one, next] = [sourceFor(fleet, 'a'), sourceFor(fleet, 'b')]
  void fleet.courier.deliver(header(one, 0, { source: next, at: 5 }), records, 1)
  expect(fleet.courier.routeTo(next)).toMatchObject({ address: 'a', next: 'b' })
  void fleet.courier.deliver(header(next, 5), records, 1)
  expect(fleet.sender('a').waiting).toBe(2)
  fleet.sender('a').ack(2)
  expect(fleet.courier.routeTo(next)).toMatchObject({ address: 'b', why: 'hash', chunks: 0 })
})

test('what an aggregator did not acknowledge stays its own until it is gone, and goes on byte for byte', async () => {
  using fleet = new Fleet({ takeoverAfter: 10_000 })
  fleet.list('a b c')
  fleet.connect('a b c')
  const { courier } = fleet
  const one = sourceFor(fleet, 'a')
  const chunks = [0, 10, 20].map((first) => courier.deliver(header(one, first), records, 1))
  const relayed = courier.relay('a', 'r', relaySource(), [Buffer.from('app')])
  const sent = fleet.sender('a').held.map(({ id, pieces }) => [id, Buffer.concat(pieces)])
  fleet.sender('a').disconnect()
  fleet.pass(9000)
  expect(fleet.sender('a').waiting).toBe(4)
  // Nothing more of it is read, and what goes elsewhere by its hash is.
  expect([courier.hasRoom(one), courier.hasRoom(sourceFor(fleet, 'b'))]).toEqual([false, true])
  fleet.pass(2000)
  expect(fleet.sender('a').waiting).toBe(0)
  const taken = [...fleet.sender('b').held, ...fleet.sender('c').held]
  expect(taken.map(({ id, pieces }) => [id, Buffer.concat(pieces)]).sort()).toEqual(sent.sort())
  const of = (name: string) => fleet.sender(name).held.filter(({ kind }) => kind === 'chunk').length
  expect([of('b'), of('c')].sort()).toEqual([0, 3])
  expect(courier.hasRoom(one)).toBe(true)
  for (const name of ['b', 'c']) fleet.sender(name).ack(4)
  await Promise.all([...chunks, relayed])
  expect([courier.waiting, courier.inFlightBytes, fleet.metrics.movedMessages.total]).toEqual([0, 0, 4])
  expect(fleet.metrics.takeovers.total).toBe(1)
})

test('an aggregator that is back in time gets what is in doubt again', () => {
  using fleet = new Fleet()
  fleet.list('a b')
  fleet.connect('a b')
  void fleet.courier.deliver(header(sourceFor(fleet, 'a')), records, 1)
  for (let outage = 0; outage < 3; outage++) {
    fleet.sender('a').disconnect()
    fleet.pass(8000)
    fleet.connect('a')
    expect(fleet.sender('a')).toMatchObject({ waiting: 1, flowing: true })
  }
  expect(fleet.sender('b').waiting).toBe(0)
})

test('a connected aggregator that gives no sign of life is taken over from, one that is only slow is not', () => {
  using fleet = new Fleet()
  fleet.list('a b')
  fleet.connect('a b')
  void fleet.courier.deliver(header(sourceFor(fleet, 'a')), records, 1)
  fleet.pass(30_000)
  expect(fleet.sender('a')).toMatchObject({ waiting: 1 })
  expect(fleet.sender('a').pings).toBeGreaterThan(10)
  fleet.sender('a').alive = false
  fleet.pass(4000)
  expect(fleet.courier.aggregators()[0]).toMatchObject({ address: 'a', state: 'suspect', waiting: 1 })
  expect(fleet.inUse).toBe('b')
  fleet.pass(7000)
  expect([fleet.sender('a').waiting, fleet.sender('b').waiting]).toEqual([0, 1])
})

test('a ledger query is asked of another at once', () => {
  using fleet = new Fleet()
  fleet.list('a b')
  fleet.connect('a b')
  void fleet.courier.ask([{ source: sourceFor(fleet, 'a'), keep: 0 }])
  expect(fleet.sender('a').waiting).toBe(1)
  fleet.sender('a').disconnect()
  fleet.pass(500)
  expect(fleet.sender('b').held).toMatchObject([{ kind: 'query' }])
})

test('one that takes nothing leaves room for the others', () => {
  using fleet = new Fleet({ budget: 2000, window: 100 })
  fleet.list('a b')
  fleet.connect('a b')
  const [slow, quick] = [sourceFor(fleet, 'a'), sourceFor(fleet, 'b')]
  let sent = 0
  while (fleet.courier.hasRoom(slow)) void fleet.courier.deliver(header(slow, 10 * sent++), records, 1)
  expect(sent).toBeGreaterThan(2)
  expect([fleet.courier.hasRoom(quick), fleet.courier.relayRoute(0)]).toEqual([true, 'b'])
})

test('messages of applications are spread by weight, the same number to the same one', () => {
  using fleet = new Fleet()
  expect(fleet.courier.relayRoute(3)).toBe('')
  fleet.list('a b c')
  fleet.connect('a b c')
  const routes = Array.from({ length: 300 }, (_, i) => fleet.courier.relayRoute(i))
  expect(Array.from({ length: 300 }, (_, i) => fleet.courier.relayRoute(i))).toEqual(routes)
  for (const name of ['a', 'b', 'c']) {
    expect(Math.abs(routes.filter((one) => one === name).length - 100)).toBeLessThan(5)
    expect(routes.slice(0, 4)).toContain(name)
  }
  fleet.sender('b').disconnect()
  expect(new Set(Array.from({ length: 20 }, (_, i) => fleet.courier.relayRoute(i)))).toEqual(new Set(['a', 'c']))
})

test('with Fluentd, which keeps no ledger, all take all, and what is in doubt goes on too', () => {
  using fleet = new Fleet({ format: 'fluentd' })
  fleet.list('a b')
  for (const name of ['a', 'b']) fleet.sender(name).connect(undefined, false)
  expect(fleet.inUse).toBe('a b')
  void fleet.courier.deliver(header(sourceFor(fleet, 'a')), Buffer.alloc(0), 0)
  fleet.sender('a').disconnect()
  fleet.pass(11_000)
  expect(fleet.sender('b').waiting).toBe(1)
})

test('memory of what is acknowledged is given back at once, but not while a connection still writes it', async () => {
  using fleet = new Fleet()
  fleet.list('a')
  fleet.connect('a')
  // What is smaller lies in memory that Node shares out.
  const large = Buffer.alloc(100_000, 'x')
  const chunks = [0, 10].map((first) => fleet.courier.deliver(header(source, first), large, 1))
  const [done, stalled] = fleet.sender('a').held
  stalled!.writing = 1
  const lengths = () => [done!, stalled!].map(({ pieces }) => pieces[1]!.length)
  expect(lengths()).toEqual([100_000, 100_000])
  fleet.sender('a').ack(2)
  await Promise.all(chunks)
  expect(lengths()).toEqual([0, 100_000])
  const small = fleet.courier.deliver(header(source, 20), records, 1)
  const [shared] = fleet.sender('a').held
  fleet.sender('a').ack()
  await small
  expect(shared!.pieces[1]).toEqual(records)
})
