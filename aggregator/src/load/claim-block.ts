/** A block on its way into a store that other aggregators write to as well: rows by day, and what is to be claimed for them. */
import { type ChunkHeader, chunkHeader, type LeftOut, type Outcome } from '@tributary/protocol/chunk.ts'
import { CompressionError } from '@tributary/protocol/compression.ts'
import { parseMessage } from '@tributary/protocol/forward.ts'
import { MsgpackError } from '@tributary/protocol/msgpack.ts'
import { addRange, type ByteRange, type ByteRanges, totalBytes, uncovered } from '@tributary/protocol/ranges.ts'
import { type ChunkPart, partsOf, spread, toSource, within } from '../ledger/parts.ts'
import { type Exclusion, meet } from '../ledger/shared/claim-request.ts'
import type { BlockRange, Claim, ClaimPart, SourceDescription } from '../ledger/shared/entry.ts'
import { claimToken } from '../ledger/shared/log-store.ts'
import { headerOfTenant } from '../ledger/tenant-source.ts'
import { isPush } from '../push/push-message.ts'
import type { StoreClient } from '../store/client.ts'
import type { LogBlock } from '../store/log-block.ts'
import type { WalEntry } from '../wal/wal.ts'
import { type DayRanges, DaySink, type RowFilter } from './day-sink.ts'
import type { MessageDecoder } from './decode-message.ts'
import type { ClaimableBlock } from './shared-loader.ts'

/** What a block may hold of the messages it is made of. */
export interface BlockScope {
  /** Bytes of theirs only; undefined: all. */
  readonly granted?: readonly ClaimPart[]
  /** Bytes to leave out. */
  readonly exclusions: readonly Exclusion[]
  /** Days whose rows without a source are in the store already. */
  readonly stored: readonly number[]
}

export interface ClaimBlockOptions {
  readonly decoder: MessageDecoder
  readonly take: () => LogBlock
  /** Keeps what can't be decoded, and tells of it. */
  readonly setAside: (entry: WalEntry, error: Error) => Promise<void>
  readonly scope: BlockScope
}

export class ClaimBlock implements ClaimableBlock<WalEntry> {
  readonly #options: ClaimBlockOptions
  readonly #sink: DaySink
  /** By source, session, day and outcome. */
  readonly #parts = new Map<string, ClaimPart>()
  /** What of each source the block has: no byte twice. */
  readonly #taken = new Map<string, ByteRanges>()
  malformed = 0
  clamped = 0
  truncated = 0

  constructor(options: ClaimBlockOptions) {
    this.#options = options
    this.#sink = new DaySink(options.take)
  }

  get rows(): number {
    return this.#sink.rows
  }

  get bytes(): number {
    return this.#sink.byteLength
  }

  get streams(): number {
    return this.#sink.streams
  }

  /** Rows by day. */
  get days(): ReadonlyMap<number, LogBlock> {
    return this.#sink.blocks
  }

  claimOf(block: BlockRange): Claim {
    return { block, days: [...this.days.keys()].sort((a, b) => a - b), parts: [...this.#parts.values()] }
  }

  async add(entry: WalEntry): Promise<void> {
    let header: ChunkHeader | undefined
    let accepted: ByteRanges = []
    try {
      const options = parseMessage(entry.message)?.options
      const sent = options === undefined || isPush(options) ? undefined : chunkHeader(options)
      header = sent === undefined ? undefined : headerOfTenant(sent, entry.tenant)
      if (header !== undefined) {
        accepted = this.#accepted(header, entry.accepted)
        if (accepted.length === 0) return
      }
      this.#sink.begin(this.#filterOf(header, accepted))
      const { malformed, clamped, truncated } = this.#options.decoder.decode({ ...entry, accepted }, this.#sink)
      this.malformed += malformed
      this.clamped += clamped
      this.truncated += truncated
      if (header !== undefined) this.#book(header, accepted)
    } catch (error) {
      if (!(error instanceof MsgpackError || error instanceof CompressionError)) throw error
      await this.#options.setAside(entry, error)
      if (header !== undefined) this.#bookLost(header, accepted)
    }
  }

  /** Which rows are left out that the decoder gives; it looks at ranges itself where rows have offsets in the source. */
  #filterOf(header: ChunkHeader | undefined, ranges: ByteRanges): RowFilter | undefined {
    const none = { base: 0, last: Number.MAX_SAFE_INTEGER, days: [] }
    if (header === undefined) return { ...none, days: this.#options.scope.stored, ranges: undefined }
    // Each row of a message that was passed on stands for a byte of its range, the last one for what is left of them.
    return header.relayed ? { ...none, base: header.range[0], last: header.range[1] - 1, ranges } : undefined
  }

  /** Bytes that the write-ahead log has lost. */
  lose(source: string, ranges: ByteRanges): void {
    const left = this.#allowed(source, undefined, ranges)
    if (left.length > 0) this.#put({ source, ranges: left, records: 0, seen: left.at(-1)![1], outcome: corrupt })
  }

  /** What of a chunk's accepted ranges belongs into this block, in the chunk's offsets. */
  #accepted(header: ChunkHeader, accepted: ByteRanges): ByteRange[] {
    return partsOf(header).flatMap((part) => {
      const own = toSource(part, within(part, accepted))
      const allowed = this.#allowed(part.source.toString('hex'), header.session, own)
      return allowed.map(([first, end]): ByteRange => [first + part.shift, end + part.shift])
    })
  }

  #allowed(source: string, session: string | undefined, ranges: ByteRanges): ByteRange[] {
    const { granted, exclusions } = this.#options.scope
    const isOf = (one: { readonly source: string; readonly session?: string | undefined }) =>
      one.source === source && one.session === session
    const given =
      granted === undefined
        ? ranges
        : meet(
            ranges,
            granted
              .filter(isOf)
              .flatMap((one) => one.ranges)
              .reduce(addRange, [] as ByteRanges),
          )
    const without = exclusions
      .filter(isOf)
      .flatMap((one) => one.ranges)
      .reduce(addRange, this.#taken.get(source) ?? [])
    const allowed = given.flatMap((range) => uncovered(without, range))
    if (allowed.length > 0) this.#taken.set(source, allowed.reduce(addRange, this.#taken.get(source) ?? []))
    return allowed
  }

  #book(header: ChunkHeader, accepted: ByteRanges): void {
    const parts = partsOf(header)
    const leftOut = spread(
      header,
      parts.map((part) => totalBytes(within(part, accepted))),
    )
    for (const [i, part] of parts.entries()) {
      const ranges = toSource(part, within(part, accepted))
      if (ranges.length === 0) continue
      for (const found of withLeftOut(this.#split(header, part, ranges), leftOut[i]!)) {
        this.#put({ ...this.#partOf(header, part), ...found, ...outcomeOf(header.outcome) })
      }
    }
  }

  #bookLost(header: ChunkHeader, accepted: ByteRanges): void {
    for (const part of partsOf(header)) {
      const ranges = toSource(part, within(part, accepted))
      if (ranges.length > 0) this.#put({ ...this.#partOf(header, part), ranges, records: 0, outcome: corrupt })
    }
  }

  #split(header: ChunkHeader, part: ChunkPart, ranges: ByteRanges): DayRanges[] {
    if (header.outcome !== undefined) return [{ day: undefined, ranges, records: 0 }]
    if (header.relayed) return this.#sink.split(undefined, ranges).map((one) => ({ ...one, records: 0 }))
    return this.#sink.split(part.source, ranges)
  }

  #partOf(header: ChunkHeader, part: ChunkPart): Pick<ClaimPart, 'source' | 'session' | 'seen' | 'about'> {
    const { path, labels, metadata, session, seam } = header
    const about: SourceDescription = { path, labels, metadata }
    const seen = part.shift === 0 && seam === undefined ? header.seen : part.end - part.shift
    return { source: part.source.toString('hex'), ...(session === undefined ? {} : { session }), seen, about }
  }

  #put(part: Omit<ClaimPart, 'day'> & { readonly day?: number | undefined }): void {
    const { source, session, day, outcome } = part
    const key = `${source} ${session ?? ''} ${day ?? ''} ${outcome ? `${outcome.kind}:${outcome.reason}` : ''}`
    const known = this.#parts.get(key)
    const { day: _, ...rest } = part
    const dated: ClaimPart = day === undefined ? rest : { ...rest, day }
    if (known === undefined) {
      this.#parts.set(key, dated)
      return
    }
    this.#parts.set(key, {
      ...known,
      ...dated,
      seen: Math.max(known.seen, part.seen),
      ranges: part.ranges.reduce(addRange, known.ranges),
      records: known.records + part.records,
      ...sumOf(known.leftOut, part.leftOut),
    })
  }
}

const corrupt: Outcome = { kind: 'lost', reason: 'corrupt' }

function outcomeOf(outcome: Outcome | undefined): { readonly outcome?: Outcome } {
  return outcome === undefined ? {} : { outcome }
}

/** Bytes that were left out go with the day that has most of the others: on which day they were written nobody knows. */
function withLeftOut(days: DayRanges[], leftOut: LeftOut): (DayRanges & { readonly leftOut?: LeftOut })[] {
  if (Object.keys(leftOut).length === 0) return days
  const [largest, ...others] = [...days].sort((a, b) => totalBytes(b.ranges) - totalBytes(a.ranges))
  return [{ ...largest!, leftOut }, ...others]
}

function sumOf(a: LeftOut | undefined, b: LeftOut | undefined): { readonly leftOut?: LeftOut } {
  if (a === undefined || b === undefined) return a === undefined && b === undefined ? {} : { leftOut: (a ?? b)! }
  const sum: Record<string, number> = { ...a }
  for (const [reason, bytes] of Object.entries(b)) sum[reason] = (sum[reason] ?? 0) + bytes
  return { leftOut: sum }
}

/** Resolves when all rows of a claim are durably in the store, or something else took their place. Can be repeated. */
export async function insertClaimed(
  client: StoreClient,
  { days }: Pick<ClaimBlock, 'days'>,
  ledger: string,
  claim: number,
  shard?: number,
): Promise<void> {
  for (const [day, log] of [...days].sort(([a], [b]) => a - b)) {
    const token = claimToken(ledger, claim, day)
    // Streams first: queries find rows through them.
    await client.insertNative('streams', log.streams.columns, log.streams.encode(), token, { shard })
    await client.insertNative('logs', log.columns, log.encode(), token, { shard })
  }
}
