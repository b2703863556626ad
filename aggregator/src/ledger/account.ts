/** What the ledger knows of one source. Pure. */
import type { ChunkHeader, FilterReason, LeftOut, LossReason, Outcome } from '@tributary/protocol/chunk.ts'
import {
  addRange,
  type ByteRange,
  type ByteRanges,
  totalBytes,
  uncovered,
  unionOf,
} from '@tributary/protocol/ranges.ts'

/** One line of the audit. Ranges and sizes in bytes of the source. */
export interface SourceAccount {
  /** Hex. */
  readonly source: string
  readonly path: string
  readonly labels: Readonly<Record<string, string>>
  readonly metadata: Readonly<Record<string, string>>
  /** Bytes the collector has seen to exist. */
  readonly seen: number
  /** Ranges whose records were accepted for the store. */
  readonly stored: ByteRanges
  readonly filtered: readonly { readonly reason: FilterReason; readonly ranges: ByteRanges }[]
  /** Bytes within `stored` whose records the collector's filters left out, by reason. */
  readonly leftOut: LeftOut
  readonly lost: readonly { readonly reason: LossReason; readonly ranges: ByteRanges }[]
  /** Records in `stored`. */
  readonly records: number
  /** What was seen and is none of the above. */
  readonly missing: ByteRanges
  /** When a chunk of it last came, ms since 1970. */
  readonly touched: number
}

/** What of a chunk is new, of one source. */
export interface Booking {
  readonly ranges: ByteRanges
  /** Records that begin in them. */
  readonly records: number
  /** Bytes in them whose records were left out. */
  readonly leftOut: LeftOut
}

export class Account {
  readonly source: string
  path = ''
  labels: Readonly<Record<string, string>> = {}
  metadata: Readonly<Record<string, string>> = {}
  seen = 0
  records = 0
  touched = 0
  stored: ByteRanges = []
  readonly filtered = new Map<FilterReason, ByteRanges>()
  readonly lost = new Map<LossReason, ByteRanges>()
  readonly leftOut = new Map<FilterReason, number>()
  /** The union of all of them: what is not taken a second time. */
  accepted: ByteRanges = []

  constructor(source: string) {
    this.source = source
  }

  /** The parts of a range that are new. */
  fresh(range: ByteRange): ByteRange[] {
    return uncovered(this.accepted, range)
  }

  /** Books ranges that {@link fresh} gave, none for a duplicate, with what the chunk says about its source. */
  book(
    { outcome, path, labels, metadata, seen }: Omit<ChunkHeader, 'source' | 'range'>,
    { ranges, records, leftOut }: Booking,
    now: number,
  ): void {
    for (const range of ranges) {
      this.accepted = addRange(this.accepted, range)
      if (outcome === undefined) this.stored = addRange(this.stored, range)
      else this.#bookOutcome(outcome, range)
    }
    this.records += records
    this.#leaveOut(leftOut, 1)
    this.seen = Math.max(this.seen, seen)
    this.touched = Math.max(this.touched, now)
    // An outcome of a source whose file is gone knows its stream no more.
    if (outcome === undefined || this.path === '') [this.path, this.labels, this.metadata] = [path, labels, metadata]
  }

  #leaveOut(leftOut: LeftOut, sign: 1 | -1): void {
    for (const [reason, bytes] of Object.entries(leftOut) as [FilterReason, number][])
      this.leftOut.set(reason, (this.leftOut.get(reason) ?? 0) + sign * bytes)
  }

  #bookOutcome(outcome: Outcome, range: ByteRange): void {
    if (outcome.kind === 'lost') this.lost.set(outcome.reason, addRange(this.lost.get(outcome.reason) ?? [], range))
    else this.filtered.set(outcome.reason, addRange(this.filtered.get(outcome.reason) ?? [], range))
  }

  /** Those of the ranges that were stored turned out to be unusable: they are lost. `records` are those counted for the ranges. */
  lose(ranges: ByteRanges, reason: LossReason, records: number): void {
    const kept = this.stored.flatMap((one) => uncovered(ranges, one))
    const lost = this.stored.flatMap((one) => uncovered(kept, one))
    if (lost.length === 0) return
    this.stored = kept
    this.lost.set(reason, lost.reduce(addRange, this.lost.get(reason) ?? []))
    this.records -= records
  }

  /** A copy as it would be if the given ranges had not been booked. */
  without(admitted: readonly Booking[]): Account {
    const ranges = unionOf(...admitted.map((one) => one.ranges))
    const cut = (set: ByteRanges) => set.flatMap((one) => uncovered(ranges, one))
    const copy = Object.assign(new Account(this.source), this, {
      stored: cut(this.stored),
      accepted: cut(this.accepted),
      filtered: new Map([...this.filtered].map(([reason, set]) => [reason, cut(set)])),
      lost: new Map([...this.lost].map(([reason, set]) => [reason, cut(set)])),
      leftOut: new Map(this.leftOut),
    })
    for (const { records, leftOut } of admitted) {
      copy.records -= records
      copy.#leaveOut(leftOut, -1)
    }
    return copy
  }

  view(): SourceAccount {
    const { source, path, labels, metadata, seen, stored, records, touched } = this
    const filtered = [...this.filtered].map(([reason, ranges]) => ({ reason, ranges }))
    const lost = [...this.lost].map(([reason, ranges]) => ({ reason, ranges }))
    const known = unionOf(stored, ...filtered.map(({ ranges }) => ranges), ...lost.map(({ ranges }) => ranges))
    return {
      source,
      path,
      labels,
      metadata,
      seen,
      stored,
      filtered,
      lost,
      leftOut: this.#leftOutOf(totalBytes(stored)),
      records,
      missing: uncovered(known, [0, seen]),
      touched,
    }
  }

  /** What of the stored bytes was left out. Of those that turned out to be lost, nobody knows how many were. */
  #leftOutOf(storedBytes: number): LeftOut {
    let room = storedBytes
    const leftOut: Partial<Record<FilterReason, number>> = {}
    for (const [reason, bytes] of this.leftOut) {
      const counted = Math.min(room, bytes)
      if (counted > 0) leftOut[reason] = counted
      room -= counted
    }
    return leftOut
  }
}
