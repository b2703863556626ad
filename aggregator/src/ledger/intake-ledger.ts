/** What the intake needs of a ledger: the aggregator's own ({@link LocalLedger}), or one that it shares with others. */
import type { ChunkHeader, LedgerIdentity } from '@tributary/protocol/chunk.ts'
import type { ByteRange, ByteRanges } from '@tributary/protocol/ranges.ts'
import type { SourceId } from '@tributary/protocol/source.ts'
import { SessionFence } from '../receive/session-fence.ts'
import type { WalPosition } from '../wal/position.ts'
import type { Admitted, Ledger } from './ledger.ts'

export interface Query {
  readonly sources: readonly { readonly source: SourceId; readonly keep: number }[]
  readonly session: string | undefined
  /** Whether somebody still waits for the answer. */
  readonly waits: () => boolean
}

export interface Answer extends Partial<LedgerIdentity> {
  /** One set for each source asked for. */
  readonly ranges: readonly ByteRanges[]
}

export interface IntakeLedger {
  /** Whether a chunk of this collector process may be taken. */
  lets(header: Pick<ChunkHeader, 'source' | 'seam' | 'session'>): boolean
  /** See {@link Ledger.admit}. */
  admit(header: ChunkHeader, records: number, countIn: (ranges: readonly ByteRange[]) => number): Admitted
  /** What was admitted is durable in the write-ahead log, up to `end`. */
  confirm(admitted: Admitted, end: WalPosition): void
  /** What is accepted of sources. What the answer stands on is decided before the first await. */
  ask(query: Query): Promise<Answer>
  /**
   * Resolves when a chunk may be acknowledged whose last byte, or what covers it, is durable at `end` of the write-ahead log. Undefined:
   * at once.
   */
  acknowledgeable(end: WalPosition): Promise<void> | undefined
}

export class LocalLedger implements IntakeLedger {
  readonly #ledger: Pick<Ledger, 'admit' | 'confirm' | 'ranges'>
  readonly #identity: LedgerIdentity | undefined
  readonly #fence = new SessionFence()

  /**
   * @param id tells this ledger from others; kept with it
   * @param before names that it had before it was restored from backups
   */
  constructor(ledger: Pick<Ledger, 'admit' | 'confirm' | 'ranges'>, id?: string, before: readonly string[] = []) {
    this.#ledger = ledger
    if (id !== undefined) this.#identity = { ledger: id, shared: false, ...(before.length === 0 ? {} : { before }) }
  }

  lets(header: Pick<ChunkHeader, 'source' | 'seam' | 'session'>): boolean {
    return this.#fence.lets(header)
  }

  admit(header: ChunkHeader, records: number, countIn: (ranges: readonly ByteRange[]) => number): Admitted {
    return this.#ledger.admit(header, records, countIn)
  }

  confirm(admitted: Admitted): void {
    this.#ledger.confirm(admitted)
  }

  async ask({ sources, session }: Omit<Query, 'waits'>): Promise<Answer> {
    const ids = sources.map(({ source }) => source)
    this.#fence.raise(ids, session)
    const ranges = ids.map((source) => this.#ledger.ranges(source))
    return { ranges, ...this.#identity }
  }

  acknowledgeable(): undefined {
    return undefined
  }
}
