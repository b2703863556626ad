/**
 * Lets the write-ahead log shrink: when rows have arrived in the store, the ledger is made durable, and only then are segments
 * deleted. One at a time; what fails is tried again with the next block.
 */
import type { LossReason } from '@tributary/protocol/chunk.ts'
import { type ByteRanges, uncovered } from '@tributary/protocol/ranges.ts'
import type { Ledger } from './ledger/ledger.ts'
import { comparePositions, type WalPosition } from './wal/position.ts'
import type { Wal } from './wal/wal.ts'

export interface LedgerKeeperOptions {
  readonly ledger: Ledger
  readonly wal: Wal
  /** Sources of which nothing came for so long are forgotten, in milliseconds. */
  readonly forgetAfter: number
  readonly onError: (error: unknown) => void
  /** Segments were deleted: there may be room for more. */
  readonly onReleased: () => void
  readonly now?: () => number
}

/** A snapshot is also taken when no segment can be deleted by it: it shortens the next start. Milliseconds. */
const snapshotInterval = 60_000
const pruneInterval = 3_600_000
/** Pause before a loss is booked again that could not be made durable, in milliseconds. */
const retryDelay = 1000

export class LedgerKeeper {
  readonly #options: LedgerKeeperOptions
  readonly #now: () => number
  #stored: WalPosition
  #snapshotAt: WalPosition
  #snapshotTime: number
  #pruneTime: number
  #work: Promise<void> = Promise.resolve()
  #scheduled = false

  /** @param stored where the loader begins */
  constructor(options: LedgerKeeperOptions, stored: WalPosition) {
    this.#options = options
    this.#now = options.now ?? performance.now.bind(performance)
    this.#stored = this.#snapshotAt = stored
    this.#snapshotTime = this.#pruneTime = this.#now()
  }

  /** Everything before it is in the store. */
  get stored(): WalPosition {
    return this.#stored
  }

  /** Everything before `position` is in the store, durably. */
  advance(position: WalPosition): void {
    if (comparePositions(position, this.#stored) <= 0) return
    this.#stored = position
    if (this.#scheduled || !this.#worthwhile()) return
    this.#scheduled = true
    void this.#enqueue(() => {
      this.#scheduled = false
      return this.#save()
    })
  }

  /** Books bytes that were accepted and can't be stored. Resolves when that is durable. Booking the same again changes nothing. */
  async lose(source: string, ranges: ByteRanges, reason: LossReason, records: number): Promise<number> {
    const { ledger, onError } = this.#options
    const lost = this.#stillStored(source, ranges)
    if (lost > 0) ledger.lose(source, ranges, reason, records)
    for (;;) {
      try {
        await this.#enqueue(() => ledger.snapshot(this.#stored), true)
        return lost
      } catch (error) {
        onError(error)
        await new Promise((resolve) => setTimeout(resolve, retryDelay))
      }
    }
  }

  /** Takes a snapshot, then runs `work` while no other is taken and no segment is deleted. */
  async still<T>(work: () => Promise<T>): Promise<T> {
    const outcome = Promise.withResolvers<T>()
    await this.#enqueue(async () => {
      await this.#save()
      await work().then(outcome.resolve, outcome.reject)
    }, true)
    return await outcome.promise
  }

  /** A last snapshot. */
  async close(): Promise<void> {
    await this.#enqueue(() => this.#save())
  }

  /** How many bytes of the ranges the ledger counts as stored. */
  #stillStored(source: string, ranges: ByteRanges): number {
    const account = this.#options.ledger.account(source)
    if (account === undefined) return 0
    return ranges.reduce((sum, range) => {
      const missing = uncovered(account.stored, range).reduce((bytes, [first, end]) => bytes + end - first, 0)
      return sum + range[1] - range[0] - missing
    }, 0)
  }

  /** A segment can go, the log is filling up, or it has been long. */
  #worthwhile(): boolean {
    const { wal } = this.#options
    if (this.#stored.segment > wal.oldest.segment || wal.full) return true
    return this.#now() - this.#snapshotTime > snapshotInterval
  }

  async #save(): Promise<void> {
    const { ledger, wal, forgetAfter, onReleased } = this.#options
    const upTo = this.#stored
    if (this.#now() - this.#pruneTime > pruneInterval) {
      ledger.prune(forgetAfter)
      this.#pruneTime = this.#now()
    }
    if (comparePositions(upTo, this.#snapshotAt) > 0) await ledger.snapshot(upTo)
    this.#snapshotAt = upTo
    this.#snapshotTime = this.#now()
    await wal.release(upTo)
    onReleased()
  }

  /** Runs after what is under way. Errors are reported, and thrown only where the caller wants them. */
  #enqueue(work: () => Promise<void>, rethrow = false): Promise<void> {
    const done = this.#work.then(work)
    this.#work = done.catch(rethrow ? () => {} : this.#options.onError)
    return rethrow ? done : this.#work
  }
}
