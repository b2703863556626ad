/**
 * An image of an aggregator's data directory: hard links to its files, with their sizes, so that what the running aggregator does
 * afterwards changes nothing of it. Files that are only ever appended to count up to the size they had; all others are replaced, never
 * changed in place. Taken while nothing is loaded, dropped from the store, or released from the write-ahead log.
 */
import { link, mkdir, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing } from '@tributary/protocol/disk.ts'
import { formerIdsFile } from '../ledger/ledger-id.ts'
import type { WalPosition } from '../wal/position.ts'
import { segmentPath } from '../wal/segment.ts'

/** One name of an image, within the data directory, with slashes. `size`: how many of a file's bytes count. */
export type ImageEntry = { readonly name: string; readonly size: number } & (
  | { readonly kind: 'directory' }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'symlink'; readonly target: string }
)

export interface Image {
  /** Directories before what is in them. */
  readonly entries: readonly ImageEntry[]
  readonly bytes: number
  /** Gives back what the links keep on disk. */
  remove(): Promise<void>
}

/** What an image lies in while it is copied, in the data directory. One that is found there at a start was left by a process that ended. */
export const imageDirectory = 'backup.tmp'

/** A table of the engine's. */
const table = /^store\/data\/store\/[^/]+\/[^/]+$/
/** The disk guard's reserve, what an engine that runs holds for itself, and parts that are being made, taken away, or were set aside: in no acknowledged state. */
const leftOut = /^store\/reserve$|^store\/data\/(status|tmp)$|\/(tmp|delete_tmp|moving|detached)[^/]*$/
/** Merges replace parts while they are linked; what replaces them is there before they go. */
const attempts = 20

/** @param committed end of the write-ahead log, as it was after the ledger's snapshot was written */
export async function takeImage(dataDir: string, committed: () => WalPosition): Promise<Image> {
  const target = join(dataDir, imageDirectory)
  await rm(target, { recursive: true, force: true })
  await mkdir(target, { mode: 0o700 })
  const entries: ImageEntry[] = []
  const remove = () => rm(target, { recursive: true, force: true, maxRetries: 3 })
  try {
    const linker = new Linker(dataDir, target, entries)
    await linker.fileIfAny('ledger')
    await linker.fileIfAny('cursor')
    await linker.directory('wal')
    const end = committed()
    for (const name of await readdir(join(dataDir, 'wal'))) {
      const segment = Number(/^(\d+)\.wal$/.exec(name)?.[1])
      if (!(segment <= end.segment)) continue
      const path = segmentPath('wal', segment)
      await linker.file(path, segment === end.segment ? end.offset : undefined)
    }
    await linker.written(formerIdsFile, await formerIds(dataDir))
    await linker.directory('store')
    await linker.tree('store/data')
    return { entries, bytes: entries.reduce((sum, { size }) => sum + size, 0), remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** The restored ledger is another one, and knows whose state it has. */
async function formerIds(dataDir: string): Promise<string> {
  const texts = await Promise.all(
    [formerIdsFile, 'ledger-id'].map(async (name) => {
      const text = await readFile(join(dataDir, name), 'utf8').catch((error: unknown) => {
        if (isMissing(error)) return ''
        throw error
      })
      return text.trim()
    }),
  )
  return texts
    .filter((text) => text !== '')
    .map((text) => `${text}\n`)
    .join('')
}

class Linker {
  readonly #from: string
  readonly #to: string
  readonly #entries: ImageEntry[]

  constructor(from: string, to: string, entries: ImageEntry[]) {
    this.#from = from
    this.#to = to
    this.#entries = entries
  }

  async directory(name: string): Promise<void> {
    await mkdir(join(this.#to, name), { mode: 0o700 })
    this.#entries.push({ kind: 'directory', name, size: 0 })
  }

  /** @param size how many bytes of it count; by default all there are now */
  async file(name: string, size?: number): Promise<void> {
    const path = join(this.#to, name)
    await link(join(this.#from, name), path)
    this.#entries.push({ kind: 'file', name, path, size: size ?? (await stat(path)).size })
  }

  /** A file that is not there before anything was stored. */
  async fileIfAny(name: string): Promise<void> {
    await this.file(name).catch((error: unknown) => {
      if (!isMissing(error)) throw error
    })
  }

  async written(name: string, text: string): Promise<void> {
    const path = join(this.#to, name)
    await writeFile(path, text, { mode: 0o600 })
    this.#entries.push({ kind: 'file', name, path, size: Buffer.byteLength(text) })
  }

  /** A directory with all that is in it. A table is done again where parts of it were replaced meanwhile. */
  async tree(name: string): Promise<void> {
    await this.directory(name)
    for (const child of await readdir(join(this.#from, name), { withFileTypes: true })) {
      const path = `${name}/${child.name}`
      if (leftOut.test(path)) continue
      if (child.isSymbolicLink()) {
        const target = await readlink(join(this.#from, path))
        this.#entries.push({ kind: 'symlink', name: path, size: 0, target })
      } else if (child.isFile()) await this.file(path)
      else if (child.isDirectory()) await (table.test(path) ? this.#table(path) : this.tree(path))
    }
  }

  async #table(name: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const before = this.#entries.length
      try {
        return await this.tree(name)
      } catch (error) {
        if (!isMissing(error) || attempt === attempts) throw error
        this.#entries.length = before
        await rm(join(this.#to, name), { recursive: true, force: true })
      }
    }
  }
}
