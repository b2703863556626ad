/** The ledger of an aggregator with all that works on it: its own on disk, or one in the store that it shares with others. */
import type { LossReason } from '@tributary/protocol/chunk.ts'
import type { ByteRanges } from '@tributary/protocol/ranges.ts'
import type { SourceAccount } from './ledger/account.ts'
import { type IntakeLedger, LocalLedger } from './ledger/intake-ledger.ts'
import type { Ledger } from './ledger/ledger.ts'
import { LedgerKeeper, type LedgerKeeperOptions } from './ledger-keeper.ts'
import type { LedgerRequest } from './load/messages.ts'
import type { WalPosition } from './wal/position.ts'

export interface LedgerService {
  /** Blocks are claimed in it before they are inserted. */
  readonly shared: boolean
  readonly intake: IntakeLedger
  /** Everything of the write-ahead log before it is in the store. */
  readonly stored: WalPosition
  /** Blocks, of all aggregators that share the ledger, that are claimed and not known to be in the store. */
  readonly openClaims: number
  /** No block is on its way into the store, of no aggregator. */
  readonly calm: boolean
  /** Everything before `position` is in the store, durably. */
  advance(position: WalPosition): void
  /** Books bytes that were accepted and can't be stored; how many. Resolves when that is durable. */
  lose(source: string, ranges: ByteRanges, reason: LossReason, records: number): Promise<number>
  /** Answers the loader. */
  answer(ask: LedgerRequest): Promise<unknown>
  accounts(): Promise<Iterable<SourceAccount>>
  /** Runs while snapshot and write-ahead log stay as they are, but for what is appended. Undefined where the ledger is in the store. */
  readonly still: (<T>(work: () => Promise<T>) => Promise<T>) | undefined
  /** Works until `signal`, once the store has its tables. */
  run(signal: AbortSignal): Promise<void>
  /** A last time, after all that was stored was told. */
  close(): Promise<void>
}

/** Forgets sources of which nothing came for so long: longer than any node keeps a rotated log. Milliseconds. */
const forgetAfter = 30 * 86_400_000

export class LocalLedgerService implements LedgerService {
  readonly shared = false
  readonly calm = true
  readonly openClaims = 0
  readonly intake: IntakeLedger
  readonly #ledger: Ledger
  readonly #keeper: LedgerKeeper

  constructor(
    ledger: Ledger,
    { id, before }: { readonly id: string; readonly before: readonly string[] },
    options: Omit<LedgerKeeperOptions, 'ledger' | 'forgetAfter'>,
  ) {
    this.#ledger = ledger
    this.intake = new LocalLedger(ledger, id, before)
    this.#keeper = new LedgerKeeper({ ...options, ledger, forgetAfter }, options.wal.oldest)
  }

  get stored(): WalPosition {
    return this.#keeper.stored
  }

  advance(position: WalPosition): void {
    this.#keeper.advance(position)
  }

  lose(source: string, ranges: ByteRanges, reason: LossReason, records: number): Promise<number> {
    return this.#keeper.lose(source, ranges, reason, records)
  }

  async answer({ what }: LedgerRequest): Promise<never> {
    throw new Error(`BUG: ${what} asked of a ledger that is not shared`)
  }

  async accounts(): Promise<Iterable<SourceAccount>> {
    return this.#ledger.sources()
  }

  readonly still = <T>(work: () => Promise<T>): Promise<T> => this.#keeper.still(work)

  async run(): Promise<void> {
    // The keeper works when something was stored.
  }

  close(): Promise<void> {
    return this.#keeper.close()
  }
}
