/** Reads the write-ahead log behind its writer, in another thread: it needs only the directory and how far it may go. */
import { type Disk, type DiskFile, isMissing } from '@tributary/protocol/disk.ts'
import type { WalPosition } from './position.ts'
import { entryOf, type WalEvent } from './recovery.ts'
import { decodeSegmentHead, SegmentScanner, segmentHeadBytes, segmentNumber, segmentPath } from './segment.ts'
import type { WalEntry } from './wal.ts'

export interface WalReaderOptions {
  readonly disk: Disk
  readonly directory: string
  readonly from: WalPosition
  /** Damage that is stepped over is told here. */
  readonly onEvent: (event: WalEvent) => void
}

export class WalReader {
  readonly #options: WalReaderOptions
  #segment: number
  #file: DiskFile | undefined
  #scanner: SegmentScanner | undefined
  #offset: number

  constructor(options: WalReaderOptions) {
    this.#options = options
    this.#segment = options.from.segment
    this.#offset = options.from.offset
  }

  /** End of the entry given out last, or of what was stepped over: where the next one begins. */
  get position(): WalPosition {
    return { segment: this.#segment, offset: this.#offset }
  }

  /** The next entry that ends at or before `until`, a position the writer confirmed; undefined when there is none. */
  async next(until: WalPosition): Promise<WalEntry | undefined> {
    for (;;) {
      if (this.#segment > until.segment || (this.#segment === until.segment && this.#offset >= until.offset))
        return undefined
      const scanner = await this.#open()
      const own = this.#segment === until.segment
      const limit = own ? until.offset : await this.#limitOf(this.#segment)
      const next = scanner === undefined || limit === undefined ? undefined : await scanner.next(limit)
      if (next?.kind === 'record') {
        this.#offset = next.end
        return entryOf(this.#segment, next)
      }
      if (next?.kind === 'corrupt' || (next?.kind === 'end' && next.start < limit!)) {
        const { start } = next
        this.#offset = next.kind === 'corrupt' ? next.end : limit!
        this.#options.onEvent({ kind: 'corrupt', segment: this.#segment, start, end: this.#offset })
        if (next.kind === 'corrupt') continue
      }
      if (own) return undefined
      await this.#turnPage(until.segment)
    }
  }

  async close(): Promise<void> {
    await this.#file?.close()
    this.#file = undefined
    this.#scanner = undefined
  }

  /** The scanner at the position; undefined when the segment is gone, which it is only after it was read to its end. */
  async #open(): Promise<SegmentScanner | undefined> {
    if (this.#scanner !== undefined) return this.#scanner
    try {
      this.#file = await this.#options.disk.open(segmentPath(this.#options.directory, this.#segment), 'read')
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
    this.#scanner = new SegmentScanner(this.#file, this.#offset)
    return this.#scanner
  }

  /** How much of a segment that is not the last one counts: the one behind it says so. */
  async #limitOf(segment: number): Promise<number | undefined> {
    const { disk, directory } = this.#options
    const own = await this.#file?.size()
    try {
      const next = await disk.open(segmentPath(directory, segment + 1), 'read')
      try {
        const head = Buffer.alloc(segmentHeadBytes)
        await next.read(head, 0)
        return decodeSegmentHead(head)?.validBefore ?? own
      } finally {
        await next.close()
      }
    } catch (error) {
      if (isMissing(error)) return own
      throw error
    }
  }

  /** Goes on in the next segment there is. */
  async #turnPage(last: number): Promise<void> {
    await this.close()
    const { disk, directory } = this.#options
    const numbers = (await disk.readdir(directory)).map(segmentNumber).filter((n) => n !== undefined)
    this.#segment = numbers.filter((n) => n > this.#segment).sort((a, b) => a - b)[0] ?? last
    this.#offset = segmentHeadBytes
  }
}
