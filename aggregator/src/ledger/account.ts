/** What the ledger knows of one source. Pure. */
import type { ChunkHeader, FilterReason, LossReason, Outcome } from '@tributary/protocol/chunk.ts'
import { addRange, type ByteRange, type ByteRanges, uncovered, unionOf } from '@tributary/protocol/ranges.ts'

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
  readonly lost: readonly { readonly reason: LossReason; readonly ranges: ByteRanges }[]
  /** Records in `stored`. */
  readonly records: number
  /** What was seen and is none of the above. */
  readonly missing: ByteRanges
  /** When a chunk of it last came, ms since 1970. */
  readonly touched: number
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
  book({ outcome, path, labels, metadata, seen }: ChunkHeader, ranges: ByteRanges, records: number, now: number): void {
    for (const range of ranges) {
      this.accepted = addRange(this.accepted, range)
      if (outcome === undefined) this.stored = addRange(this.stored, range)
      else this.#bookOutcome(outcome, range)
    }
    this.records += records
    this.seen = Math.max(this.seen, seen)
    this.touched = Math.max(this.touched, now)
    // An outcome of a source whose file is gone knows its stream no more.
    if (outcome === undefined || this.path === '') [this.path, this.labels, this.metadata] = [path, labels, metadata]
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
  without(admitted: readonly { readonly ranges: ByteRanges; readonly records: number }[]): Account {
    const ranges = unionOf(...admitted.map((one) => one.ranges))
    const cut = (set: ByteRanges) => set.flatMap((one) => uncovered(ranges, one))
    const copy = Object.assign(new Account(this.source), this, {
      stored: cut(this.stored),
      accepted: cut(this.accepted),
      filtered: new Map([...this.filtered].map(([reason, set]) => [reason, cut(set)])),
      lost: new Map([...this.lost].map(([reason, set]) => [reason, cut(set)])),
    })
    for (const { records } of admitted) copy.records -= records
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
      records,
      missing: uncovered(known, [0, seen]),
      touched,
    }
  }
}
