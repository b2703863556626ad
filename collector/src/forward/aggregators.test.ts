import { expect, test } from 'vitest'
import { Fleet } from './held-sender.ts'

const states = (fleet: Fleet) =>
  fleet.courier
    .aggregators()
    .map(({ address, state }) => `${address} ${state}`)
    .join(', ')

const chunk = (fleet: Fleet) => {
  const header = {
    source: Buffer.alloc(16, 7),
    range: [0, 10],
    seen: 10,
    rawBytes: 0,
    path: '',
    labels: {},
    metadata: {},
  }
  void fleet.courier.report({ ...header, range: [0, 10], outcome: { kind: 'lost', reason: 'deleted' } })
}

test('those that share a ledger take sources together, and one that leaves is let go when it owes nothing', () => {
  using fleet = new Fleet()
  fleet.list('a b')
  fleet.connect('a b')
  expect([fleet.inUse, fleet.aggregators.ledger]).toEqual(['a b', 'L'])
  fleet.list('b c')
  fleet.connect('c')
  expect(fleet.inUse).toBe('b c')
  fleet.pass(300)
  expect([fleet.sender('a').closed, fleet.sender('b').closed]).toEqual([true, false])
  expect(states(fleet)).toBe('b in_use, c in_use')
})

test('one that leaves while chunks wait for it is kept until it acknowledges them, or is gone', () => {
  using fleet = new Fleet()
  fleet.list('a')
  fleet.connect('a')
  chunk(fleet)
  fleet.list('b')
  fleet.connect('b')
  fleet.pass(60_000)
  expect(states(fleet)).toBe('b in_use, a leaving')
  fleet.sender('a').ack()
  fleet.pass(300)
  expect([fleet.sender('a').closed, states(fleet)]).toEqual([true, 'b in_use'])
})

test('a name that lists others before they answer does not strand the sources', () => {
  using fleet = new Fleet()
  fleet.list('a')
  fleet.connect('a')
  fleet.list('b')
  fleet.pass(5000)
  expect([fleet.inUse, fleet.courier.connected]).toEqual(['a', true])
  fleet.connect('b')
  expect(fleet.inUse).toBe('b')
})

test('standbys take over for those that are away, and hand back', () => {
  using fleet = new Fleet()
  fleet.list('a b cS')
  fleet.connect('a b c')
  expect([fleet.inUse, states(fleet)]).toEqual(['a b', 'a in_use, b in_use, c standby'])
  fleet.sender('a').disconnect()
  expect([fleet.inUse, states(fleet)]).toEqual(['b c', 'a away, b in_use, c in_use'])
  fleet.connect('a')
  expect(fleet.inUse).toBe('a b')
})

test('of several ledgers one is used, the others are refused, and it says why and what to do', () => {
  using fleet = new Fleet()
  fleet.list('a b c')
  fleet.connect('a', 'A', false)
  fleet.connect('b', 'B', false)
  expect(fleet.aggregators.ledger).toBeUndefined()
  fleet.sender('c').disconnect()
  expect([fleet.aggregators.ledger, fleet.inUse]).toEqual(['A', 'a'])
  expect(states(fleet)).toBe('a in_use, b refused, c away')
  expect(fleet.courier.refusal).toMatch(/^b is not sent to, only a: .*store\.engine: clickhouse/)
  expect(fleet.sender('b').flowing).toBe(false)
  chunk(fleet)
  fleet.sender('a').disconnect()
  fleet.pass(600_000)
  // However long it is away: the other would take as new what the first may have.
  expect([fleet.sender('a').waiting, fleet.sender('b').waiting, fleet.courier.connected]).toEqual([1, 0, false])
})

test('the ledger of the life before is gone on with', () => {
  using fleet = new Fleet({ ledger: 'B' })
  fleet.list('a b')
  fleet.connect('a', 'A', false)
  fleet.pass(60_000)
  expect([fleet.inUse, fleet.courier.connected]).toEqual(['', false])
  fleet.connect('b', 'B', false)
  expect([fleet.inUse, fleet.courier.refusal?.slice(0, 30)]).toEqual(['b', 'a is not sent to, only b: each'])
})

test('the same aggregator at another address gets what is in doubt at once', () => {
  using fleet = new Fleet()
  fleet.list('a')
  fleet.connect('a', 'A', false)
  chunk(fleet)
  fleet.sender('a').disconnect()
  fleet.list('b')
  fleet.pass(500)
  expect(fleet.sender('a').waiting).toBe(1)
  fleet.connect('b', 'A', false)
  fleet.pass(300)
  expect([fleet.inUse, fleet.sender('a').waiting, fleet.sender('b').waiting]).toEqual(['b', 0, 1])
  expect([fleet.courier.refusal, fleet.aggregators.all.length]).toEqual([undefined, 1])
})

test('of two addresses of one aggregator one is used, and the other when the first fails', () => {
  using fleet = new Fleet()
  fleet.list('a b')
  fleet.connect('a b', 'A', false)
  expect([fleet.inUse, fleet.courier.refusal]).toEqual(['a', undefined])
  chunk(fleet)
  fleet.sender('a').disconnect()
  fleet.pass(300)
  expect([fleet.inUse, fleet.sender('b').waiting]).toEqual(['b', 1])
  fleet.connect('a', 'A', false)
  expect(fleet.inUse).toBe('b')
})

test('an aggregator that comes back with another ledger gets what is in doubt where no other has it', () => {
  using fleet = new Fleet()
  fleet.list('a')
  fleet.connect('a', 'A', false)
  chunk(fleet)
  fleet.sender('a').disconnect()
  fleet.connect('a', 'new', false)
  expect([fleet.aggregators.ledger, fleet.inUse, fleet.sender('a').waiting]).toEqual(['new', 'a', 1])
  expect(fleet.sender('a').flowing).toBe(true)
})

test('among those of a shared ledger one that comes back with another loses what was in doubt to the others', () => {
  using fleet = new Fleet()
  fleet.list('a b')
  fleet.connect('a b')
  fleet.list('a')
  chunk(fleet)
  fleet.list('a b')
  fleet.sender('a').disconnect()
  fleet.connect('a', 'A', false)
  fleet.pass(300)
  expect([fleet.inUse, fleet.sender('a').waiting, fleet.sender('b').waiting]).toEqual(['b', 0, 1])
  expect(fleet.courier.refusal).toMatch(/^a is not sent to, only b/)
})

test('an aggregator that owes an answer is skipped within seconds, and trusted again with the first one', () => {
  using fleet = new Fleet()
  fleet.list('a')
  fleet.connect('a')
  chunk(fleet)
  fleet.list('a b')
  fleet.connect('b')
  fleet.sender('a').alive = false
  fleet.pass(1500)
  expect(fleet.inUse).toBe('a b')
  fleet.pass(2500)
  expect([fleet.inUse, states(fleet)]).toEqual(['b', 'a suspect, b in_use'])
  fleet.sender('a').onAnswer()
  fleet.pass(300)
  expect(fleet.inUse).toBe('a b')
})

test('where nobody else is there, an aggregator that is away or silent stays the one', () => {
  using fleet = new Fleet()
  fleet.list('a')
  fleet.connect('a')
  chunk(fleet)
  fleet.sender('a').alive = false
  fleet.pass(60_000)
  expect([fleet.inUse, fleet.sender('a').waiting, fleet.metrics.takeovers.total]).toEqual(['a', 1, 0])
  fleet.sender('a').disconnect()
  fleet.pass(60_000)
  expect([fleet.inUse, fleet.sender('a').waiting, fleet.courier.connected]).toEqual(['a', 1, false])
})

test('each connection that fails has the names looked at again', () => {
  using fleet = new Fleet()
  fleet.list('a')
  fleet.sender('a').disconnect()
  fleet.sender('a').disconnect()
  expect(fleet.troubles).toBe(2)
})
