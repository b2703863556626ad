/**
 * A backup of an aggregator that runs: an image of its data directory, taken between two blocks. Data goes on being received and
 * acknowledged meanwhile; rows wait in the write-ahead log for as long as it takes to link some thousand files.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { WalPosition } from '../wal/position.ts'
import { archiveOf } from './archive.ts'
import { type Image, imageDirectory, takeImage } from './image.ts'

/** There can be no backup, or none now; with what to do, for people. */
export class BackupError extends Error {
  override readonly name = 'BackupError'
}

export interface BackupParts {
  readonly dataDir: string
  /** End of what is durable in the write-ahead log. */
  readonly committed: () => WalPosition
  /** Lets no block go on its way, and rejects when the loader ends; `go` is false when it ended later. */
  readonly loader: { hold(): Promise<void>; go(): boolean }
  /** Runs something while no row is dropped from the store: comes first, as a sweep may take long. */
  readonly keepingRows: <T>(work: () => Promise<T>) => Promise<T>
  /** Runs something while no ledger is saved and no segment deleted. */
  readonly keepingLedger: <T>(work: () => Promise<T>) => Promise<T>
}

export interface Backup {
  readonly archive: Readable
  /** Before the archive's own headers. */
  readonly bytes: number
  readonly files: number
  /** How long nothing was loaded into the store, milliseconds. */
  readonly heldMs: number
}

export class Backups {
  #running = false

  /** Throws {@link BackupError}, and what the disk throws. */
  async take(parts: BackupParts): Promise<Backup> {
    if (this.#running) throw new BackupError('a backup is being made: wait for its end')
    this.#running = true
    try {
      let heldMs = 0
      const image = await parts.keepingRows(() => takeBetweenBlocks(parts, (ms) => (heldMs = ms)))
      const { archive, removed } = archiveOf(image)
      void removed.then(() => {
        this.#running = false
      })
      return { archive, bytes: image.bytes, files: image.entries.length, heldMs }
    } catch (error) {
      this.#running = false
      throw error
    }
  }
}

/** @param onHeld told how long nothing was loaded, ms */
async function takeBetweenBlocks(
  { dataDir, committed, loader, keepingLedger }: BackupParts,
  onHeld: (ms: number) => void,
): Promise<Image> {
  const began = performance.now()
  await loader.hold().catch((error: Error) => {
    throw new BackupError(`no backup can be made now: ${error.message}`)
  })
  let image: Image | undefined
  let stayed = false
  try {
    image = await keepingLedger(() => takeImage(dataDir, committed))
  } finally {
    stayed = loader.go()
    onHeld(performance.now() - began)
  }
  if (stayed) return image
  await image.remove()
  throw new BackupError('the loader was started anew while the backup was made: try again')
}

/** What a process left that ended while it made a backup. */
export async function removeUnfinished(dataDir: string): Promise<void> {
  await rm(join(dataDir, imageDirectory), { recursive: true, force: true })
}
