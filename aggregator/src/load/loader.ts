/**
 * From the write-ahead log into the store, block by block, each row once. A block is the entries between two positions; it is
 * named in the cursor before it is inserted and inserted until the store has it, however long that takes. While one block is
 * on its way the next is put together, never more than that one.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Disk } from '@tributary/protocol/disk.ts'
import { comparePositions, type WalPosition } from '../wal/position.ts'
import { type Block, BlockCollector, type CollectorOptions } from './block-collector.ts'
import { blockToken, type Cursor, writeCursor } from './cursor.ts'

export interface LoaderOptions<Entry, B extends Block<Entry>> extends CollectorOptions<Entry, B> {
  readonly disk: Disk
  readonly cursorPath: string
  readonly cursor: Cursor
  /** Puts a block into the store; rejects when it isn't surely there. Repeating it with the same token changes nothing. */
  readonly insert: (block: B, token: string) => Promise<void>
  /** Milliseconds before the next repetition of what failed so many times in a row. */
  readonly retryDelay: (error: unknown, failures: number) => number
  /** Everything before `position` is in the store, and the cursor on disk says so. */
  readonly onStored: (position: WalPosition) => void
  readonly onBlock: (block: B, seconds: number) => void
  /** A block could not be inserted, or the cursor not be written; it is tried again in `delay` milliseconds. */
  readonly onRetry: (error: unknown, attempt: number, delay: number) => void
}

export class Loader<Entry, B extends Block<Entry>> {
  readonly #options: LoaderOptions<Entry, B>
  readonly #collector: BlockCollector<Entry, B>
  #cursor: Cursor
  /** The block on its way, and whether there is one. */
  #inserting: Promise<void> = Promise.resolve()
  #busy = false
  /** The cursor on disk does not say that the last block is in the store. */
  #unsettled = false
  /** Ends when blocks may go on their way again; undefined while they may. */
  #held: PromiseWithResolvers<void> | undefined
  /** Cursors are written one after another. */
  #writing: Promise<void> = Promise.resolve()

  constructor(options: LoaderOptions<Entry, B>) {
    this.#options = options
    this.#cursor = options.cursor
    this.#collector = new BlockCollector(options, options.cursor.next)
  }

  /** The write-ahead log is durable up to `position`: the loader may read that far. */
  committed(position: WalPosition): void {
    this.#collector.committed(position)
  }

  /** Resolves when no block is on its way, and the cursor on disk says so. None is until {@link go}. */
  async hold(cut: AbortSignal): Promise<void> {
    this.#held ??= Promise.withResolvers()
    await this.#settle(cut)
    // The loader, idle, may have been about to write the same.
    for (let last: Promise<void> | undefined; last !== this.#writing; ) await (last = this.#writing)
  }

  go(): void {
    this.#held?.resolve()
    this.#held = undefined
  }

  /**
   * Loads until `stop`; then goes on with what is committed, without waiting for more, until `cut`.
   * Rejects only when the write-ahead log can't be read.
   */
  async run(stop: AbortSignal, cut: AbortSignal): Promise<void> {
    const wake = () => this.#collector.wake()
    const go = () => this.go()
    stop.addEventListener('abort', wake)
    cut.addEventListener('abort', wake)
    cut.addEventListener('abort', go)
    try {
      // The last life may have ended before it could tell.
      this.#options.onStored(this.#cursor.stored)
      this.#inserting = this.#finishBlock(cut)
      await this.#inserting
      while (!cut.aborted) {
        const block = await this.#collector.collect(stop, cut, {
          busy: () => this.#busy,
          // Nothing follows for now: what was inserted is made known, so that its segments can go.
          idle: () => (this.#unsettled ? this.#settle(cut) : undefined),
        })
        await this.#inserting
        while (this.#held !== undefined && !cut.aborted) await this.#held.promise
        const end = this.#options.reader.position
        const empty = block === undefined || comparePositions(end, this.#cursor.stored) === 0
        if (cut.aborted || (empty && stop.aborted)) break
        if (!empty) this.#inserting = this.#insert(block, end, cut)
        this.#collector.next(end)
      }
      await this.#settle(cut)
    } finally {
      stop.removeEventListener('abort', wake)
      cut.removeEventListener('abort', wake)
      cut.removeEventListener('abort', go)
    }
  }

  /** The block that the cursor names and that may be in the store already: built of the same entries, under the same token. */
  async #finishBlock(cut: AbortSignal): Promise<void> {
    const { stored, next } = this.#cursor
    if (comparePositions(stored, next) === 0) return
    const { reader, newBlock } = this.#options
    const block = newBlock()
    for (let entry = await reader.next(next); entry !== undefined; entry = await reader.next(next)) {
      await block.add(entry)
    }
    await this.#store(block, cut)
  }

  async #insert(block: B, end: WalPosition, cut: AbortSignal): Promise<void> {
    this.#unsettled = true
    this.#busy = true
    try {
      await this.#name(end, cut)
      if (!cut.aborted) await this.#store(block, cut)
    } finally {
      this.#busy = false
      this.#collector.wake()
    }
  }

  /** Makes durable which block comes next. */
  async #name(end: WalPosition, cut: AbortSignal): Promise<void> {
    const cursor = { ...this.#cursor, next: end }
    const before = this.#cursor.stored
    await this.#retry(cut, async () => {
      await this.#write(cursor)
    })
    if (cut.aborted) return
    this.#cursor = cursor
    this.#options.onStored(before)
  }

  /** Inserts the block `[stored, next)`; afterwards `stored` is its end, in memory. */
  async #store(block: B, cut: AbortSignal): Promise<void> {
    const token = blockToken(this.#cursor)
    await this.#retry(cut, async () => {
      const start = performance.now()
      if (block.rows > 0) await this.#options.insert(block, token)
      this.#options.onBlock(block, (performance.now() - start) / 1000)
      this.#cursor = { ...this.#cursor, stored: this.#cursor.next }
      this.#unsettled = true
    })
  }

  /** Waits for the block on its way, and makes it durable that it has arrived. */
  async #settle(cut: AbortSignal): Promise<void> {
    await this.#inserting
    if (!this.#unsettled) return
    await this.#retry(cut, async () => {
      // While this waited to be tried again it may have been done by someone else.
      if (!this.#unsettled) return
      await this.#write(this.#cursor)
      this.#unsettled = false
      this.#options.onStored(this.#cursor.stored)
    })
  }

  #write(cursor: Cursor): Promise<void> {
    const { disk, cursorPath } = this.#options
    const written = this.#writing.then(() => writeCursor(disk, cursorPath, cursor))
    this.#writing = written.catch(() => {}) // told to whoever wanted it
    return written
  }

  /** Repeats until it succeeds, or `cut`. */
  async #retry(cut: AbortSignal, attempt: () => Promise<void>): Promise<void> {
    for (let failures = 0; !cut.aborted; ) {
      try {
        return await attempt()
      } catch (error) {
        failures++
        const delay = this.#options.retryDelay(error, failures)
        this.#options.onRetry(error, failures, delay)
        // Cut short by the signal, which the loop then sees.
        await sleep(delay, undefined, { signal: cut }).catch(() => {})
      }
    }
  }
}
