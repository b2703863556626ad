/** Sets aside what can't be decoded, so that somebody can look at it, within a cap, so that it can't fill the disk. */
import { join } from 'node:path'
import { type Disk, isFull, replaceFile } from '@tributary/protocol/disk.ts'

/** Most bytes kept, and most files. The oldest stay: they are the first sign of what went wrong. */
const maxBytes = 256 << 20
const maxFiles = 1000

export class Quarantine {
  readonly #disk: Disk
  readonly #directory: string
  #files = 0
  #bytes = 0

  private constructor(disk: Disk, directory: string) {
    this.#disk = disk
    this.#directory = directory
  }

  static async open(disk: Disk, directory: string): Promise<Quarantine> {
    await disk.mkdir(directory)
    const quarantine = new Quarantine(disk, directory)
    for (const name of await disk.readdir(directory)) {
      const file = await disk.open(join(directory, name), 'read')
      try {
        quarantine.#bytes += await file.size()
        quarantine.#files++
      } finally {
        await file.close()
      }
    }
    return quarantine
  }

  /**
   * Keeps a message under a name; keeping the same again replaces it.
   *
   * @returns the file's path; undefined when the cap is reached or the disk is full, so that the message is not kept
   */
  async keep(name: string, message: Uint8Array): Promise<string | undefined> {
    if (this.#files >= maxFiles || this.#bytes + message.length > maxBytes) return undefined
    const path = join(this.#directory, name)
    try {
      await replaceFile(this.#disk, path, message)
    } catch (error) {
      if (isFull(error)) return undefined
      throw error
    }
    this.#files++
    this.#bytes += message.length
    return path
  }
}
