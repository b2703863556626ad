/**
 * What becomes durable in the write-ahead log, decoded once for everybody who listens and not at all while nobody does. A message whose
 * streams nobody wants is not decoded either, where its header tells them.
 */
import { CompressionError } from '@tributary/protocol/compression.ts'
import { MsgpackError } from '@tributary/protocol/msgpack.ts'
import type { LoadedEntry, MessageDecoder, RowSink } from '../load/decode-message.ts'
import { metaOf } from '../store/log-block.ts'
import type { RowStream } from '../store/row-stream.ts'
import type { WalPosition } from '../wal/position.ts'

/** A row as it will be in the store. */
export interface LiveRow {
  readonly stream: RowStream
  /** Nanoseconds since 1970. */
  readonly time: bigint
  readonly offset: number
  /** '' for none. */
  readonly level: string
  readonly meta: Readonly<Record<string, string>>
  /** A view: valid during the call. */
  readonly line: Buffer
}

export interface LiveListener {
  wants(stream: RowStream): boolean
  /** Called for rows of streams it wants. Must not throw. */
  take(row: LiveRow): void
}

export class LiveFeed {
  readonly #listeners = new Set<LiveListener>()
  #decoder: MessageDecoder | undefined

  /** @param decoder makes the same rows as the loader's; until it is set nobody can listen */
  decodeWith(decoder: MessageDecoder): void {
    this.#decoder = decoder
  }

  get ready(): boolean {
    return this.#decoder !== undefined
  }

  /** From the next entry on. */
  listen(listener: LiveListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  committed(entries: readonly (LoadedEntry & { readonly end: WalPosition })[]): void {
    if (this.#listeners.size === 0 || this.#decoder === undefined) return
    for (const entry of entries) this.#offer(this.#decoder, entry)
  }

  #offer(decoder: MessageDecoder, entry: LoadedEntry): void {
    try {
      const streams = decoder.streamsOf(entry)
      if (streams !== undefined && !streams.some((stream) => this.#wanting(stream).length > 0)) return
      decoder.decode(entry, this.#sink())
    } catch (error) {
      // The loader sets the same message aside, and says so.
      if (!(error instanceof MsgpackError || error instanceof CompressionError)) throw error
    }
  }

  #wanting(stream: RowStream): LiveListener[] {
    return [...this.#listeners].filter((listener) => listener.wants(stream))
  }

  #sink(): RowSink {
    let current: RowStream | undefined
    let listeners: readonly LiveListener[] = []
    return {
      setStream: (stream) => {
        if (stream === current) return
        current = stream
        listeners = this.#wanting(stream)
      },
      add: (seconds, nanoseconds, offset, level, bytes, start, end, flags = 0, attributes = undefined) => {
        if (listeners.length === 0) return
        const stream = current!
        const meta = attributes === undefined ? metaOf(stream, flags) : { ...metaOf(stream, flags), ...attributes }
        const time = BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds)
        const row: LiveRow = { stream, time, offset, level, meta, line: bytes.subarray(start, end) }
        for (const listener of listeners) listener.take(row)
      },
    }
  }
}
