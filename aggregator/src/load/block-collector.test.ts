import { expect, test } from 'vitest'
import type { WalPosition } from '../wal/position.ts'
import { type Block, BlockCollector, type CollectorHooks } from './block-collector.ts'

const start = { segment: 1, offset: 0 }
const at = (offset: number): WalPosition => ({ segment: 1, offset })
const never = new AbortController().signal
const quiet: CollectorHooks = { busy: () => false, idle: () => undefined }

/** A log of `entries` entries of one row and one byte each. */
function collectorOf(entries: number, blockDelay: number): BlockCollector<number, Rows> {
  let given = 0
  const reader = {
    get position() {
      return at(given)
    },
    next: async (until: WalPosition) => (given < Math.min(entries, until.offset) ? ++given : undefined),
  }
  const newBlock = () => new Rows()
  const collector = new BlockCollector({ reader, newBlock, blockRows: 10, blockBytes: 1000, blockDelay }, start)
  collector.committed(at(entries))
  return collector
}

class Rows implements Block<number> {
  rows = 0
  get bytes(): number {
    return this.rows
  }
  async add(): Promise<void> {
    this.rows++
  }
}

class ManyStreams extends Rows {
  get streams(): number {
    return this.rows * 1000
  }
}

const collect = async (collector: BlockCollector<number, Rows>, hooks = quiet) =>
  (await collector.collect(never, never, hooks))!.rows

test('while there is more to read and nothing is late, a block grows beyond its least rows', async () => {
  expect(await collect(collectorOf(100, 60_000))).toBe(40)
})

test('a block whose first row has waited long enough ends with its least rows', async () => {
  expect(await collect(collectorOf(100, 0))).toBe(10)
})

test('one that would only wait for the block before it goes on growing', async () => {
  expect(await collect(collectorOf(100, 0), { ...quiet, busy: () => true })).toBe(40)
})

test('a block ends where what is known of its streams takes too much memory', async () => {
  const reader = { position: at(100), next: async () => 1 }
  const options = {
    reader,
    newBlock: () => new ManyStreams(),
    blockRows: 1000,
    blockBytes: 1_000_000,
    blockDelay: 60_000,
  }
  const collector = new BlockCollector<number, Rows>(options, start)
  collector.committed(at(100))
  expect(await collect(collector, { ...quiet, busy: () => true })).toBe(30)
})

test('where nothing follows a block waits for more until it is late', async () => {
  const collector = collectorOf(5, 50)
  const begun = performance.now()
  expect(await collect(collector)).toBe(5)
  expect(performance.now() - begun).toBeGreaterThan(40)
})
