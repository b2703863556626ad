import type { Disk } from '@tributary/protocol/disk.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { WalPosition } from '../wal/position.ts'
import type { Block, EntryReader } from './block-collector.ts'
import { type Cursor, CursorError, newCursor, readCursor } from './cursor.ts'
import { Loader } from './loader.ts'

const start: WalPosition = { segment: 0, offset: 0 }

/** Entries are numbers; the one at index i lies at offset i. */
class NumberReader implements EntryReader<number> {
  position: WalPosition
  constructor(from: WalPosition) {
    this.position = from
  }
  async next(until: WalPosition) {
    if (this.position.offset >= until.offset) return undefined
    const entry = this.position.offset
    this.position = { segment: 0, offset: entry + 1 }
    return entry
  }
}

class NumberBlock implements Block<number> {
  readonly numbers: number[] = []
  async add(entry: number) {
    this.numbers.push(entry)
  }
  get rows() {
    return this.numbers.length
  }
  get bytes() {
    return 0
  }
}

/** What survives a crash: the cursor file, and a store that knows its last tokens. */
class World {
  readonly files = new Map<string, Buffer>()
  readonly rows: number[] = []
  readonly tokens = new Map<string, string>()
  stored = start
  committed = start
  steps = 0
  crashAt = Number.POSITIVE_INFINITY
  failAt = Number.POSITIVE_INFINITY

  /** One thing that happens outside; the process dies instead, or it fails. */
  step(what: () => void, after: 'lost' | 'done') {
    const step = this.steps++
    if (step === this.crashAt) {
      if (after === 'done') what()
      throw new Crash()
    }
    if (step === this.failAt) {
      if (after === 'done') what()
      throw new Error('the store is away')
    }
    what()
  }
}
class Crash extends Error {}

/** A disk on which files are replaced whole, as the cursor is. */
function diskOf(world: World, after: 'lost' | 'done'): Disk {
  const unused = () => {
    throw new Error('not used here')
  }
  const pending = new Map<string, Buffer>()
  return {
    open: async (path) => ({
      write: async (data) => {
        pending.set(path, Buffer.from(data))
      },
      writeAll: unused,
      read: unused,
      size: unused,
      truncate: async () => {},
      sync: async () => {},
      close: async () => {},
    }),
    rename: async (from, to) => world.step(() => world.files.set(to, pending.get(from)!), after),
    syncDirectory: async () => {},
    readFile: async (path) => {
      const found = world.files.get(path)
      if (found === undefined) throw Object.assign(new Error('missing'), { code: 'ENOENT' })
      return found
    },
    readdir: unused,
    mkdir: unused,
    unlink: unused,
  }
}

/** One life of the process: loads what is committed, until it stops or crashes. */
async function live(world: World, after: 'lost' | 'done', blockRows: number, commits: number[], holds = false) {
  const disk = diskOf(world, after)
  const cursor: Cursor = (await readCursor(disk, 'cursor')) ?? newCursor(start)
  expect(cursor.stored.offset).toBeGreaterThanOrEqual(world.stored.offset)
  const [stop, cut] = [new AbortController(), new AbortController()]
  const reader = new NumberReader(cursor.stored)
  const loader = new Loader({
    disk,
    cursorPath: 'cursor',
    cursor,
    reader,
    newBlock: () => new NumberBlock(),
    insert: async (block, token) => {
      world.step(() => {
        const rows = JSON.stringify(block.numbers)
        if (world.tokens.has(token)) expect(world.tokens.get(token), 'a token stands for the same rows').toBe(rows)
        else world.rows.push(...block.numbers)
        world.tokens.set(token, rows)
      }, after)
    },
    blockRows,
    blockBytes: 1,
    blockDelay: 0,
    retryDelay: () => 1,
    onStored: (position) => {
      expect(position.offset).toBeLessThanOrEqual(world.rows.length)
      world.stored = position
    },
    onBlock: () => {},
    onRetry: (error) => {
      if (error instanceof Crash) cut.abort()
    },
  })
  loader.committed(world.committed)
  const running = loader.run(stop.signal, cut.signal)
  for (const count of commits) {
    world.committed = { segment: 0, offset: world.committed.offset + count }
    loader.committed(world.committed)
    await new Promise((resolve) => setImmediate(resolve))
    if (!holds) continue
    await loader.hold(cut.signal)
    const [rows, steps] = [world.rows.length, world.steps]
    world.committed = { segment: 0, offset: world.committed.offset + count }
    loader.committed(world.committed)
    for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setImmediate(resolve))
    if (!cut.signal.aborted) {
      expect({ rows: world.rows.length, steps: world.steps }).toEqual({ rows, steps })
      const told = await readCursor(disk, 'cursor')
      expect(told?.stored.offset ?? 0).toBe(rows)
      expect(told?.next ?? start).toEqual(told?.stored ?? start)
    }
    loader.go()
  }
  stop.abort()
  await running
  return cut.signal.aborted
}

test('whatever happens between two steps, every row is stored once and in order', async () => {
  const reached = { crashes: 0, failures: 0, holds: 0 }
  const lives = fc.array(
    fc.record({
      crashAt: fc.oneof(fc.nat(12), fc.constant(Number.POSITIVE_INFINITY)),
      failAt: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.nat(3)),
      after: fc.constantFrom('lost' as const, 'done' as const),
      blockRows: fc.integer({ min: 1, max: 4 }),
      commits: fc.array(fc.nat(5), { maxLength: 4 }),
      holds: fc.boolean(),
    }),
    { minLength: 1, maxLength: 6 },
  )
  await fc.assert(
    fc.asyncProperty(lives, async (all) => {
      const world = new World()
      for (const { crashAt, failAt, after, blockRows, commits, holds } of all) {
        world.steps = 0
        world.crashAt = crashAt
        world.failAt = failAt
        if (holds && commits.length > 0) reached.holds++
        if (await live(world, after, blockRows, commits, holds)) reached.crashes++
        else if (failAt < world.steps) reached.failures++
      }
      world.crashAt = world.failAt = Number.POSITIVE_INFINITY
      await live(world, 'done', 3, [])
      expect(world.rows).toEqual(Array.from({ length: world.committed.offset }, (_, i) => i))
      expect(world.stored).toEqual(world.committed)
    }),
    { numRuns: 150 },
  )
  expect(reached.crashes).toBeGreaterThan(50)
  expect(reached.failures).toBeGreaterThan(20)
  expect(reached.holds).toBeGreaterThan(50)
})

test.for([
  { damage: 'a changed byte', content: '{"v":1}\n00000000\n' },
  { damage: 'nothing at all', content: '' },
  { damage: 'half of it', content: '{"v":1,"id":"a' },
])('a cursor file with $damage is told apart from a good one', async ({ content }) => {
  const world = new World()
  world.files.set('cursor', Buffer.from(content))
  await expect(readCursor(diskOf(world, 'done'), 'cursor')).rejects.toThrow(CursorError)
})
