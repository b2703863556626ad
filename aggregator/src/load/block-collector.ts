/** Puts blocks together from what is committed to the write-ahead log: as large as is good for the store, and never late. */
import { comparePositions, type WalPosition } from '../wal/position.ts'

/** What the loader needs of a reader of the write-ahead log. */
export interface EntryReader<Entry> {
  /** The next entry that ends at or before `until`; undefined when there is none. */
  next(until: WalPosition): Promise<Entry | undefined>
  /** End of the entry that was given out last: where the next one begins. */
  readonly position: WalPosition
}

/** Rows being collected. */
export interface Block<Entry> {
  /** Decodes an entry into rows. What can't be decoded is dealt with here and does not throw. */
  add(entry: Entry): Promise<void>
  readonly rows: number
  /** Bytes of lines. */
  readonly bytes: number
  /** Different ones, where there is something to know of each. */
  readonly streams?: number
}

export interface CollectorOptions<Entry, B extends Block<Entry>> {
  readonly reader: EntryReader<Entry>
  readonly newBlock: () => B
  readonly blockRows: number
  readonly blockBytes: number
  /** Milliseconds from the first row of a block until it is inserted, if it has `blockRows` by then or nothing follows. */
  readonly blockDelay: number
}

export interface CollectorHooks {
  /** A block is on its way: another one would only wait. */
  readonly busy: () => boolean
  /** Called when nothing follows for now: something else to do first, or undefined. */
  readonly idle: () => Promise<void> | undefined
}

/** A block grows to so many times `blockRows` at most. */
const mostRows = 4
/** What is known of a stream is in the loader's heap until its block is inserted, and there are two blocks at a time. */
const mostStreams = 30_000

/** More followed than a block takes. */
export const isFull = (
  { rows, bytes, streams = 0 }: Pick<Block<unknown>, 'rows' | 'bytes' | 'streams'>,
  { blockRows, blockBytes }: Pick<CollectorOptions<unknown, Block<unknown>>, 'blockRows' | 'blockBytes'>,
): boolean => bytes >= blockBytes || rows >= mostRows * blockRows || streams >= mostStreams

export class BlockCollector<Entry, B extends Block<Entry>> {
  readonly #options: CollectorOptions<Entry, B>
  #committed: WalPosition
  /** The reader has given out all entries up to here. */
  #exhausted: WalPosition
  /** End of the last block. */
  #collected: WalPosition
  #wake = () => {}

  /** @param from where the first block begins */
  constructor(options: CollectorOptions<Entry, B>, from: WalPosition) {
    this.#options = options
    this.#committed = this.#exhausted = this.#collected = from
  }

  /** The write-ahead log is durable up to `position`: it may be read that far. */
  committed(position: WalPosition): void {
    if (comparePositions(position, this.#committed) > 0) this.#committed = position
    this.#wake()
  }

  /** Makes {@link collect} look again at what it waits for. */
  wake(): void {
    this.#wake()
  }

  /** The last block ended at `end`. */
  next(end: WalPosition): void {
    this.#collected = end
  }

  /** The entries of the next block; undefined when it is time to stop. */
  async collect(stop: AbortSignal, cut: AbortSignal, { busy, idle }: CollectorHooks): Promise<B | undefined> {
    const { newBlock, blockRows, blockDelay } = this.#options
    const block = newBlock()
    let due = Number.POSITIVE_INFINITY
    while (!isFull(block, this.#options)) {
      // Larger blocks cost the store much less for each row: one grows while there is more to read and it isn't late, or would only wait.
      if (block.rows >= blockRows && !busy() && performance.now() >= due) break
      if (cut.aborted) return undefined
      const entry = await this.#next()
      if (entry !== undefined) {
        await block.add(entry)
        due = Math.min(due, performance.now() + blockDelay)
      } else if (stop.aborted || performance.now() >= due || this.#movedOn) break
      else {
        const first = due === Number.POSITIVE_INFINITY ? idle() : undefined
        if (first === undefined) await this.#more(due)
        else await first
      }
    }
    return block
  }

  /** The reader went into another segment that has no entries yet: the cursor follows, so that the segment behind it can go. */
  get #movedOn(): boolean {
    return this.#atEnd && this.#options.reader.position.segment > this.#collected.segment
  }

  get #atEnd(): boolean {
    return comparePositions(this.#exhausted, this.#committed) >= 0
  }

  async #next(): Promise<Entry | undefined> {
    if (this.#atEnd) return undefined
    const until = this.#committed
    const entry = await this.#options.reader.next(until)
    if (entry === undefined) this.#exhausted = until
    return entry
  }

  /** Waits for more to be committed, for a signal, or until `due`. */
  async #more(due: number): Promise<void> {
    if (!this.#atEnd) return
    await new Promise<void>((resolve) => {
      const timer =
        due === Number.POSITIVE_INFINITY ? undefined : setTimeout(resolve, Math.max(0, due - performance.now()))
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = () => {}
  }
}
