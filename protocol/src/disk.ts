/**
 * The few file-system operations that durable state is built from, as an interface, so that tests can crash before every
 * single one of them and forget what was not synced. Reading log files does not go through here: only what we must not lose.
 */
import { constants } from 'node:fs'
import * as fs from 'node:fs/promises'
import { dirname } from 'node:path'

export interface DiskFile {
  /** Writes all of `data` at `position` (bytes from the start). Short writes are retried until done or failed. */
  write(data: Uint8Array, position: number): Promise<void>
  /** Writes the buffers one after another, the first at `position`. */
  writeAll(data: readonly Uint8Array[], position: number): Promise<void>
  /** Reads up to `into.length` bytes at `position`; returns how many were read (0 at the end of the file). */
  read(into: Uint8Array, position: number): Promise<number>
  size(): Promise<number>
  truncate(length: number): Promise<void>
  /** fdatasync: what was written survives a power cut. The file's name does not, until its directory is synced. */
  sync(): Promise<void>
  close(): Promise<void>
}

export interface Disk {
  /** `read`: must exist. `create`: must not exist. `update`: read and write, created when absent. */
  open(path: string, mode: 'read' | 'create' | 'update'): Promise<DiskFile>
  readFile(path: string): Promise<Buffer>
  readdir(path: string): Promise<string[]>
  mkdir(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  /** fsync of a directory: names created, renamed or removed in it survive a power cut. */
  syncDirectory(path: string): Promise<void>
}

const flags = {
  read: constants.O_RDONLY,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
  update: constants.O_RDWR | constants.O_CREAT,
}

class NodeFile implements DiskFile {
  readonly #handle: fs.FileHandle
  constructor(handle: fs.FileHandle) {
    this.#handle = handle
  }
  async write(data: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < data.length; ) {
      const { bytesWritten } = await this.#handle.write(data, done, data.length - done, position + done)
      done += bytesWritten
    }
  }
  async writeAll(data: readonly Uint8Array[], position: number): Promise<void> {
    const total = data.reduce((sum, piece) => sum + piece.length, 0)
    const { bytesWritten } = await this.#handle.writev(data as Uint8Array[], position)
    if (bytesWritten < total) await this.write(Buffer.concat(data).subarray(bytesWritten), position + bytesWritten)
  }
  async read(into: Uint8Array, position: number): Promise<number> {
    let done = 0
    while (done < into.length) {
      const { bytesRead } = await this.#handle.read(into, done, into.length - done, position + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return done
  }
  async size(): Promise<number> {
    return (await this.#handle.stat()).size
  }
  truncate(length: number): Promise<void> {
    return this.#handle.truncate(length)
  }
  sync(): Promise<void> {
    return this.#handle.datasync()
  }
  close(): Promise<void> {
    return this.#handle.close()
  }
}

/**
 * Makes a directory and those above it, one by one: asked to make all at once where the file system has no such names, as in /proc, Node tries for
 * ever.
 */
async function makeDirectory(path: string): Promise<void> {
  if (await isDirectory(path)) return
  if (dirname(path) !== path) await makeDirectory(dirname(path))
  try {
    await fs.mkdir(path, { mode: 0o700 })
  } catch (error) {
    // Somebody else may have made it meanwhile.
    if (!(await isDirectory(path))) throw error
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return (await fs.stat(path).catch(() => undefined))?.isDirectory() === true
}

/** Makes the directory that `key` of the configuration names; throws with the key and what is wrong. */
export async function makeNamedDirectory(disk: Disk, key: string, path: string): Promise<void> {
  try {
    await disk.mkdir(path)
  } catch (error) {
    throw new Error(`${key}: the directory ${path} can't be made (${(error as Error).message}); choose another one`)
  }
}

export const nodeDisk: Disk = {
  open: async (path, mode) => new NodeFile(await fs.open(path, flags[mode], 0o600)),
  readFile: (path) => fs.readFile(path),
  readdir: (path) => fs.readdir(path),
  mkdir: makeDirectory,
  rename: (from, to) => fs.rename(from, to),
  unlink: (path) => fs.unlink(path),
  syncDirectory: async (path) => {
    const handle = await fs.open(path, constants.O_RDONLY)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
}

/**
 * Replaces a file so that after a crash at any moment either the old or the new content is there, whole:
 * write a temporary file, fsync it, rename it over the old one, fsync the directory.
 */
export async function replaceFile(disk: Disk, path: string, content: Uint8Array): Promise<void> {
  const temporary = `${path}.tmp`
  const file = await disk.open(temporary, 'update')
  try {
    await file.truncate(0)
    await file.write(content, 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await disk.rename(temporary, path)
  await disk.syncDirectory(dirname(path))
}

/** True for the error of a path that does not exist. */
export function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException)?.code === 'ENOENT'
}

/** True when a disk, quota or file-size limit refused a write: something that passes when space is freed. */
export function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EFBIG'].includes((error as NodeJS.ErrnoException)?.code ?? '')
}
