/** Keeps copies of damaged bytes of the write-ahead log in `quarantine/`, for somebody to look at, within a cap. */
import { dirname, join } from 'node:path'
import type { Disk, DiskFile } from '@tributary/protocol/disk.ts'

/** Most copies kept. The oldest stay: they are the first sign of what went wrong. */
const maxCopies = 100
/** Most bytes of one copy: enough to see what happened. */
const maxCopyBytes = 8 << 20
const windowBytes = 256 * 1024

export interface DamagedRange {
  readonly segment: number
  readonly start: number
  readonly end: number
}

const copyPath = (directory: string, { segment, start, end }: DamagedRange) =>
  join(directory, 'quarantine', `${segment}-${start}-${end}`)

/** Copies the range of a segment. Undefined when there is no room: a copy is never a reason to fail. */
export async function setAside(
  disk: Disk,
  directory: string,
  range: DamagedRange,
  file: DiskFile,
): Promise<string | undefined> {
  const path = copyPath(directory, range)
  try {
    await disk.mkdir(dirname(path))
    if ((await disk.readdir(dirname(path))).length >= maxCopies) return undefined
    const copy = await disk.open(path, 'update')
    try {
      await copyBytes(file, copy, range)
      await copy.sync()
    } finally {
      await copy.close()
    }
    await disk.syncDirectory(dirname(path))
    return path
  } catch {
    // The caller reports the damage, and that there is no copy.
    return undefined
  }
}

async function copyBytes(from: DiskFile, to: DiskFile, { start, end }: DamagedRange): Promise<void> {
  const window = Buffer.alloc(windowBytes)
  const last = Math.min(end, start + maxCopyBytes)
  for (let at = start; at < last; ) {
    const read = await from.read(window.subarray(0, Math.min(window.length, last - at)), at)
    if (read === 0) return
    await to.write(window.subarray(0, read), at - start)
    at += read
  }
}
