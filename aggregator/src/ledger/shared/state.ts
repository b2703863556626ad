/**
 * What the log of the shared ledger says so far: accounts of all sources, claims that are open, fences. A function of the entries alone:
 * whoever has applied the same entries has the same state. Pure.
 */
import type { ChunkHeader } from '@tributary/protocol/chunk.ts'
import { type ByteRanges, uncovered, unionOf } from '@tributary/protocol/ranges.ts'
import { comparePositions, type WalPosition } from '../../wal/position.ts'
import { Account } from '../account.ts'
import { type BlockRange, type Claim, type ClaimPart, decodeEntry, type LogRow, type RaisedFence } from './entry.ts'

/** Sources, and aggregators, of which nothing came for so long are forgotten, ms. */
const forgetAfter = 30 * 86_400_000
/** Sessions remembered; each collector process has one. */
const maxSessions = 20_000

/** A claim whose rows may or may not be in the store. */
export interface OpenClaim extends Claim {
  readonly seq: number
  readonly writer: string
  /** It is being resolved: its writer must not settle it any more. */
  contested: boolean
}

/** A block whose rows are not all in the store. */
export interface OpenBlock extends BlockRange {
  /** The claim that is open for it; undefined when it was resolved and not claimed again. */
  claim: number | undefined
  /** Days of earlier claims of it that are in the store. */
  stored: readonly number[]
}

export interface Writer {
  /** End of the last block that it claimed. */
  upTo: WalPosition
  /** In the order of its write-ahead log. */
  blocks: OpenBlock[]
  /** When its last entry was written, ms since 1970. */
  heard: number
}

export interface Fence {
  readonly session: string
  /** Of the session: sessions count up in the order in which they were first heard of. */
  readonly number: number
  /** When it was raised, ms since 1970. */
  readonly at: number
  /** Bytes before it are not refused, whoever sent them. */
  readonly keep: number
}

export class LedgerState {
  /** Number of the next entry. */
  next = 0
  /** Names this ledger: its first entry's. */
  id = ''
  /** Of the last snapshot that an entry tells of; -1 before the first. */
  snapshot = -1
  readonly accounts = new Map<string, Account>()
  readonly claims = new Map<number, OpenClaim>()
  readonly writers = new Map<string, Writer>()
  /** By source, those that count: in the order of their sessions, each keeps more than the one before. */
  readonly fences = new Map<string, readonly Fence[]>()
  /** Those heard of first at the beginning. */
  readonly sessions = new Map<string, number>()
  heardSessions = 0
  readonly #openOf = new Map<string, Set<OpenClaim>>()

  /** Applies the next entry. Throws LogVersionError, and for one that is not the next. */
  apply(row: LogRow): void {
    if (row.seq !== this.next) throw new Error(`BUG: entry ${row.seq} of the shared ledger where ${this.next} is due`)
    const entry = decodeEntry(row.body)
    if (row.seq === 0) this.id = row.entry
    this.next = row.seq + 1
    const writer = this.#writer(row.writer)
    writer.heard = row.at
    for (const seq of entry.settled ?? []) this.#settle(seq, row.writer)
    for (const seq of entry.contested ?? []) this.#contest(seq)
    for (const { claim, stored } of entry.resolved ?? []) this.#resolve(claim, stored)
    if (entry.claim !== undefined) this.#claim(entry.claim, row)
    for (const fence of entry.fences ?? []) this.#fence(fence, row.at)
    if (entry.snapshot !== undefined) {
      this.snapshot = entry.snapshot
      this.#forget(row.at - forgetAfter)
    }
  }

  /** What is claimed of a source, whether its rows are in the store or not. */
  claimed(source: string): ByteRanges {
    return this.accounts.get(source)?.accepted ?? []
  }

  /** What of a source is in the store for good, or needs no rows. */
  settled(source: string): ByteRanges {
    const open = this.openClaims(source).flatMap(({ parts }) => parts.filter((part) => part.source === source))
    const unsettled = unionOf(...open.filter(({ day }) => day !== undefined).map(({ ranges }) => ranges))
    return unsettled.length === 0
      ? this.claimed(source)
      : this.claimed(source).flatMap((range) => uncovered(unsettled, range))
  }

  openClaims(source: string): OpenClaim[] {
    return [...(this.#openOf.get(source) ?? [])]
  }

  /** Whether chunks of a session may be taken. */
  lets({ source, seam, session }: Pick<ChunkHeader, 'source' | 'seam' | 'session'>): boolean {
    const isRefused = (id: Buffer) => this.fenceAgainst(id.toString('hex'), session) !== undefined
    return !isRefused(source) && (seam === undefined || !isRefused(seam.source))
  }

  /**
   * The fence that keeps a session from a source: of those of sessions that were heard of later the one that keeps least. What it refuses
   * was read anew behind it, so what a later one keeps of that is not of this session. One that nobody heard of yet may have raised its own
   * in an entry that is still to be read: it always asks before it sends.
   */
  fenceAgainst(source: string, session: string | undefined): Fence | undefined {
    const number = session === undefined ? undefined : this.sessions.get(session)
    return number === undefined ? undefined : this.fences.get(source)?.find((fence) => fence.number > number)
  }

  /** Restores a claim from a snapshot. */
  reopen(claim: OpenClaim): void {
    this.claims.set(claim.seq, claim)
    for (const { source } of claim.parts) {
      const open = this.#openOf.get(source)
      if (open === undefined) this.#openOf.set(source, new Set([claim]))
      else open.add(claim)
    }
  }

  #writer(name: string): Writer {
    let writer = this.writers.get(name)
    if (writer === undefined) {
      writer = { upTo: { segment: 0, offset: 0 }, blocks: [], heard: 0 }
      this.writers.set(name, writer)
    }
    return writer
  }

  #claim(claim: Claim, { seq, writer: name, at }: LogRow): void {
    const writer = this.#writer(name)
    const { from, to } = claim.block
    for (const part of claim.parts) {
      this.#book(part, at)
      if (part.session !== undefined) this.#numberOf(part.session)
    }
    const known = writer.blocks.find((block) => comparePositions(block.from, from) === 0)
    // Not the largest: a write-ahead log that was lost begins anew.
    if (known === undefined) writer.upTo = to
    if (claim.days.length === 0) {
      writer.blocks = writer.blocks.filter((block) => block !== known)
      return
    }
    if (known === undefined) writer.blocks.push({ from, to, claim: seq, stored: [] })
    else known.claim = seq
    this.reopen({ ...claim, seq, writer: name, contested: false })
  }

  #book(part: ClaimPart, at: number): void {
    let account = this.accounts.get(part.source)
    if (account === undefined) this.accounts.set(part.source, (account = new Account(part.source)))
    const { outcome, seen, about, ranges, records, leftOut = {} } = part
    const { path, labels, metadata } = about ?? account
    account.book(
      { path, labels, metadata, seen, rawBytes: 0, ...(outcome === undefined ? {} : { outcome }) },
      { ranges, records, leftOut },
      at,
    )
  }

  #settle(seq: number, writer: string): void {
    const claim = this.claims.get(seq)
    // One that is contested is not its writer's any more.
    if (claim === undefined || claim.writer !== writer || claim.contested) return
    this.#close(claim)
    const { blocks } = this.#writer(writer)
    this.#writer(writer).blocks = blocks.filter((block) => block.claim !== seq)
  }

  #contest(seq: number): void {
    const claim = this.claims.get(seq)
    if (claim !== undefined) claim.contested = true
  }

  #resolve(seq: number, stored: readonly number[]): void {
    const claim = this.claims.get(seq)
    if (claim === undefined || !claim.contested) return
    this.#close(claim)
    const isVoid = ({ day }: ClaimPart) => day !== undefined && !stored.includes(day)
    for (const part of claim.parts.filter(isVoid)) {
      const account = this.accounts.get(part.source)
      if (account !== undefined) this.accounts.set(part.source, account.without([{ leftOut: {}, ...part }]))
    }
    const writer = this.#writer(claim.writer)
    const block = writer.blocks.find((one) => one.claim === seq)
    if (block === undefined) return
    block.claim = undefined
    block.stored = [...new Set([...block.stored, ...stored])]
    if (claim.days.every((day) => stored.includes(day))) writer.blocks = writer.blocks.filter((one) => one !== block)
  }

  #close(claim: OpenClaim): void {
    this.claims.delete(claim.seq)
    for (const { source } of claim.parts) {
      const open = this.#openOf.get(source)
      open?.delete(claim)
      if (open?.size === 0) this.#openOf.delete(source)
    }
  }

  /**
   * A query of a process that is gone may come after its successor's: a session that was heard of before changes nothing. A fence that keeps no
   * less than a later one says nothing that it does not; of those that keep only what is in the store anyway the last one says all.
   */
  #fence({ session, sources }: RaisedFence, at: number): void {
    const number = this.#numberOf(session)
    for (const [source, keep] of sources) {
      const known = this.fences.get(source) ?? []
      const last = known.at(-1)
      if (last !== undefined && (last.number > number || (last.number === number && last.keep <= keep))) continue
      const [first] = this.settled(source)
      const stored = first?.[0] === 0 ? first[1] : 0
      const lower = known.filter((fence) => fence.keep < keep)
      const latest = stored < keep ? lower.findLast((fence) => fence.keep <= stored) : undefined
      const needed = lower.filter((fence) => fence === latest || fence.keep > stored)
      this.fences.set(source, [...needed, { session, number, at, keep }])
    }
  }

  #numberOf(session: string): number {
    const number = this.sessions.get(session) ?? ++this.heardSessions
    this.sessions.delete(session)
    this.sessions.set(session, number)
    for (const oldest of this.sessions.keys()) {
      if (this.sessions.size <= maxSessions) break
      this.sessions.delete(oldest)
    }
    return number
  }

  /** What nothing came of since `before`. What is forgotten would be taken again. */
  #forget(before: number): void {
    for (const [source, { touched }] of this.accounts) {
      if (touched >= before || this.#openOf.has(source)) continue
      this.accounts.delete(source)
    }
    for (const [source, fences] of this.fences)
      if (fences.at(-1)!.at < before && !this.accounts.has(source)) this.fences.delete(source)
    for (const [name, { heard, blocks }] of this.writers) {
      if (heard < before && !blocks.some(({ claim }) => claim !== undefined)) this.writers.delete(name)
    }
  }
}
