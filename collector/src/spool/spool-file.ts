/**
 * A spooled source, read as the file it was: positions are those of the source. Of it there are its head and what was not acknowledged
 * when it was spooled. The file is opened at the first read.
 */
import { crc32 } from 'node:zlib'
import { decompress } from '@tributary/protocol/compression.ts'
import type { Disk, DiskFile } from '@tributary/protocol/disk.ts'
import type { FileStats, LogFile } from '../tail/log-file.ts'
import {
  type BlockHeader,
  blockBytes,
  blockHeaderBytes,
  decodeBlockHeader,
  decodeSpoolHeader,
  headerLength,
  prefixBytes,
  SpoolDamage,
  type SpoolHeader,
} from './spool-format.ts'

/** Reads the header of a spool file. Throws {@link SpoolDamage}, and what the disk throws. */
export async function readSpoolHeader(file: DiskFile): Promise<{ header: SpoolHeader; bytes: number }> {
  const prefix = await readBytes(file, prefixBytes, 0)
  const body = await readBytes(file, headerLength(prefix), prefixBytes)
  return { header: decodeSpoolHeader(prefix, body), bytes: prefixBytes + body.length }
}

/** The one block that is kept decompressed, whichever file it is of: memory does not grow with the number of files. */
export class BlockCache {
  owner: SpoolFile | undefined
  block: BlockHeader | undefined
  bytes: Buffer = Buffer.alloc(0)
}

/** A block and where its stored bytes lie in the spool file. */
interface Placed extends BlockHeader {
  readonly at: number
}

export class SpoolFile implements LogFile {
  readonly gzip = false
  readonly start: number
  readonly #disk: Disk
  readonly #path: string
  readonly #cache: BlockCache
  readonly #source: string
  readonly #modifiedMs: number
  readonly #head: Buffer
  readonly #first: number
  #end: number
  #file: Promise<DiskFile> | undefined
  /** Of the blocks in order, those looked at so far. */
  readonly #blocks: Placed[] = []
  /** Where the next block begins: in the spool file, and in the source. */
  #nextAt = 0
  #nextOffset: number

  constructor(options: { disk: Disk; path: string; header: SpoolHeader; end: number; cache: BlockCache }) {
    const { disk, path, header, end, cache } = options
    this.#disk = disk
    this.#path = path
    this.#cache = cache
    this.#source = header.source
    this.#modifiedMs = header.modifiedMs
    this.#head = Buffer.from(header.head, 'base64')
    this.start = -(header.cutBack?.at ?? 0)
    this.#first = this.#nextOffset = header.first
    this.#end = end
  }

  stat(): FileStats {
    // No file of a log has this inode, and no change time makes it look quiet.
    return { dev: 0, ino: 0, nlink: 1, size: this.#end, mtimeMs: this.#modifiedMs, ctimeMs: Number.NaN }
  }

  /** Throws {@link SpoolDamage} at the first block that can't be read; from then on the file ends before it. */
  async read(into: Buffer, at: number, length: number, position: number): Promise<number> {
    const { start } = this
    if (position < this.#first) return this.#head.copy(into, at, position - start, position - start + length)
    const end = Math.min(position + length, this.#end)
    let done = 0
    while (position + done < end) {
      const from = position + done
      const block = await this.#blockAt(from)
      const bytes = await this.#bytesOf(block)
      done += bytes.copy(into, at + done, from - block.offset, Math.min(block.raw, end - block.offset))
    }
    return done
  }

  close(): void {
    const file = this.#file
    this.#file = undefined
    if (this.#cache.owner === this) this.#cache.owner = undefined
    // A failure to open was told to whoever read; closing what was only read can't lose anything.
    void file?.then((one) => one.close()).catch(() => undefined)
  }

  async #blockAt(position: number): Promise<Placed> {
    while (this.#nextOffset <= position) this.#blocks.push(await this.#nextBlock())
    return this.#blocks.findLast(({ offset }) => offset <= position)!
  }

  async #nextBlock(): Promise<Placed> {
    const offset = this.#nextOffset
    if (this.#nextAt === 0) this.#nextAt = (await this.#guard(offset, readSpoolHeader)).bytes
    const read = (file: DiskFile) => readBytes(file, blockHeaderBytes, this.#nextAt)
    const block = decodeBlockHeader(await this.#guard(offset, read), offset)
    if (block === undefined) throw this.#damaged('no block where one was expected', offset)
    const at = this.#nextAt + blockHeaderBytes
    this.#nextAt = at + block.stored
    this.#nextOffset = offset + block.raw
    return { ...block, at }
  }

  async #bytesOf(block: Placed): Promise<Buffer> {
    const cache = this.#cache
    if (cache.owner === this && cache.block === block) return cache.bytes
    const stored = await this.#guard(block.offset, (file) => readBytes(file, block.stored, block.at))
    if (crc32(stored) !== block.crc) throw this.#damaged("a block's checksum differs", block.offset)
    const bytes = decompress(stored, blockBytes)
    if (bytes.length !== block.raw) throw this.#damaged('a block of another length', block.offset)
    cache.owner = this
    cache.block = block
    cache.bytes = bytes
    return bytes
  }

  /** What the medium refuses is as damaged as what it changed; anything else, such as too many open files, passes. */
  async #guard<T>(offset: number, read: (file: DiskFile) => Promise<T>): Promise<T> {
    try {
      this.#file ??= this.#disk.open(this.#path, 'read')
      return await read(await this.#file)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (error instanceof SpoolDamage || code === 'EIO' || code === 'ENOENT')
        throw this.#damaged((error as Error).message, offset, error)
      this.close()
      throw error
    }
  }

  #damaged(what: string, at: number, cause?: unknown): SpoolDamage {
    this.#end = Math.min(this.#end, at)
    return new SpoolDamage(`${this.#path}: ${what}`, { source: this.#source, offset: at }, { cause })
  }
}

/** Exactly `length` bytes, or {@link SpoolDamage}. */
async function readBytes(file: DiskFile, length: number, position: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length)
  if ((await file.read(bytes, position)) < length) throw new SpoolDamage('the file is cut off')
  return bytes
}
