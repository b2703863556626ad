/**
 * Room that is given up when days must go: the store can't drop a day on a volume that is wholly full. It is a file, so that nobody else
 * on the volume can take it before, and the write-ahead log leaves as much, so that it does not take it then.
 */
import { randomFillSync } from 'node:crypto'
import { open, rm, stat, statfs } from 'node:fs/promises'

/** What the engine wants for a drop, and for what senders write in the moment before it, bytes. */
const least = 4 << 20
const most = 32 << 20
/** Of the volume, within these bounds. */
const share = 1 / 64
const pieceBytes = 1 << 20

/** Bytes. */
export interface Volume {
  readonly size: number
  /** What a process that is not root's may still take. */
  readonly free: number
}

export async function volumeOf(directory: string): Promise<Volume> {
  const { bsize, blocks, bavail } = await statfs(directory)
  return { size: bsize * blocks, free: bsize * bavail }
}

/** How large the reserve of a volume is, bytes. Pure. */
export function reserveBytes(volumeSize: number): number {
  return Math.min(most, Math.max(least, Math.floor(volumeSize * share)))
}

/** Whether so many bytes more leave room for a reserve on the volume of a directory. */
export async function leavesReserve(directory: string, bytes: number): Promise<boolean> {
  const { size, free } = await volumeOf(directory)
  return free - bytes >= reserveBytes(size)
}

export class DiskReserve {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** Takes the room if it is not taken. Where there is none, none is taken. */
  async keep(bytes: number): Promise<void> {
    const present = await stat(this.#path).catch(() => undefined) // made now
    if (present?.size === bytes) return
    await this.#write(bytes).catch(() => this.giveUp()) // tried again at the next look
  }

  async giveUp(): Promise<void> {
    await rm(this.#path, { force: true })
  }

  async #write(bytes: number): Promise<void> {
    // Of what a file system could compress, little room would be left to give up.
    const piece = randomFillSync(Buffer.allocUnsafe(pieceBytes))
    await using file = await open(this.#path, 'w', 0o600)
    for (let at = 0; at < bytes; at += piece.length) await file.writeFile(piece.subarray(0, bytes - at))
    await file.sync()
  }
}
