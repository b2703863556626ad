/**
 * The ledger as an aggregator sees it that shares it with others: what is accepted is what it has pending itself and what the log says is
 * settled. What only others have claimed is taken too, until it is known what became of that.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { ChunkHeader } from '@tributary/protocol/chunk.ts'
import { type ByteRange, type ByteRanges, totalBytes, uncovered, unionOf } from '@tributary/protocol/ranges.ts'
import { comparePositions, type WalPosition } from '../../wal/position.ts'
import type { Answer, IntakeLedger, Query } from '../intake-ledger.ts'
import type { Admitted } from '../ledger.ts'
import { partsOf, spread, toSource, within } from '../parts.ts'
import { briefly, type Exclusion, exclusionsOf, obstacle, openBlock } from './claim-request.ts'
import type { BlockRange, Claim } from './entry.ts'
import { Pending } from './pending.ts'
import type { SharedLog } from './shared-log.ts'
import type { LedgerState, OpenClaim } from './state.ts'

/** When chunks are acknowledged: durable in the write-ahead log, or in the store. */
export type AckMode = 'wal' | 'stored'

export interface SharedLedgerOptions {
  readonly log: SharedLog
  readonly ack: AckMode
  /** The ledger's name when it was last known; asked for while the store does not answer. */
  readonly knownId?: string | undefined
  /** Resolves when what had reached this process before the call was read by it. */
  readonly inputRead?: () => Promise<void>
}

/** What became of a block since its loader last knew is for the log to say: the loader begins anew. */
export class BlockLostError extends Error {
  override readonly name = 'BlockLostError'
}

/** A block that an earlier life of the loader left unfinished. */
export interface UnfinishedBlock extends BlockRange {
  /** The claim that stands; undefined: what is left of the block has to be claimed anew. */
  readonly claim: Pick<OpenClaim, 'seq' | 'parts' | 'days' | 'shard'> | undefined
  /** Days whose rows are in the store already. */
  readonly stored: readonly number[]
}

export interface Unfinished {
  readonly ledger: string
  /** Behind the last block that was claimed; undefined when none ever was. */
  readonly upTo: WalPosition | undefined
  readonly blocks: readonly UnfinishedBlock[]
}

export type ClaimAnswer =
  | { readonly seq: number; readonly exclusions?: undefined }
  /** Not claimed: the block must do without these first. */
  | { readonly seq?: undefined; readonly exclusions: readonly Exclusion[] }

export class SharedLedger implements IntakeLedger {
  readonly #options: SharedLedgerOptions
  readonly #log: SharedLog
  readonly #pending = new Pending()
  readonly #messages = new WeakMap<Admitted, ReturnType<Pending['add']>>()
  #stored: WalPosition
  /** Of the loader: what it asked for in an earlier one it does not wait for any more. */
  #life = 0
  #waiting: { readonly end: WalPosition; readonly resolve: () => void }[] = []

  /** @param stored where the loader begins */
  constructor(options: SharedLedgerOptions, stored: WalPosition) {
    this.#options = options
    this.#log = options.log
    this.#stored = stored
  }

  get state(): LedgerState {
    return this.#log.state
  }

  lets(header: Pick<ChunkHeader, 'source' | 'seam' | 'session'>): boolean {
    return this.state.lets(header)
  }

  admit(header: ChunkHeader, records: number, countIn: (ranges: readonly ByteRange[]) => number): Admitted {
    const parts = partsOf(header)
    const fresh = parts.map((part) => {
      const source = part.source.toString('hex')
      const settled = this.state.settled(source)
      return this.#pending
        .fresh(source, header.session, [part.first - part.shift, part.end - part.shift])
        .flatMap((range) => uncovered(settled, range))
        .map(([first, end]): ByteRange => [first + part.shift, end + part.shift])
    })
    const ranges = unionOf(...fresh)
    const whole = totalBytes(ranges) === header.range[1] - header.range[0] && parts.length === 1
    const counts = fresh.map((own) => (own.length === 0 ? 0 : whole ? records : countIn(own)))
    const leftOut = spread(header, fresh.map(totalBytes))
    const bookings = parts.map((part, i) => ({
      source: part.source.toString('hex'),
      ranges: toSource(part, fresh[i]!),
      records: counts[i]!,
      leftOut: leftOut[i]!,
    }))
    const admitted = { ranges, bookings }
    if (ranges.length > 0) {
      const own = bookings.map(({ source, ranges }) => ({ source, ranges, session: header.session }))
      this.#messages.set(admitted, this.#pending.add(own))
    }
    return admitted
  }

  confirm(admitted: Admitted, end: WalPosition): void {
    const message = this.#messages.get(admitted)
    if (message !== undefined) this.#pending.durable(message, end)
  }

  /** Takes over what the write-ahead log held at the start. */
  replay(header: ChunkHeader, accepted: ByteRanges, end: WalPosition): void {
    const parts = partsOf(header).map((part) => ({
      source: part.source.toString('hex'),
      session: header.session,
      ranges: toSource(part, within(part, accepted)),
    }))
    this.#pending.add(parts, end)
  }

  /**
   * What is in the store, as of a fence in the log: claims before it are waited for, and after it only the session that asks may
   * claim what the answer does not have.
   */
  async ask({ sources, session, waits }: Query): Promise<Answer> {
    if (sources.length === 0) {
      // Before its first entry the ledger has no name, and who hears none takes it for this aggregator's own.
      while (this.#identity().ledger === undefined) await this.#log.changed
      return { ranges: [], ...this.#identity() }
    }
    await this.#log.ready
    // What this process reads late, such as after it was stopped for a while, may be of a collector that is gone: its end comes next.
    await (this.#options.inputRead ?? twoTurns)()
    const asked = sources.map(({ source, keep }) => [source.toString('hex'), keep] as const)
    const fence = session === undefined ? undefined : { session, sources: asked }
    // Without a session nothing is fenced, but the answer must be as new as if it were.
    if (fence === undefined) await this.#log.refresh()
    const prepare = () => {
      // It has a successor perhaps, whose fence must not be taken away.
      if (!waits()) throw new Error('nobody waits for the answer')
      return fence === undefined ? ('needless' as const) : { fences: [fence] }
    }
    const seq = await this.#log.submit({ prepare })
    const upTo = seq ?? this.state.next
    const isOpen = () => asked.some(([source]) => this.state.openClaims(source).some((claim) => claim.seq <= upTo))
    while (isOpen()) await this.#log.changed
    const ranges = asked.map(([source, keep]) => unionOf(this.state.settled(source), keep > 0 ? [[0, keep]] : []))
    return { ranges, ...this.#identity() }
  }

  #identity(): Pick<Answer, 'ledger' | 'shared'> {
    const ledger = this.state.id || this.#options.knownId
    return ledger === undefined ? {} : { ledger, shared: true }
  }

  acknowledgeable(end: WalPosition): Promise<void> | undefined {
    if (this.#options.ack === 'wal' || comparePositions(end, this.#stored) <= 0) return undefined
    return new Promise((resolve) => this.#waiting.push({ end, resolve }))
  }

  /** Everything before `position` of the write-ahead log is settled, or was refused. */
  stored(position: WalPosition): void {
    if (comparePositions(position, this.#stored) <= 0) return
    this.#stored = position
    this.#pending.stored(position)
    const isStored = ({ end }: { readonly end: WalPosition }) => comparePositions(end, position) <= 0
    const ready = this.#waiting.filter(isStored)
    this.#waiting = this.#waiting.filter((one) => !isStored(one))
    for (const { resolve } of ready) resolve()
  }

  /** Where the loader is, by the log. Resolves once the log was read; own claims that are contested are waited for. */
  async unfinished(): Promise<Unfinished> {
    this.#life++
    await this.#log.ready
    // What an earlier life asked for may be on its way into the log: this comes behind it.
    await this.#log.submit({ prepare: () => 'needless' })
    await this.#log.refresh()
    await this.#begin()
    const own = () => this.state.writers.get(this.#log.writer)
    const contested = () =>
      own()?.blocks.some(({ claim }) => claim !== undefined && this.state.claims.get(claim)?.contested === true)
    while (contested()) await this.#log.changed
    const writer = own()
    // A writer that never claimed is known by its fences only.
    const upTo = writer === undefined || writer.upTo.segment === 0 ? undefined : writer.upTo
    const blocks = (writer?.blocks ?? []).map(({ from, to, claim, stored }) => {
      const standing = claim === undefined ? undefined : this.state.claims.get(claim)!
      return { from, to, stored, claim: standing }
    })
    return { ledger: this.state.id, upTo, blocks: blocks.sort((a, b) => comparePositions(a.from, b.from)) }
  }

  /** The first entry names the ledger, and that name is in the token of every insert. */
  async #begin(): Promise<void> {
    if (this.state.next === 0) await this.#log.submit({ prepare: ({ next }) => (next > 0 ? 'needless' : {}) })
  }

  /** Claims a block, or tells what it has to do without. Throws {@link BlockLostError}. */
  async claim(claim: Claim): Promise<ClaimAnswer> {
    let exclusions: Exclusion[] = []
    const { writer } = this.#log
    const life = this.#life
    const seq = await this.#log.submit({
      prepare: (state) => {
        // The next life puts its blocks together anew, and this one would be claimed beside them.
        if (life !== this.#life) throw new BlockLostError('the loader that asked for the block is gone')
        const known = openBlock(state, writer, claim.block)
        if (known?.claim !== undefined) throw new BlockLostError('the block is claimed already')
        // A claim of an earlier life came late: what lies behind the end of this block would never be claimed.
        if (known !== undefined && comparePositions(known.to, claim.block.to) !== 0)
          throw new BlockLostError('the block was claimed with another end')
        if (obstacle(state, writer, claim) !== undefined) return 'later'
        exclusions = exclusionsOf(state, claim)
        return exclusions.length > 0 ? 'needless' : { claim: briefly(state, claim) }
      },
    })
    return seq === undefined ? { exclusions } : { seq }
  }

  /** Whether a claim is still the writer's to insert. Throws {@link BlockLostError}. */
  async stands(seq: number): Promise<void> {
    await this.#log.refresh()
    if (this.state.claims.get(seq)?.contested !== false) throw new BlockLostError('the claim is not open any more')
  }

  /** The rows of a claim were inserted. Throws {@link BlockLostError} when somebody else found that they are not in the store. */
  async settle(seq: number, block: BlockRange): Promise<void> {
    const { writer } = this.#log
    await this.#log.submit({
      prepare: (state) => {
        const claim = state.claims.get(seq)
        if (claim?.contested) throw new BlockLostError('the claim is contested')
        if (claim !== undefined) return { settled: [seq] }
        if (openBlock(state, writer, block) !== undefined) throw new BlockLostError('the claim was resolved')
        return 'needless'
      },
    })
  }
}

/** In the first one of the event loop data is read, in the second one ends of connections that were behind it. */
async function twoTurns(): Promise<void> {
  await turn()
  await turn()
}
