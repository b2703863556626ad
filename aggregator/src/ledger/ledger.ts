/**
 * Which byte ranges of which source are accepted, and what became of them. It decides what is new, and it is the audit. In memory, with
 * a snapshot on disk: the snapshot goes up to a position of the write-ahead log, whose records behind it are booked again at the start.
 */
import type { ChunkHeader, LossReason } from '@tributary/protocol/chunk.ts'
import type { Disk } from '@tributary/protocol/disk.ts'
import { type ByteRange, type ByteRanges, totalBytes, unionOf } from '@tributary/protocol/ranges.ts'
import type { SourceId } from '@tributary/protocol/source.ts'
import type { WalPosition } from '../wal/position.ts'
import { Account, type Booking, type SourceAccount } from './account.ts'
import { type ChunkPart, partsOf, spread, toSource, within } from './parts.ts'
import { encodeAccount, encodeEnd, encodeHead } from './snapshot.ts'
import { readLedger, writeSnapshot } from './snapshot-file.ts'

export interface LedgerOptions {
  readonly disk: Disk
  readonly path: string
  readonly now?: () => number
  /** The newest snapshot is damaged, a copy is kept; what it lacks was taken from the one before. */
  readonly onDamage: (error: Error, copy: string) => void
}

/** What of a chunk is new and now booked. */
export interface Admitted {
  /** In the chunk's offsets; empty for a duplicate. */
  readonly ranges: ByteRanges
  /** By source: one, or two where the chunk has a seam. */
  readonly bookings: readonly SourceBooking[]
}

export interface SourceBooking extends Booking {
  /** Hex. */
  readonly source: string
}

/** Sources encoded between two turns of the event loop: about a millisecond of work. */
const sliceSources = 200

export class Ledger {
  readonly #disk: Disk
  readonly #path: string
  readonly #now: () => number
  readonly #accounts: Map<string, Account>
  /** Encoded accounts, kept until they change: a snapshot costs what changed since the last. */
  readonly #lines = new Map<string, string>()
  /** Admitted and not durable yet, by source. */
  readonly #unconfirmed = new Map<string, Set<SourceBooking>>()

  private constructor(options: LedgerOptions, accounts: readonly Account[]) {
    this.#disk = options.disk
    this.#path = options.path
    this.#now = options.now ?? Date.now
    this.#accounts = new Map(accounts.map((account) => [account.source, account]))
  }

  /**
   * The ledger as of its snapshot, and how far in the write-ahead log that goes: nowhere, if there is none. Throws when a newer
   * version wrote it.
   */
  static async open(options: LedgerOptions): Promise<{ ledger: Ledger; upTo: WalPosition | undefined }> {
    const { accounts, upTo, damage } = await readLedger(options.disk, options.path)
    if (damage !== undefined) options.onDamage(damage.error, damage.copy)
    return { ledger: new Ledger(options, accounts), upTo }
  }

  get size(): number {
    return this.#accounts.size
  }

  /** What is accepted of a source, also what is not durable yet. */
  ranges(source: SourceId): ByteRanges {
    return this.#accounts.get(source.toString('hex'))?.accepted ?? []
  }

  /**
   * Books a chunk. `records` is how many it has; `countIn` counts those whose offset lies within given ranges, and is called only
   * when a part of the chunk is not new, or it has a seam.
   */
  admit(header: ChunkHeader, records: number, countIn: (ranges: readonly ByteRange[]) => number): Admitted {
    const parts = partsOf(header)
    const fresh = parts.map((part) => {
      const own = this.#account(part.source).fresh([part.first - part.shift, part.end - part.shift])
      return own.map(([first, end]): ByteRange => [first + part.shift, end + part.shift])
    })
    const ranges = unionOf(...fresh)
    const bookings = this.#book(header, parts, fresh, fresh, (part) => {
      if (part.length === 0) return 0
      return parts.length === 1 && isWhole(ranges, header.range) ? records : countIn(part)
    })
    for (const booking of bookings) if (booking.ranges.length > 0) this.#unconfirmedOf(booking.source).add(booking)
    return { ranges, bookings }
  }

  /** What was admitted is durable in the write-ahead log: from here on it may stand in a snapshot. */
  confirm({ bookings }: Admitted): void {
    for (const booking of bookings) {
      if (booking.ranges.length === 0) continue
      const unconfirmed = this.#unconfirmed.get(booking.source)
      if (unconfirmed?.delete(booking) !== true) throw new Error('BUG: confirmed twice, or never admitted')
      if (unconfirmed.size === 0) this.#unconfirmed.delete(booking.source)
    }
  }

  /** Books what the write-ahead log says was admitted, in the chunk's offsets. Booking the same twice changes nothing. */
  replay(header: ChunkHeader, accepted: ByteRanges, countIn: (ranges: readonly ByteRange[]) => number): void {
    const parts = partsOf(header)
    const admitted = parts.map((part) => within(part, accepted))
    const fresh = parts.map((part, i) => {
      const own = toSource(part, admitted[i]!).flatMap((range) => this.#account(part.source).fresh(range))
      return own.map(([first, end]): ByteRange => [first + part.shift, end + part.shift])
    })
    if (fresh.some((ranges) => ranges.length > 0))
      this.#book(header, parts, admitted, fresh, (part) => (part.length === 0 ? 0 : countIn(part)))
  }

  /**
   * @param admitted what was new of each part when it was admitted, in the chunk's offsets
   * @param fresh what of that is not booked yet: after a crash a snapshot may have one of two sources
   */
  #book(
    header: ChunkHeader,
    parts: readonly ChunkPart[],
    admitted: readonly ByteRanges[],
    fresh: readonly ByteRanges[],
    count: (ranges: ByteRanges) => number,
  ): SourceBooking[] {
    const leftOut = spread(header, admitted.map(totalBytes))
    // Counted first: where that fails nothing is booked.
    const records = fresh.map(count)
    return parts.map((part, i) => {
      const account = this.#account(part.source)
      const booking = {
        source: account.source,
        ranges: toSource(part, fresh[i]!),
        records: records[i]!,
        leftOut: fresh[i]!.length === 0 ? {} : leftOut[i]!,
      }
      const seen = part.shift === 0 && header.seam === undefined ? header.seen : part.end - part.shift
      account.book({ ...header, seen }, booking, this.#now())
      this.#lines.delete(account.source)
      return booking
    })
  }

  /** Accepted bytes that could not be decoded afterwards. */
  lose(source: string, ranges: ByteRanges, reason: LossReason, records: number): void {
    this.#accounts.get(source)?.lose(ranges, reason, records)
    this.#lines.delete(source)
  }

  #unconfirmedOf(source: string): Set<SourceBooking> {
    let unconfirmed = this.#unconfirmed.get(source)
    if (unconfirmed === undefined) {
      unconfirmed = new Set()
      this.#unconfirmed.set(source, unconfirmed)
    }
    return unconfirmed
  }

  #account(source: SourceId): Account {
    const key = source.toString('hex')
    let account = this.#accounts.get(key)
    if (account === undefined) {
      account = new Account(key)
      this.#accounts.set(key, account)
    }
    return account
  }

  /**
   * Makes the ledger durable. Everything admitted up to `upTo` is booked; what was booked beyond it is in the snapshot too, since
   * booking it again changes nothing. What is not confirmed stays out: a range that is in a snapshot and not in the write-ahead log
   * would be lost. It is not waited for either: while the log is full, nothing becomes durable until a snapshot lets it shrink.
   */
  async snapshot(upTo: WalPosition): Promise<void> {
    await writeSnapshot(this.#disk, this.#path, async (write) => {
      await write(encodeHead(upTo))
      let sources = 0
      const lines: string[] = []
      for (const account of this.#accounts.values()) {
        lines.push(this.#line(account))
        sources++
        if (lines.length >= sliceSources) await write(lines.splice(0).join(''))
      }
      await write(lines.join('') + encodeEnd(sources))
    })
  }

  #line(account: Account): string {
    const unconfirmed = this.#unconfirmed.get(account.source)
    if (unconfirmed !== undefined) return encodeAccount(account.without([...unconfirmed]))
    let line = this.#lines.get(account.source)
    if (line === undefined) {
      line = encodeAccount(account)
      this.#lines.set(account.source, line)
    }
    return line
  }

  /** What is known of one source, by its id in hex. */
  account(source: string): SourceAccount | undefined {
    return this.#accounts.get(source)?.view()
  }

  sources(): Iterable<SourceAccount> {
    return this.#accounts.values().map((account) => account.view())
  }

  /** Forgets sources of which nothing came for longer than `ms`; how many. Their lines would be taken again, so it must exceed what a node keeps. */
  prune(ms: number): number {
    const before = this.#accounts.size
    for (const [source, { touched }] of this.#accounts) {
      if (touched >= this.#now() - ms) continue
      this.#accounts.delete(source)
      this.#lines.delete(source)
    }
    return before - this.#accounts.size
  }
}

function isWhole(ranges: ByteRanges, [first, end]: ByteRange): boolean {
  return ranges.length === 1 && ranges[0]![0] === first && ranges[0]![1] === end
}
