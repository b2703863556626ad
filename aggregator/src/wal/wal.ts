/**
 * The write-ahead log: messages, as they came, durable before they are acknowledged and until their rows are in the store. One writer,
 * one reader behind it. Appends that wait while a commit is under way share the next one: one write, one fdatasync.
 *
 * What was not confirmed by fdatasync does not exist. After a failed write the file is cut back to what was confirmed; after a failed
 * fdatasync, which may have dropped what it was asked to keep, or if cutting back fails, a new segment says how much of the old one counts.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Disk, type DiskFile, isFull } from '@tributary/protocol/disk.ts'
import type { WalPosition } from './position.ts'
import { comparePositions } from './position.ts'
import { encodeRecord, type WalRecord } from './record.ts'
import { recover, type WalEvent } from './recovery.ts'
import { encodeSegmentHead, segmentHeadBytes, segmentPath } from './segment.ts'

export interface WalEntry extends WalRecord {
  readonly start: WalPosition
  readonly end: WalPosition
}

export interface WalOptions {
  readonly disk: Disk
  readonly directory: string
  /** Bytes on disk at which appends wait until something is released. */
  readonly maxBytes: number
  /** Size at which a new segment is begun, bytes. Default 64 MiB, and never more than a quarter of maxBytes. */
  readonly segmentBytes?: number
  /** Entries that end after it are given to {@link onEntry} at open. */
  readonly replayFrom?: WalPosition | undefined
  readonly onEntry?: (entry: WalEntry) => void
  readonly onEvent: (event: WalEvent) => void
}

interface Waiting {
  readonly record: WalRecord
  readonly resolve: (end: WalPosition) => void
  readonly reject: (error: Error) => void
}

const defaultSegmentBytes = 64 * 1024 * 1024
/** Most bytes of one commit: what arrives meanwhile goes into the next. */
const groupBytes = 8 * 1024 * 1024
const longestRetryMs = 2000

export class Wal {
  readonly #disk: Disk
  readonly #directory: string
  readonly #maxBytes: number
  readonly #segmentBytes: number
  readonly #onEvent: (event: WalEvent) => void
  /** Bytes of each segment on disk, oldest first; the last is the one that is written. */
  readonly #segments: Map<number, number>
  readonly #listeners = new Set<(position: WalPosition) => void>()
  readonly #waiting: Waiting[] = []
  readonly #stop = new AbortController()
  #file: DiskFile | undefined
  #committed: WalPosition
  #committing: Promise<void> | undefined
  #last: Promise<unknown> = Promise.resolve()
  #wake = () => {}
  /** Why appends wait; undefined while they don't. */
  #stalled: string | undefined

  private constructor(options: WalOptions, segments: Map<number, number>, committed: WalPosition) {
    this.#disk = options.disk
    this.#directory = options.directory
    this.#maxBytes = options.maxBytes
    this.#segmentBytes = Math.min(options.segmentBytes ?? defaultSegmentBytes, Math.ceil(options.maxBytes / 4))
    this.#onEvent = options.onEvent
    this.#segments = segments
    this.#committed = committed
  }

  /** Recovers what is there. Throws when the directory can't be read or written, or was written by a newer version. */
  static async open(options: WalOptions): Promise<Wal> {
    await options.disk.mkdir(options.directory)
    const { segments, end } = await recover(options)
    return new Wal(options, segments, end)
  }

  /** End of what is durable. */
  get committed(): WalPosition {
    return this.#committed
  }

  /** Where the oldest segment begins. */
  get oldest(): WalPosition {
    const [first] = this.#segments.keys()
    return first === undefined ? this.#committed : { segment: first, offset: segmentHeadBytes }
  }

  /** Bytes on disk. */
  get bytes(): number {
    let sum = 0
    for (const bytes of this.#segments.values()) sum += bytes
    return sum
  }

  get full(): boolean {
    return this.bytes >= this.#maxBytes
  }

  /** Why appends wait: `full`, or what the disk says; undefined while they don't. */
  get stalled(): string | undefined {
    return this.#stalled
  }

  onCommit(listener: (position: WalPosition) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves with the record's end once it is durable. Waits, for as long as it takes, while the log or its disk is full. */
  append(record: WalRecord): Promise<WalPosition> {
    if (this.#stop.signal.aborted) return Promise.reject(new Error('the write-ahead log is closed'))
    const { promise, resolve, reject } = Promise.withResolvers<WalPosition>()
    this.#waiting.push({ record, resolve, reject })
    this.#committing ??= this.#commitAll()
    this.#last = promise
    return promise
  }

  /** Resolves when everything appended so far is durable; rejects when it never will be, as {@link append} does. */
  async flushed(): Promise<void> {
    await this.#last
  }

  /** Deletes segments that lie wholly before `upTo`. The caller has made durable that they are not needed. */
  async release(upTo: WalPosition): Promise<void> {
    const allStored = comparePositions(upTo, this.#committed) >= 0
    // A log that is full of one segment, all of it stored, must be able to empty itself. No commit is under way while it is full.
    const parked = this.#committing === undefined || this.#stalled === 'full'
    if (allStored && parked && this.bytes >= this.#maxBytes / 2) await this.#begin().catch(() => this.#seal())
    const before = allStored ? this.#committed.segment : upTo.segment
    const old = [...this.#segments.keys()].filter((segment) => segment < before)
    for (const segment of old) {
      await this.#disk.unlink(segmentPath(this.#directory, segment))
      this.#segments.delete(segment)
    }
    if (old.length > 0) await this.#disk.syncDirectory(this.#directory)
    this.#wake()
  }

  /** Waits for appends under way, up to the signal, and closes the file. What is not durable then is rejected. */
  async close(cut: AbortSignal = AbortSignal.timeout(5000)): Promise<void> {
    await Promise.race([
      this.#committing,
      new Promise((resolve) => cut.addEventListener('abort', resolve, { once: true })),
    ])
    this.#stop.abort()
    this.#wake()
    await this.#committing
    await this.#file?.close()
    this.#file = undefined
  }

  async #commitAll(): Promise<void> {
    // Appends of the same turn of the event loop share the first commit, too.
    await Promise.resolve()
    while (this.#waiting.length > 0 && !this.#stop.signal.aborted) {
      await this.#waitForRoom()
      if (this.#stop.signal.aborted) break
      await this.#commitGroup(this.#takeGroup())
    }
    for (const { reject } of this.#waiting.splice(0))
      reject(new Error('the write-ahead log was closed before this was durable'))
    this.#committing = undefined
  }

  async #waitForRoom(): Promise<void> {
    while (this.full && !this.#stop.signal.aborted) {
      this.#stall('full')
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #takeGroup(): Waiting[] {
    let bytes = 0
    let count = 0
    const most = Math.min(groupBytes, this.#segmentBytes)
    while (count < this.#waiting.length && bytes < most) bytes += this.#waiting[count++]!.record.message.length
    return this.#waiting.splice(0, count)
  }

  /** Writes a group until it is durable; nothing behind it is written before. */
  async #commitGroup(group: readonly Waiting[]): Promise<void> {
    const pieces = group.flatMap(({ record }) => encodeRecord(record))
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0)
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#write(pieces, bytes)
        break
      } catch (error) {
        this.#stall(isFull(error) ? 'disk_full' : ((error as NodeJS.ErrnoException).code ?? (error as Error).message))
        await sleep(Math.min(longestRetryMs, 50 * 2 ** attempt), undefined, { signal: this.#stop.signal }).catch(
          () => undefined,
        )
        if (this.#stop.signal.aborted) {
          for (const { reject } of group) reject(error as Error)
          return
        }
      }
    }
    if (this.#stalled !== undefined) this.#onEvent({ kind: 'resumed' })
    this.#stalled = undefined
    this.#confirm(group, pieces)
  }

  #confirm(group: readonly Waiting[], pieces: readonly Buffer[]): void {
    let { segment, offset } = this.#committed
    for (const [i, { resolve }] of group.entries()) {
      offset += pieces[2 * i]!.length + pieces[2 * i + 1]!.length
      resolve({ segment, offset })
    }
    this.#committed = { segment, offset }
    for (const listener of this.#listeners) listener(this.#committed)
  }

  async #write(pieces: readonly Buffer[], bytes: number): Promise<void> {
    if (this.#file === undefined || this.#committed.offset >= this.#segmentBytes) await this.#begin()
    const file = this.#file!
    const { segment, offset } = this.#committed
    try {
      await file.writeAll(pieces, offset)
    } catch (error) {
      await this.#cutBack(file, offset)
      throw error
    }
    try {
      await file.sync()
    } catch (error) {
      await this.#seal()
      throw error
    }
    this.#segments.set(segment, offset + bytes)
  }

  /** Takes back what may have been written behind the confirmed end; if that can't be known either, the segment is left. */
  async #cutBack(file: DiskFile, offset: number): Promise<void> {
    try {
      await file.truncate(offset)
      await file.sync()
    } catch {
      // The new segment's head tells readers where this one ends; the error that led here is reported by the caller.
      await this.#seal()
    }
  }

  /** Leaves the active segment: the next write begins another one. */
  async #seal(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close().catch(() => undefined)
  }

  /** Begins the next segment: head written and synced, its name synced, before anything is written to it. */
  async #begin(): Promise<void> {
    await this.#seal()
    const segment = this.#committed.segment + 1
    const path = segmentPath(this.#directory, segment)
    const file = await this.#disk.open(path, 'update')
    try {
      await file.truncate(0)
      await file.write(encodeSegmentHead(segment, this.#committed.offset), 0)
      await file.sync()
      await this.#disk.syncDirectory(this.#directory)
    } catch (error) {
      await file.close().catch(() => undefined)
      throw error
    }
    this.#file = file
    this.#segments.set(segment, segmentHeadBytes)
    this.#committed = { segment, offset: segmentHeadBytes }
  }

  #stall(reason: string): void {
    if (this.#stalled === reason) return
    this.#stalled = reason
    this.#onEvent({ kind: 'stalled', reason })
  }
}
