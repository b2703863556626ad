/** Reads the write-ahead log behind its writer, in another thread: it needs only the directory and how far it may go. */
import { type Disk, type DiskFile, isMissing } from '@tributary/protocol/disk.ts'
import { lostOf, type WalEvent } from './event.ts'
import { comparePositions, type WalPosition } from './position.ts'
import { entryOf, missingBefore } from './recovery.ts'
import { type Scanned, SegmentScanner } from './scan.ts'
import { listSegments, readSegmentHead, segmentHeadBytes, segmentPath } from './segment.ts'
import { setAside } from './set-aside.ts'
import type { WalEntry } from './wal.ts'

export interface WalReaderOptions {
  readonly disk: Disk
  readonly directory: string
  readonly from: WalPosition
  /** Damage that is stepped over is told here, and waited for; not what a start has told before. `lost` is to be booked as lost. */
  readonly onEvent: (event: WalEvent) => unknown
}

interface OpenSegment {
  readonly file: DiskFile
  readonly scanner: SegmentScanner
  /** How much of it counts once it is not the last one any more; looked up when it is needed. */
  limit?: number
}

export class WalReader {
  readonly #options: WalReaderOptions
  #position: WalPosition
  #open: OpenSegment | undefined

  constructor(options: WalReaderOptions) {
    this.#options = options
    this.#position = options.from
  }

  /** End of the entry given out last, or of what was stepped over: where the next one begins. */
  get position(): WalPosition {
    return this.#position
  }

  /** The next entry that ends at or before `until`, a position the writer confirmed; undefined when there is none. */
  async next(until: WalPosition): Promise<WalEntry | undefined> {
    while (comparePositions(this.#position, until) < 0) {
      const { segment } = this.#position
      const open = await this.#openSegment()
      const next = await open?.scanner.next(segment === until.segment ? until.offset : await this.#limitOf(open))
      if (next !== undefined) this.#position = { segment, offset: next.end }
      if (next?.kind === 'record') return entryOf(segment, next)
      if (next?.kind === 'damaged') await this.#report(segment, next)
      else if (segment === until.segment) this.#position = until
      else await this.#turnPage(until)
    }
    return undefined
  }

  async close(): Promise<void> {
    const open = this.#open
    this.#open = undefined
    await open?.file.close()
  }

  async #report(segment: number, { start, end, head }: Extract<Scanned, { kind: 'damaged' }>): Promise<void> {
    const { disk, directory, onEvent } = this.#options
    const range = { segment, start, end }
    const copy = this.#open && (await setAside(disk, directory, range, this.#open.file))
    await onEvent({ kind: 'corrupt', ...range, ...(copy === undefined ? {} : { copy }), ...lostOf(head) })
  }

  /** The segment at the position; undefined when it is gone, which it is only after it was read to its end. */
  async #openSegment(): Promise<OpenSegment | undefined> {
    if (this.#open !== undefined) return this.#open
    const { disk, directory } = this.#options
    const { segment, offset } = this.#position
    const file = await openIfThere(disk, segmentPath(directory, segment))
    if (file === undefined) return undefined
    const { marker } = await readSegmentHead(file)
    this.#open = { file, scanner: new SegmentScanner(file, marker, offset) }
    return this.#open
  }

  /** How much of a segment that is not the last one counts: the one behind it says so. */
  async #limitOf(open: OpenSegment): Promise<number> {
    if (open.limit !== undefined) return open.limit
    const { disk, directory } = this.#options
    const size = await open.file.size()
    const next = await openIfThere(disk, segmentPath(directory, this.#position.segment + 1))
    const { head } = next === undefined ? {} : await readSegmentHead(next).finally(() => next.close())
    open.limit = Math.min(size, head?.validBefore ?? size)
    return open.limit
  }

  /** Goes on in the next segment there is. */
  async #turnPage(until: WalPosition): Promise<void> {
    await this.close()
    const { disk, directory, onEvent } = this.#options
    const segments = await listSegments(disk, directory)
    const next = segments.find((segment) => segment > this.#position.segment) ?? until.segment
    const file = await openIfThere(disk, segmentPath(directory, next))
    const { head } = file === undefined ? {} : await readSegmentHead(file).finally(() => file.close())
    const missing = missingBefore(next, head, this.#position)
    if (missing !== undefined) await onEvent(missing)
    this.#position = file === undefined ? until : { segment: next, offset: segmentHeadBytes }
  }
}

async function openIfThere(disk: Disk, path: string): Promise<DiskFile | undefined> {
  try {
    return await disk.open(path, 'read')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
