/**
 * Rows that reach an engine on the same machine as a file which it finds in its spool, instead of through its socket: one process writes
 * them once, and the other need not receive and write them again. Statement, token and answer go the usual way.
 */
import { randomUUID } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isFull } from '@tributary/protocol/disk.ts'
import { spooledRows } from './engine/spool.ts'
import { StoreError } from './error.ts'

/** Most buffers that one call writes. */
const maxVector = 512

/**
 * Writes rows into the spool for as long as `use` takes, which gets the file's name. The file needs no sync: until its insert is
 * acknowledged, a block can be sent again. Throws {@link StoreError} where it can't be written.
 */
export async function withSpooled<T>(
  spool: string,
  parts: readonly Buffer[],
  use: (name: string) => Promise<T>,
): Promise<T> {
  const name = spooledRows(randomUUID())
  const path = join(spool, name)
  try {
    await write(path, parts).catch((error: unknown) => {
      // An engine that starts empties its spool, and makes it when it is new.
      throw new StoreError(isFull(error) ? 'full' : 'unavailable', `the store's spool: ${(error as Error).message}`)
    })
    return await use(name)
  } finally {
    await rm(path, { force: true })
  }
}

async function write(path: string, parts: readonly Buffer[]): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    for (let at = 0; at < parts.length; at += maxVector) {
      const some = parts.slice(at, at + maxVector)
      const wanted = some.reduce((sum, { length }) => sum + length, 0)
      const { bytesWritten } = await file.writev(some)
      // A disk that gets full in the middle takes what it has room for.
      if (bytesWritten < wanted) await file.appendFile(Buffer.concat(some).subarray(bytesWritten))
    }
  } finally {
    await file.close()
  }
}
