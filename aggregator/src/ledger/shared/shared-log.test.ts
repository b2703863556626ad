import { expect, test } from 'vitest'
import type { LogRow } from './entry.ts'
import type { LogStore } from './log-store.ts'
import { SharedLog, type SharedLogOptions } from './shared-log.ts'

/** A log in memory: of two entries for one place the first is kept. */
class MemoryLog implements LogStore {
  readonly rows: LogRow[] = []
  /** Called before an entry is taken; what it throws is the store's answer, with the entry in or not. */
  onAppend: (row: LogRow) => { readonly lost?: Error; readonly refused?: Error } = () => ({})

  async append(row: Omit<LogRow, 'at'>): Promise<void> {
    const dated = { ...row, at: 0 }
    const { lost, refused } = this.onAppend(dated)
    if (refused !== undefined) throw refused
    if (!this.rows.some(({ seq }) => seq === row.seq)) this.rows.push(dated)
    if (lost !== undefined) throw lost
  }
  async read(from: number): Promise<LogRow[]> {
    return this.rows.filter(({ seq }) => seq >= from)
  }
  async readSnapshot() {
    return undefined
  }
  async writeSnapshot(): Promise<void> {}
  async drop(): Promise<void> {}
  async decide(): Promise<boolean> {
    return false
  }
}

async function open(store: LogStore, more: Partial<SharedLogOptions> = {}): Promise<SharedLog> {
  const log = new SharedLog({ store, writer: 'a', retryDelay: 0, ...more })
  await log.refresh()
  return log
}

const alive = { prepare: () => ({}) }

// Nobody polls here: what is not written when it is submitted never is.
test('what is submitted while another entry is told to be written is written too', async () => {
  const log = await open(new MemoryLog())
  expect(await log.submit(alive)).toBe(0)
  expect(await log.submit(alive)).toBe(1)
  let deep = Promise.resolve() as Promise<unknown>
  for (let turns = 0; turns < 10; turns++) {
    const before = log.state.next
    const first = log.submit(alive)
    // So many microtasks after the one in which the first is told.
    const second = first.then(async () => {
      for (let i = 0; i < turns; i++) await undefined
      return log.submit(alive)
    })
    expect(await second, `${turns} turns later`).toBe(before + 1)
    deep = deep.then(() => log.submit(alive))
  }
  expect(await deep).toBeGreaterThan(20)
})

test('what is submitted in one turn shares an entry, but for claims', async () => {
  const store = new MemoryLog()
  const log = await open(store)
  const at = (offset: number) => ({ segment: 1, offset })
  const claim = (offset: number) => ({
    prepare: () => ({ claim: { block: { from: at(offset), to: at(offset + 1) }, days: [1], parts: [] } }),
  })
  const fence = (session: string) => ({ prepare: () => ({ fences: [{ session, sources: [] }] }) })
  const seqs = await Promise.all([claim(0), claim(1), fence('x'), fence('y'), alive].map((one) => log.submit(one)))
  expect(seqs).toEqual([0, 1, 0, 0, 0])
  expect(store.rows).toHaveLength(2)
  expect([...log.state.sessions.keys()]).toEqual(['x', 'y'])
  expect([...log.state.claims.keys()]).toEqual([0, 1])
})

test('an entry whose place another aggregator took is made anew, knowing the other', async () => {
  const store = new MemoryLog()
  let conflicts = 0
  const log = await open(store, { onConflict: () => conflicts++ })
  const other = { entry: 'of another', writer: 'b', at: 0, body: '{"v":1,"fences":[{"session":"s","sources":[]}]}' }
  store.onAppend = ({ seq }) => {
    if (seq < 3) store.rows.push({ ...other, seq })
    return {}
  }
  const known: number[] = []
  const seq = await log.submit({
    prepare: ({ next }) => {
      known.push(next)
      return {}
    },
  })
  expect(seq).toBe(3)
  expect(known).toEqual([0, 1, 2, 3])
  expect(conflicts).toBe(3)
  expect(log.state.id).toBe('of another')
})

test.for(['lost', 'refused'] as const)('an entry whose answer is %s is written once', async (how) => {
  const store = new MemoryLog()
  const failures: string[] = []
  const log = await open(store, { onError: (error) => failures.push((error as Error).message) })
  let left = 3
  store.onAppend = () => (left-- > 0 ? { [how]: new Error(`${how} ${left}`) } : {})
  expect(await log.submit(alive)).toBe(0)
  expect(store.rows).toHaveLength(1)
  expect(failures).toEqual([`${how} 2`, `${how} 1`, `${how} 0`])
})

test('what has become needless is told so, what is thrown reaches who submitted it, what waits is written later', async () => {
  const log = await open(new MemoryLog())
  const error = new Error('not now')
  const later = log.submit({ prepare: ({ next }) => (next < 2 ? 'later' : {}) })
  expect(await log.submit({ prepare: () => 'needless' })).toBeUndefined()
  const fails = log.submit({
    prepare: () => {
      throw error
    },
  })
  await expect(fails).rejects.toBe(error)
  expect(await log.submit(alive)).toBe(0)
  expect(await log.submit(alive)).toBe(1)
  await log.refresh()
  expect(await later).toBe(2)
})

test('silence counts from the last entry, and not while the store does not answer', async () => {
  const store = new MemoryLog()
  let now = 1000
  const log = await open(store, { now: () => now })
  store.rows.push({ seq: 0, entry: 'x', writer: 'b', at: 0, body: '{"v":1}' })
  now = 1500
  await log.refresh()
  now = 1600
  expect(log.silence('b')).toBe(100)
  // Of whom nothing was ever heard: since this aggregator listens.
  expect(log.silence('c')).toBe(600)
  const read = store.read.bind(store)
  store.read = () => Promise.reject(new Error('away'))
  await expect(log.refresh()).rejects.toThrow('away')
  now = 9000
  expect(log.silence('b')).toBe(0)
  store.read = read
  await log.refresh()
  now = 9050
  expect(log.silence('b')).toBe(50)
})

test('what is not written when the aggregator closes is rejected', async () => {
  const store = new MemoryLog()
  const log = await open(store, { pollInterval: 1 })
  const closing = new AbortController()
  const running = log.run(closing.signal)
  const later = log.submit({ prepare: () => 'later' })
  const changed = log.changed
  closing.abort()
  await running
  await expect(later).rejects.toThrow('the aggregator is closing')
  await expect(changed).rejects.toThrow('the aggregator is closing')
  await expect(log.submit(alive)).rejects.toThrow('the aggregator is closing')
})

test('a log with a gap and no snapshot is told, and not read over', async () => {
  const store = new MemoryLog()
  const log = await open(store)
  await log.submit(alive)
  store.rows.push({ seq: 5, entry: 'x', writer: 'b', at: 0, body: '{"v":1}' })
  await expect(log.refresh()).rejects.toThrow('the log of the shared ledger has a gap and there is no snapshot')
  expect(log.state.next).toBe(1)
})
