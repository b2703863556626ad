/**
 * The directory of spool files: unread bytes of deleted logs on the node's disk, within a budget, until they are acknowledged. What
 * does not fit, or what the disk refuses, is the caller's to give up.
 */
import { statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setImmediate as yieldToLoop } from 'node:timers/promises'
import { type Disk, type DiskFile, isFull } from '@tributary/protocol/disk.ts'
import type { Logger } from 'pino'
import type { CollectorMetrics } from '../metrics.ts'
import type { LogFile } from '../tail/log-file.ts'
import { BlockCache, readSpoolHeader, SpoolFile } from './spool-file.ts'
import {
  blockBytes,
  formatSpoolName,
  parseSpoolName,
  SpoolDamage,
  type SpoolHeader,
  type SpoolName,
} from './spool-format.ts'
import { SpoolWriter } from './spool-writer.ts'

/** Share of the file system that is left to others, whatever the budget says. */
const minFreeShare = 0.05
/** How often that is looked at while a file is written, bytes. */
const lookBytes = 8 * 1024 * 1024
/** What a file takes on disk is a multiple of this. */
const diskBlock = 4096

export interface SpoolOptions {
  readonly disk: Disk
  readonly directory: string
  /** Most that spool files may take, bytes; 0 for none. */
  readonly limit: number
  readonly log: Logger
  readonly metrics: Pick<CollectorMetrics, 'spoolBytes' | 'spooledBytes' | 'spoolErrors'>
  /** Free share of the file system of a directory, 0 to 1. */
  freeShare?(directory: string): Promise<number>
}

/** One source in the spool. */
export interface Spooled extends SpoolName {
  readonly header: SpoolHeader
  /** What it takes on disk. */
  readonly bytes: number
}

/** What is to be saved: all of `file` from `header.first` to its end. */
export interface Unsaved {
  readonly header: SpoolHeader
  /** The first byte that is not acknowledged. */
  readonly from: number
  /** The source is known to have this many bytes, if not more. */
  readonly size: number
  readonly file: LogFile
}

export class Spool {
  readonly #options: SpoolOptions
  readonly #cache = new BlockCache()
  limit: number
  #bytes = 0
  #sequence = 0
  #failing = false
  /** What earlier runs left, oldest first. */
  found: Spooled[] = []
  /** Files whose header can't be read: what they held is lost. */
  damaged: SpoolName[] = []

  private constructor(options: SpoolOptions) {
    this.#options = options
    this.limit = options.limit
  }

  /** A directory that can't be used leaves a spool without room: logs are read all the same. */
  static async open(options: SpoolOptions): Promise<Spool> {
    const spool = new Spool(options)
    try {
      await spool.#load()
    } catch (error) {
      spool.limit = 0
      spool.#failed(options.directory, error as Error)
    }
    return spool
  }

  /** What the spool files take on disk. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether it is worth beginning with this many bytes of a log. */
  mayHold(raw: number): boolean {
    return this.limit > 0 && this.#bytes + raw / bestRatio <= this.limit
  }

  /** Bytes of a source that is in the spool. */
  file({ header, end, ...name }: Spooled): SpoolFile {
    const path = this.#path(formatSpoolName({ ...name, end }))
    return new SpoolFile({ disk: this.#options.disk, path, header, end, cache: this.#cache })
  }

  /**
   * Copies a source, a block for each turn of the event loop. Undefined when there is no room, the disk refuses, or the signal came
   * first: then nothing of it is in the spool.
   */
  async save(unsaved: Unsaved, signal: AbortSignal): Promise<Spooled | undefined> {
    const { disk, directory, metrics } = this.#options
    const { header, from } = unsaved
    const sequence = ++this.#sequence
    let taken = 0
    const take = (bytes: number) => {
      this.#bytes += onDisk(bytes) - taken
      taken = onDisk(bytes)
      metrics.spoolBytes.set(this.#bytes)
    }
    try {
      const writer = await SpoolWriter.create(disk, join(directory, `${sequence}${temporary}`), header)
      take(writer.bytes)
      if (!(await this.#copy(unsaved, writer, take, signal))) {
        await writer.abort()
        take(0)
        return undefined
      }
      const name: SpoolName = { sequence, source: header.source, from, end: writer.offset }
      await writer.finish(this.#path(formatSpoolName(name)))
      this.#failing = false
      metrics.spooledBytes.inc(writer.offset - from)
      return { ...name, header, bytes: taken }
    } catch (error) {
      take(0)
      this.#failed(header.path, error as Error)
      return undefined
    }
  }

  /** Deletes the file of a source that is acknowledged to its end. */
  async remove(spooled: Spooled): Promise<void> {
    const { disk, directory, metrics } = this.#options
    const path = this.#path(formatSpoolName(spooled))
    try {
      await disk.unlink(path)
      this.#bytes -= spooled.bytes
      metrics.spoolBytes.set(this.#bytes)
      await disk.syncDirectory(directory)
    } catch (error) {
      // Found again at the next start, when the ledger tells that nothing of it is needed.
      this.#failed(path, error as Error)
    }
  }

  /** Counts and tells damage that a reader met. */
  tellDamage(error: SpoolDamage): void {
    this.#options.metrics.spoolErrors.inc(1, 'damaged')
    this.#options.log.error({ reason: error.message }, 'a spool file is damaged; what is behind the damage is lost')
  }

  #path(name: string): string {
    return join(this.#options.directory, name)
  }

  async #load(): Promise<void> {
    const { disk, directory, metrics } = this.#options
    await disk.mkdir(directory)
    await disk.syncDirectory(dirname(directory))
    for (const entry of (await disk.readdir(directory)).sort()) {
      // Its process ended before it was whole; nothing relies on it.
      if (entry.endsWith(temporary)) await disk.unlink(this.#path(entry))
      const name = parseSpoolName(entry)
      if (name === undefined) continue
      this.#sequence = Math.max(this.#sequence, name.sequence)
      await this.#find(entry, name)
    }
    metrics.spoolBytes.set(this.#bytes)
  }

  async #find(entry: string, name: SpoolName): Promise<void> {
    const { disk } = this.#options
    const path = this.#path(entry)
    let file: DiskFile | undefined
    try {
      file = await disk.open(path, 'read')
      const bytes = onDisk(await file.size())
      const { header } = await readSpoolHeader(file)
      if (header.source !== name.source) throw new SpoolDamage('the header is of another source')
      this.#bytes += bytes
      this.found.push({ ...name, header, bytes })
    } catch (error) {
      const damage = error instanceof SpoolDamage ? error : new SpoolDamage((error as Error).message)
      this.tellDamage(
        new SpoolDamage(`${path}: ${damage.message}; set aside as ${path}.damaged`, undefined, { cause: error }),
      )
      this.damaged.push(name)
      await disk.rename(path, `${path}.damaged`)
    } finally {
      await file?.close()
    }
  }

  /** True when all of it was copied, false when the signal came or the budget is used up. */
  async #copy(
    { header, size, file }: Unsaved,
    writer: SpoolWriter,
    take: (bytes: number) => void,
    signal: AbortSignal,
  ): Promise<boolean> {
    const buffer = Buffer.allocUnsafeSlow(blockBytes)
    for (let looked = -lookBytes; ; ) {
      if (signal.aborted) return false
      if (writer.bytes - looked >= lookBytes) {
        looked = writer.bytes
        if (await this.#isDiskFull()) return this.#refused(header.path, 'the file system has less than 5 % free')
      }
      const n = await file.read(buffer, 0, blockBytes, writer.offset)
      if (n === 0) break
      await writer.append(buffer.subarray(0, n))
      take(writer.bytes)
      if (this.#bytes > this.limit) return this.#refused(header.path, 'limits.spoolBytes is used up')
      await yieldToLoop()
    }
    if (writer.offset < size) throw new Error(`the file ends at ${writer.offset}, not at ${size}`)
    return true
  }

  async #isDiskFull(): Promise<boolean> {
    const { directory, freeShare = freeShareOf } = this.#options
    return (await freeShare(directory)) < minFreeShare
  }

  #refused(path: string, reason: string): false {
    this.#tell(path, 'full', reason)
    return false
  }

  #failed(path: string, error: Error): void {
    this.#tell(path, isFull(error) ? 'full' : 'failed', error.message)
  }

  #tell(path: string, kind: 'full' | 'failed', reason: string): void {
    const { metrics, log, directory } = this.#options
    metrics.spoolErrors.inc(1, kind)
    if (!this.#failing) log.error({ path, spool: directory, reason }, 'unread bytes of a deleted file are not spooled')
    this.#failing = true
  }
}

const temporary = '.tmp'
/** Log lines are not compressed further than this: what is larger has no chance to fit. */
const bestRatio = 20

function onDisk(bytes: number): number {
  return Math.ceil(bytes / diskBlock) * diskBlock
}

async function freeShareOf(directory: string): Promise<number> {
  const { bavail, blocks } = await statfs(directory)
  return blocks === 0 ? 1 : bavail / blocks
}
