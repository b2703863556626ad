/** Single histories that once ended badly, told step by step. */
import { expect, test } from 'vitest'
import { encodeEntry, type LogEntry } from '../entry.ts'
import { BlockLostError } from '../shared-ledger.ts'
import { Aggregator, type Chunk, type Push, pushed, sourceId, Volume } from './aggregator.ts'
import { problemOf } from './run.ts'
import { quiet, World } from './world.ts'

const chunk = (session: string, ...offsets: number[]): Chunk => ({
  ...{ source: 0, session, records: offsets.slice(0, -1), range: [offsets[0]!, offsets.at(-1)!] },
})

/** The one of a number: its two rows are of two days. */
const push = (number: number): Push => ({
  rows: [
    { source: pushed, range: [2 * number, 2 * number + 1] },
    { source: pushed, range: [2 * number + 1, 2 * number + 2] },
  ],
})
const bothDays = [100, 101]
const claimOf = (from: number, to: number) => ({
  ...{ block: { from: { segment: 1, offset: from }, to: { segment: 1, offset: to } }, days: bothDays, parts: [] },
})

/** Aggregators that go on only when they are told to. */
class Scene implements Disposable {
  readonly world = new World({ snapshotEntries: 1e9, traced: true })
  readonly #all: Aggregator[] = []

  begin(name: string, volume = new Volume(name)): Aggregator {
    const one = new Aggregator(this.world, volume, 'wal')
    this.#all.push(one)
    return one
  }

  /** Lets one do all that it can do, or until the log ends so. */
  async goOn(one: Aggregator, end?: (last: string) => boolean): Promise<void> {
    await quiet()
    while (!end?.(this.world.log.at(-1)?.body ?? '')) {
      const step = this.world.steps().find(({ of }) => of === one)
      if (step === undefined) return
      await this.world.take(step, 'done')
    }
  }

  /** Lets one go on until it is about to do something to the store. */
  async until(one: Aggregator, what: string): Promise<void> {
    await quiet()
    for (;;) {
      const steps = this.world.steps().filter(({ of }) => of === one)
      if (steps.some((step) => step.what === what)) return
      await this.world.take(steps[0]!, 'done')
    }
  }

  /** Puts an entry of anybody into the log. */
  async entry(writer: string, entry: LogEntry): Promise<void> {
    const seq = this.world.log.length
    const by = { name: 'somebody', alive: true, die: () => Promise.reject(new Error('nobody dies here')) }
    const done = this.world.storeOf(by).append({ seq, entry: `entry ${seq}`, writer, body: encodeEntry(entry) })
    await this.world.take(this.world.steps().find(({ of }) => of === by)!, 'done')
    await done
  }

  /** First bytes of the rows of pushes. */
  pushes(): number[] {
    return this.world
      .rows()
      .map(({ range }) => range[0])
      .sort((a, b) => a - b)
  }

  async ask(one: Aggregator, session: string, keep: number): Promise<void> {
    const asked = one.ledger.ask({ sources: [{ source: sourceId(0), keep }], session, waits: () => true })
    await this.goOn(one)
    await asked
  }

  [Symbol.dispose](): void {
    for (const one of this.#all) one.end()
  }
}

test("what a collector process sent, and its successor read anew, stays refused under that one's successor", async () => {
  using scene = new Scene()
  const [a, b] = [scene.begin('a'), scene.begin('b')]
  for (const one of [a, b]) await scene.goOn(one)
  await scene.ask(b, 's0', 0)
  // From here on b stands still, with what it acknowledged.
  await b.accept(chunk('s0', 0, 25, 50, 60))
  // A checkpoint of before that: the second process reads the same bytes, in other records.
  await scene.ask(a, 's1', 0)
  await a.accept(chunk('s1', 0, 20, 30, 40))
  await b.accept(chunk('s1', 40, 60))
  await scene.goOn(a)
  // The third one knows of what was acknowledged to the second.
  await scene.ask(a, 's2', 60)
  await scene.goOn(b)
  const rows = scene.world.rows().map(({ range }) => range.join('-'))
  expect(rows, scene.world.trace!.join('\n')).toEqual(['0-20', '20-30', '30-40', '40-60'])
  expect(problemOf(scene.world.rows(), 0, [[0, 60]], [])).toBeUndefined()
})

test('a block that was claimed late by an earlier life keeps its end', async () => {
  using scene = new Scene()
  const b = scene.begin('b')
  await scene.goOn(b)
  void b.push(push(0))
  await scene.until(b, 'append')
  void b.push(push(1))
  // Before this life can claim the first push, what an earlier one sent arrives, and is found not to be stored.
  await scene.entry('b', { claim: claimOf(0, 2) })
  await scene.entry('a', { contested: [1], resolved: [{ claim: 1, stored: [] }] })
  await scene.goOn(b, (last) => last.includes('settled'))
  void b.die()
  await scene.goOn(scene.begin('b', b.volume))
  expect(scene.pushes(), scene.world.trace!.join('\n')).toEqual([0, 1, 2, 3])
})

test('blocks behind one that has to be claimed anew may be in the store: they are not loaded again', async () => {
  using scene = new Scene()
  const volume = new Volume('b')
  for (const number of [0, 1, 2]) volume.append(push(number), [])
  await scene.entry('b', {})
  await scene.entry('b', { claim: claimOf(0, 1) })
  await scene.entry('b', { claim: claimOf(1, 2) })
  const resolved = [
    { claim: 1, stored: [] },
    { claim: 2, stored: bothDays },
  ]
  await scene.entry('a', { contested: [1, 2], resolved })
  await scene.goOn(scene.begin('b', volume))
  expect(scene.pushes(), scene.world.trace!.join('\n')).toEqual([0, 1, 4, 5])
})

test('what a life of the loader asked for and no longer waits for is not claimed beside what the next one asks for', async () => {
  using scene = new Scene()
  const b = scene.begin('b')
  await scene.goOn(b)
  const [first, second] = [b.ledger.claim(claimOf(0, 1)), b.ledger.claim(claimOf(1, 2))]
  await scene.until(b, 'append')
  const unfinished = b.ledger.unfinished()
  const refused = expect(second).rejects.toThrow(BlockLostError)
  await scene.goOn(b)
  await refused
  expect(await first).toEqual({ seq: 1 })
  // What was on its way already is waited for.
  expect((await unfinished).blocks).toMatchObject([{ from: { offset: 0 }, to: { offset: 1 }, claim: { seq: 1 } }])
  expect(scene.world.log).toHaveLength(2)
})
