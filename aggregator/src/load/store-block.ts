/** A block of rows on its way into the store: what the loader collects, and how it is inserted. */
import type { ClickHouseSettings } from '@clickhouse/client'
import { CompressionError } from '@tributary/protocol/compression.ts'
import { MsgpackError } from '@tributary/protocol/msgpack.ts'
import type { StoreClient } from '../store/client.ts'
import { LogBlock } from '../store/log-block.ts'
import type { WalEntry } from '../wal/wal.ts'
import type { Block } from './block-collector.ts'
import type { MessageDecoder } from './decode-message.ts'

export class StoreBlock implements Block<WalEntry> {
  readonly log: LogBlock
  readonly #decoder: MessageDecoder
  readonly #setAside: (entry: WalEntry, error: Error) => Promise<void>
  malformed = 0
  clamped = 0
  truncated = 0

  /**
   * @param log empty; belongs to this block until it is inserted
   * @param setAside takes what can't be decoded
   */
  constructor(log: LogBlock, decoder: MessageDecoder, setAside: (entry: WalEntry, error: Error) => Promise<void>) {
    this.log = log
    this.#decoder = decoder
    this.#setAside = setAside
  }

  get rows(): number {
    return this.log.rows
  }

  get bytes(): number {
    return this.log.byteLength
  }

  get streams(): number {
    return this.log.streams.rows
  }

  async add(entry: WalEntry): Promise<void> {
    try {
      const { malformed, clamped, truncated } = this.#decoder.decode(entry, this.log)
      this.malformed += malformed
      this.clamped += clamped
      this.truncated += truncated
    } catch (error) {
      if (!(error instanceof MsgpackError || error instanceof CompressionError)) throw error
      await this.#setAside(entry, error)
    }
  }
}

/** Log blocks whose buffers are used again: the one being collected and the one being inserted. */
export class BlockPool {
  readonly #free: LogBlock[] = []
  readonly #maxBytes: number

  /** @param maxBytes a block that grew beyond it is not kept */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  take(): LogBlock {
    return this.#free.pop() ?? new LogBlock()
  }

  giveBack(log: LogBlock): void {
    if (log.byteLength > this.#maxBytes || this.#free.length > 1) return
    log.reset()
    this.#free.push(log)
  }
}

/**
 * Resolves when the rows are durably in the store. With the same token again nothing is inserted twice.
 *
 * @param settings of the insert of rows
 */
export async function insertBlock(
  client: StoreClient,
  { log }: StoreBlock,
  token: string,
  settings: ClickHouseSettings = {},
): Promise<void> {
  // Streams first: queries find rows through them.
  await client.insertNative('streams', log.streams.columns, log.streams.encode(), token)
  await client.insertNative('logs', log.columns, log.encode(), token, { settings })
}
