/**
 * Writes one spool file: blocks go to a temporary file, which gets its name only when all of it is durable. A crash at any moment
 * leaves the whole file or none.
 */
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { compress } from '@tributary/protocol/compression.ts'
import type { Disk, DiskFile } from '@tributary/protocol/disk.ts'
import { encodeBlockHeader, encodeSpoolHeader, type SpoolHeader } from './spool-format.ts'

/** What is written is handed to the disk this often, bytes, so that the last fsync does not wait for all of a large file. */
const syncBytes = 16 * 1024 * 1024

export class SpoolWriter {
  readonly #disk: Disk
  #path: string
  readonly #file: DiskFile
  /** Size of the file so far. */
  bytes = 0
  /** End of what was taken, in bytes of the source. */
  offset: number
  #synced = 0

  private constructor(disk: Disk, path: string, file: DiskFile, offset: number) {
    this.#disk = disk
    this.#path = path
    this.#file = file
    this.offset = offset
  }

  /** @param path of the temporary file, which must not exist */
  static async create(disk: Disk, path: string, header: SpoolHeader): Promise<SpoolWriter> {
    const writer = new SpoolWriter(disk, path, await disk.open(path, 'create'), header.first)
    await writer.#attempt(() => writer.#write([encodeSpoolHeader(header)]))
    return writer
  }

  /** Takes the next bytes of the source. They may be overwritten once this returned its promise. */
  append(raw: Uint8Array): Promise<void> {
    const stored = compress(raw, 'zstd')
    const header = encodeBlockHeader({
      offset: this.offset,
      raw: raw.length,
      stored: stored.length,
      crc: crc32(stored),
    })
    this.offset += raw.length
    return this.#attempt(async () => {
      await this.#write([header, stored])
      if (this.bytes - this.#synced < syncBytes) return
      this.#synced = this.bytes
      await this.#file.sync()
    })
  }

  /** Makes all of it durable under its name. */
  finish(path: string): Promise<void> {
    return this.#attempt(async () => {
      await this.#file.sync()
      await this.#file.close()
      await this.#disk.rename(this.#path, path)
      this.#path = path
      await this.#disk.syncDirectory(dirname(path))
    })
  }

  /** Gives up: nothing is left of it. */
  async abort(): Promise<void> {
    await this.#file.close()
    await this.#disk.unlink(this.#path)
  }

  async #write(pieces: Uint8Array[]): Promise<void> {
    await this.#file.writeAll(pieces, this.bytes)
    for (const { length } of pieces) this.bytes += length
  }

  /** What fails leaves nothing behind. */
  async #attempt(write: () => Promise<void>): Promise<void> {
    try {
      await write()
    } catch (error) {
      // The first error is the one that tells; what clearing up meets is of no more interest.
      await this.abort().catch(() => undefined)
      throw error
    }
  }
}
