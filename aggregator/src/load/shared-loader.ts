/**
 * From the write-ahead log into a store that other aggregators write to as well. A block is claimed in the shared ledger before it is
 * inserted, and settled when its rows are in the store; where it went on, the ledger says. What surprises ends the loader: its next life
 * begins with what the ledger knows.
 */
import type { Disk } from '@tributary/protocol/disk.ts'
import { type Wait, wait } from '@tributary/protocol/wait.ts'
import type { Exclusion } from '../ledger/shared/claim-request.ts'
import type { BlockRange, Claim } from '../ledger/shared/entry.ts'
import {
  BlockLostError,
  type ClaimAnswer,
  type Unfinished,
  type UnfinishedBlock,
} from '../ledger/shared/shared-ledger.ts'
import { comparePositions, type WalPosition } from '../wal/position.ts'
import { type Block, BlockCollector, type CollectorOptions, type EntryReader } from './block-collector.ts'
import type { BlockScope } from './claim-block.ts'
import { type Cursor, writeCursor } from './cursor.ts'

export interface ClaimableBlock<Entry> extends Block<Entry> {
  /** What has to be claimed for it. */
  claimOf(block: BlockRange): Claim
}

export interface ClaimLedger {
  claim(claim: Claim): Promise<ClaimAnswer>
  /** Resolves when nobody has contested the claim so far. Throws BlockLostError. */
  stands(seq: number): Promise<void>
  settle(seq: number, block: BlockRange): Promise<void>
}

export interface SharedLoaderOptions<Entry, B extends ClaimableBlock<Entry>>
  extends Omit<CollectorOptions<Entry, B>, 'newBlock' | 'reader'> {
  readonly disk: Disk
  readonly cursorPath: string
  readonly cursor: Cursor
  readonly unfinished: Unfinished
  readonly ledger: ClaimLedger
  /** A reader from a position on. The first one is closed by the caller. */
  readonly readerAt: (position: WalPosition) => EntryReader<Entry> & { close(): Promise<void> }
  readonly newBlock: (scope: BlockScope) => B
  /** A block is not needed any more. */
  readonly discard: (block: B) => void
  /** Puts the rows of a claim into the store; rejects when they aren't surely there. Repeating it changes nothing. */
  readonly insert: (block: B, claim: number) => Promise<void>
  /** Milliseconds before the next repetition of what failed so many times in a row. */
  readonly retryDelay: (error: unknown, failures: number) => number
  /** Everything before `position` is in the store, and the cursor on disk says so. */
  readonly onStored: (position: WalPosition) => void
  readonly onBlock: (block: B, seconds: number) => void
  readonly onRetry: (error: unknown, attempt: number, delay: number) => void
  /** By it claims grow old, ms: a clock that goes on while the process stands still. */
  readonly now?: () => number
  /** Waits before what failed is repeated, ms; resolves early when the signal comes. */
  readonly wait?: Wait
}

/** A claim that is older is looked for in the ledger before its rows are inserted, ms. */
const freshClaim = 2000
interface Claimed {
  readonly seq: number
  readonly isSettled: boolean
  readonly range: BlockRange
}

const everything: BlockScope = { exclusions: [], stored: [] }

export class SharedLoader<Entry, B extends ClaimableBlock<Entry>> {
  readonly #options: SharedLoaderOptions<Entry, B>
  readonly #reader: EntryReader<Entry> & { close(): Promise<void> }
  readonly #collector: BlockCollector<Entry, B>
  readonly #broken = new AbortController()
  #inserting: Promise<void> = Promise.resolve()
  #busy = false
  /** Ends when all blocks so far are settled and the cursor says so. */
  #settling: Promise<void> = Promise.resolve()

  constructor(options: SharedLoaderOptions<Entry, B>) {
    this.#options = options
    const { unfinished, cursor } = options
    // Blocks behind those that are unfinished may be in the store already.
    const from = later(later(cursor.stored, unfinished.upTo), unfinished.blocks.at(-1)?.to)
    this.#reader = options.readerAt(from)
    this.#collector = new BlockCollector(
      { ...options, reader: this.#reader, newBlock: () => options.newBlock(everything) },
      from,
    )
  }

  /** The write-ahead log is durable up to `position`: the loader may read that far. */
  committed(position: WalPosition): void {
    this.#collector.committed(position)
  }

  /**
   * Loads until `stop`; then goes on with what is committed, without waiting for more, until `cut`. Rejects when the write-ahead log
   * can't be read, and when the ledger knows more of a block than this loader.
   */
  async run(stop: AbortSignal, cut: AbortSignal): Promise<void> {
    const wake = () => this.#collector.wake()
    const end = AbortSignal.any([cut, this.#broken.signal])
    stop.addEventListener('abort', wake)
    end.addEventListener('abort', wake)
    try {
      const { unfinished } = this.#options
      const first = unfinished.blocks[0]?.from ?? this.#reader.position
      if (comparePositions(first, this.#options.cursor.stored) > 0) await this.#advance(first, end)
      for (const block of unfinished.blocks) await this.#finish(block, end)
      await this.#collectAll(stop, end)
      if (!end.aborted) await this.#settling
      this.#broken.signal.throwIfAborted()
    } finally {
      stop.removeEventListener('abort', wake)
      end.removeEventListener('abort', wake)
      await this.#reader.close()
    }
  }

  async #collectAll(stop: AbortSignal, cut: AbortSignal): Promise<void> {
    let from = this.#reader.position
    while (!cut.aborted) {
      const block = await this.#collector.collect(stop, cut, { busy: () => this.#busy, idle: () => undefined })
      await this.#inserting
      const to = this.#reader.position
      const empty = block === undefined || comparePositions(from, to) === 0
      if (block !== undefined && (empty || cut.aborted)) this.#options.discard(block)
      if (cut.aborted || (empty && stop.aborted)) break
      if (!empty) this.#inserting = this.#hand(block, { from, to }, everything, cut)
      this.#collector.next(to)
      from = to
    }
    await this.#inserting
  }

  /** A block of an earlier life: the claim that stands is kept to, or what is left of the block is claimed anew. */
  async #finish({ from, to, claim, stored }: UnfinishedBlock, cut: AbortSignal): Promise<void> {
    if (cut.aborted) return
    const range = { from, to }
    const scope: BlockScope = { exclusions: [], stored, ...(claim === undefined ? {} : { granted: claim.parts }) }
    const block = await this.#build(range, scope)
    if (claim === undefined) await this.#hand(block, range, scope, cut)
    else await this.#store(block, { seq: claim.seq, isSettled: false, range }, cut)
  }

  async #build({ from, to }: BlockRange, scope: BlockScope): Promise<B> {
    const block = this.#options.newBlock(scope)
    const reader = this.#options.readerAt(from)
    try {
      for (let entry = await reader.next(to); entry !== undefined; entry = await reader.next(to)) await block.add(entry)
    } finally {
      await reader.close()
    }
    return block
  }

  /** Claims a block, without what others have claimed meanwhile, and stores it. */
  async #hand(first: B, range: BlockRange, { stored }: BlockScope, cut: AbortSignal): Promise<void> {
    this.#busy = true
    let block = first
    try {
      const exclusions: Exclusion[] = []
      while (!cut.aborted) {
        const claim = block.claimOf(range)
        const answer = await unlessAborted(this.#options.ledger.claim(claim), cut)
        if (answer === undefined) break
        const { seq } = answer
        // A claim without rows is settled with itself.
        if (seq !== undefined) return await this.#store(block, { seq, isSettled: claim.days.length === 0, range }, cut)
        exclusions.push(...answer.exclusions)
        this.#options.discard(block)
        block = await this.#build(range, { exclusions, stored })
      }
      this.#options.discard(block)
    } catch (error) {
      this.#break(error)
    } finally {
      this.#busy = false
      this.#collector.wake()
    }
  }

  async #store(block: B, { seq, isSettled, range }: Claimed, cut: AbortSignal): Promise<void> {
    const { insert, ledger, onBlock, discard } = this.#options
    const { now = Date.now } = this.#options
    const claimed = now()
    await this.#retry(cut, async (failures) => {
      const start = performance.now()
      // While this process stood still, or the store was away, the others may have given it up.
      if (failures > 0 || now() - claimed > freshClaim) await ledger.stands(seq)
      if (block.rows > 0) await insert(block, seq)
      onBlock(block, (performance.now() - start) / 1000)
    })
    discard(block)
    if (cut.aborted) return
    const settled = isSettled ? Promise.resolve() : ledger.settle(seq, range)
    settled.catch(() => {}) // awaited in order below
    this.#settling = this.#settling.then(async () => {
      try {
        await unlessAborted(settled, cut)
        if (!cut.aborted) await this.#advance(range.to, cut)
      } catch (error) {
        this.#break(error)
      }
    })
  }

  async #advance(stored: WalPosition, cut: AbortSignal): Promise<void> {
    const { disk, cursorPath, cursor, onStored } = this.#options
    await this.#retry(cut, async () => {
      await writeCursor(disk, cursorPath, { id: cursor.id, stored, next: stored })
      onStored(stored)
    })
  }

  #break(error: unknown): void {
    if (!this.#broken.signal.aborted) this.#broken.abort(error)
  }

  /** Repeats until it succeeds, or `cut`. */
  async #retry(cut: AbortSignal, attempt: (failures: number) => Promise<void>): Promise<void> {
    for (let failures = 0; !cut.aborted; ) {
      try {
        return await attempt(failures)
      } catch (error) {
        if (error instanceof BlockLostError) throw error
        failures++
        const delay = this.#options.retryDelay(error, failures)
        this.#options.onRetry(error, failures, delay)
        await (this.#options.wait ?? wait)(delay, cut)
      }
    }
  }
}

function later(a: WalPosition, b: WalPosition | undefined): WalPosition {
  return b !== undefined && comparePositions(b, a) > 0 ? b : a
}

/** What a promise gives; undefined when the signal comes first. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) return undefined
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>()
  const abort = () => resolve(undefined)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
    promise.catch(() => {}) // nobody waits any more
  }
}
