/**
 * The write-ahead log: messages, as they came, durable before they are acknowledged and until their rows are in the store. One writer,
 * one reader behind it. Appends that wait while a commit is under way share the next one: one write, one fdatasync.
 *
 * What was not confirmed by fdatasync does not exist. After a failed write the file is cut back to what was confirmed; after a failed
 * fdatasync, which may have dropped what it was asked to keep, or if cutting back fails, a new segment says how much of the old one counts.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Disk, type DiskFile, isFull, isMissing } from '@tributary/protocol/disk.ts'
import { crc32c } from './crc32c.ts'
import type { WalEvent } from './event.ts'
import { comparePositions, type WalPosition } from './position.ts'
import { encodeHead, markerBytes, type WalRecord } from './record.ts'
import { recover } from './recovery.ts'
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
  /** Whether the volume may take so many bytes more. Where it may not, appends wait as on a full disk. Default: it may. */
  readonly room?: (bytes: number) => Promise<boolean>
  /** Entries that end after it are given to {@link onEntry} at open. */
  readonly replayFrom?: WalPosition | undefined
  readonly onEntry?: (entry: WalEntry) => void
  readonly onEvent: (event: WalEvent) => void
  /** Milliseconds before the first repetition of a write that failed; doubled each time, up to two seconds. Default 50. */
  readonly retryDelay?: number
}

interface Waiting {
  readonly record: WalRecord
  readonly messageCrc: number
  readonly resolve: (end: WalPosition) => void
  readonly reject: (error: Error) => void
}

type Place = Pick<WalEntry, 'start' | 'end'>

/** The segment that is written. */
interface ActiveSegment {
  readonly file: DiskFile
  readonly marker: Buffer
}

const defaultSegmentBytes = 64 * 1024 * 1024
/** Most bytes and records of one commit: what arrives meanwhile goes into the next. */
const groupBytes = 8 * 1024 * 1024
const groupRecords = 1024
const defaultRetryMs = 50
const longestRetryMs = 2000

export class Wal {
  readonly #disk: Disk
  readonly #directory: string
  readonly #maxBytes: number
  readonly #segmentBytes: number
  readonly #room: (bytes: number) => Promise<boolean>
  readonly #onEvent: (event: WalEvent) => void
  readonly #retryDelay: number
  /** Bytes of each segment on disk, oldest first; the last is the one that is written. */
  readonly #segments: Map<number, number>
  readonly #listeners = new Set<(position: WalPosition) => void>()
  readonly #entryListeners = new Set<(entries: readonly WalEntry[]) => void>()
  readonly #waiting: Waiting[] = []
  readonly #stop = new AbortController()
  #active: ActiveSegment | undefined
  #committed: WalPosition
  #committing: Promise<void> | undefined
  /** Ends when the change to the active segment that is under way ends: commits and {@link release} never write at once. */
  #writing: Promise<unknown> = Promise.resolve()
  #wake = () => {}
  /** Why appends wait; undefined while they don't. */
  #stalled: string | undefined

  private constructor(options: WalOptions, segments: Map<number, number>, committed: WalPosition) {
    this.#disk = options.disk
    this.#directory = options.directory
    this.#maxBytes = options.maxBytes
    this.#segmentBytes = Math.min(options.segmentBytes ?? defaultSegmentBytes, Math.ceil(options.maxBytes / 4))
    this.#room = options.room ?? (async () => true)
    this.#onEvent = options.onEvent
    this.#retryDelay = options.retryDelay ?? defaultRetryMs
    this.#segments = segments
    this.#committed = committed
  }

  /** Recovers what is there. Throws when the directory can't be read or written, or was written by a newer version. */
  static async open(options: WalOptions): Promise<Wal> {
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

  /** Called with what became durable, in its order, before whoever appended it is told. It must not throw. */
  onEntries(listener: (entries: readonly WalEntry[]) => void): () => void {
    this.#entryListeners.add(listener)
    return () => this.#entryListeners.delete(listener)
  }

  /**
   * Resolves with the record's end once it is durable. Waits, for as long as it takes, while the log or its disk is full; rejects
   * only when the log is closed. The message must not change until then.
   */
  append(record: WalRecord): Promise<WalPosition> {
    const messageCrc = crc32c(record.message)
    return new Promise((resolve, reject) => {
      if (this.#stop.signal.aborted) return reject(closed())
      this.#waiting.push({ record, messageCrc, resolve, reject })
      this.#committing ??= this.#commitAll()
    })
  }

  /** Deletes segments that lie wholly before `upTo`. The caller has made durable that they are not needed. */
  async release(upTo: WalPosition): Promise<void> {
    const before = await this.#exclusively(async () => {
      const allStored = comparePositions(upTo, this.#committed) >= 0
      // A log that is full of one segment, all of it stored, must be able to empty itself. What fails now is tried with the next release.
      if (allStored && this.bytes >= this.#maxBytes / 2) await this.#begin().catch(() => this.#leave())
      return allStored ? this.#committed.segment : Math.min(upTo.segment, this.#committed.segment)
    })
    const old = [...this.#segments.keys()].filter((segment) => segment < before)
    for (const segment of old) {
      await this.#disk.unlink(segmentPath(this.#directory, segment)).catch((error: unknown) => {
        if (!isMissing(error)) throw error
      })
      this.#segments.delete(segment)
      this.#wake()
    }
    if (old.length > 0) await this.#disk.syncDirectory(this.#directory)
    this.#wake()
  }

  /** Waits for appends under way, up to the signal, and closes the file. What is not durable then is rejected. */
  async close(cut: AbortSignal = AbortSignal.timeout(5000)): Promise<void> {
    const stop = () => {
      this.#stop.abort()
      this.#wake()
    }
    if (cut.aborted) stop()
    cut.addEventListener('abort', stop, { once: true })
    await this.#committing
    cut.removeEventListener('abort', stop)
    stop()
    await this.#exclusively(() => this.#leave())
  }

  async #commitAll(): Promise<void> {
    // Appends of the same turn of the event loop share the first commit, too.
    await Promise.resolve()
    while (this.#waiting.length > 0 && !this.#stop.signal.aborted) {
      await this.#waitForRoom()
      if (!this.#stop.signal.aborted) await this.#commitGroup(this.#takeGroup())
    }
    for (const { reject } of this.#waiting.splice(0)) reject(closed())
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
    while (count < this.#waiting.length && count < groupRecords && bytes < most) {
      bytes += this.#waiting[count++]!.record.message.length
    }
    return this.#waiting.splice(0, count)
  }

  /** Writes a group until it is durable; nothing behind it is written before. */
  async #commitGroup(group: readonly Waiting[]): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        const places = await this.#exclusively(() => this.#write(group))
        this.#confirm(group, places)
        return
      } catch (error) {
        this.#stall(isFull(error) ? 'disk_full' : ((error as NodeJS.ErrnoException).code ?? (error as Error).message))
        const delay = Math.min(longestRetryMs, this.#retryDelay * 2 ** attempt)
        // Cut short by the signal, which is looked at next.
        await sleep(delay, undefined, { signal: this.#stop.signal }).catch(() => {})
        if (!this.#stop.signal.aborted) continue
        for (const { reject } of group) reject(closed(error))
        return
      }
    }
  }

  #confirm(group: readonly Waiting[], places: readonly Place[]): void {
    if (this.#stalled !== undefined) this.#onEvent({ kind: 'resumed' })
    this.#stalled = undefined
    if (this.#entryListeners.size > 0) {
      const entries = group.map(({ record }, i): WalEntry => ({ ...record, ...places[i]! }))
      for (const listener of this.#entryListeners) listener(entries)
    }
    for (const [i, { resolve }] of group.entries()) resolve(places[i]!.end)
    for (const listener of this.#listeners) listener(places.at(-1)!.end)
  }

  /** Makes a group durable, or throws and leaves the confirmed end where it was. Where its records lie. */
  async #write(group: readonly Waiting[]): Promise<Place[]> {
    const bytes = group.reduce((sum, { record }) => sum + record.message.length, 0)
    if (!(await this.#room(bytes))) throw noRoom()
    if (this.#active === undefined || this.#committed.offset >= this.#segmentBytes) await this.#begin()
    const { file, marker } = this.#active!
    const { segment, offset } = this.#committed
    const pieces: Buffer[] = []
    const places: Place[] = []
    let end = offset
    for (const { record, messageCrc } of group) {
      const head = encodeHead(record, messageCrc, { marker, offset: end, groupStart: offset })
      pieces.push(head, record.message)
      const start = { segment, offset: end }
      end += head.length + record.message.length
      places.push({ start, end: { segment, offset: end } })
    }
    await file.writeAll(pieces, offset).catch((error: unknown) => this.#cutBack(file, offset, error))
    await file.sync().catch(async (error: unknown) => {
      // It may have dropped what it was asked to keep, and would say nothing when asked again.
      await this.#leave()
      throw error
    })
    this.#segments.set(segment, end)
    this.#committed = { segment, offset: end }
    return places
  }

  /** Takes back what may have been written behind the confirmed end; if that can't be known either, the segment is left. */
  async #cutBack(file: DiskFile, offset: number, error: unknown): Promise<never> {
    try {
      await file.truncate(offset)
      await file.sync()
    } catch {
      // The new segment's head tells readers where this one ends; the error that led here is told by the caller.
      await this.#leave()
    }
    throw error
  }

  /** Leaves the active segment: the next write begins another one. */
  async #leave(): Promise<void> {
    const active = this.#active
    this.#active = undefined
    // Nothing that counts depends on closing.
    await active?.file.close().catch(() => {})
  }

  /** Begins the next segment: head written and synced, its name synced, before anything is written to it. */
  async #begin(): Promise<void> {
    await this.#leave()
    const segment = this.#committed.segment + 1
    const marker = randomBytes(markerBytes)
    const file = await this.#disk.open(segmentPath(this.#directory, segment), 'update')
    try {
      // What an attempt that failed has left.
      await file.truncate(0)
      await file.write(encodeSegmentHead(segment, { validBefore: this.#committed.offset, marker }), 0)
      await file.sync()
      await this.#disk.syncDirectory(this.#directory)
    } catch (error) {
      await file.close().catch(() => {})
      throw error
    }
    this.#active = { file, marker }
    this.#segments.set(segment, segmentHeadBytes)
    this.#committed = { segment, offset: segmentHeadBytes }
  }

  /** Runs after what is under way; one at a time. */
  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#writing.then(work)
    this.#writing = done.catch(() => {})
    return done
  }

  #stall(reason: string): void {
    if (this.#stalled === reason) return
    this.#stalled = reason
    this.#onEvent({ kind: 'stalled', reason })
  }
}

const noRoom = () => Object.assign(new Error('the volume has no room for the write-ahead log'), { code: 'ENOSPC' })
const closed = (cause?: unknown) => new Error('the write-ahead log was closed before this was durable', { cause })
