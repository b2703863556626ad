/**
 * Rows on their way in. They reach the engine as a file, never inside a statement, where the first blank line would end them and
 * let the rest run as SQL. The files need no sync: until its insert is acknowledged, a block can be sent again.
 */
import { createWriteStream } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** Where an engine keeps rows on their way in. */
export function spoolDirectory(store: string): string {
  return join(store, 'spool')
}

/** What a request says of a file in the spool that has its rows: a name. No setting of the engine. */
export const spooledParameter = 'spooled_rows'

/** The name of a file that somebody else writes into the spool. */
export function spooledRows(uuid: string): string {
  return `${uuid}.rows`
}

export function isSpooledRows(name: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.rows$/.test(name)
}

export class Spool {
  readonly #directory: string
  #count = 0

  private constructor(directory: string) {
    this.#directory = directory
  }

  /** Empties the directory: what is in it belonged to an engine that is gone. */
  static async open(directory: string): Promise<Spool> {
    await rm(directory, { recursive: true, force: true })
    await mkdir(directory, { recursive: true, mode: 0o700 })
    return new Spool(directory)
  }

  /**
   * Calls `use` with a file that holds all of `body`, and removes the file. A body that breaks off is never used.
   *
   * @param body the rows, or the name of the file in the spool that somebody wrote, and removes
   */
  async with<T>(body: Readable | string, use: (path: string) => Promise<T>): Promise<T> {
    if (typeof body === 'string') return use(join(this.#directory, body))
    const path = join(this.#directory, `${this.#count++}.rows`)
    try {
      await pipeline(body, createWriteStream(path, { mode: 0o600 }))
      return await use(path)
    } finally {
      await rm(path, { force: true })
    }
  }
}
