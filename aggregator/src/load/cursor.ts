/**
 * How far the write-ahead log is in the store (docs/formats/cursor.md). The cursor names the next block before it is inserted, so
 * that after a crash exactly the same block is built again and inserted under the same token, which the store then knows.
 */
import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { type Disk, isMissing, replaceFile } from '@tributary/protocol/disk.ts'
import { z } from 'zod'
import { comparePositions, formatPosition, type WalPosition } from '../wal/position.ts'

export interface Cursor {
  /** Random, made with the cursor: no token is ever used again for other rows. */
  readonly id: string
  /** Everything before is in the store. */
  readonly stored: WalPosition
  /** End of the block that is being inserted, which begins at `stored`; the same position when none is. */
  readonly next: WalPosition
}

const position = z.strictObject({ segment: z.int().min(0), offset: z.int().min(0) })
const format = z.strictObject({ v: z.literal(1), id: z.string().min(1), stored: position, next: position })

/** The cursor file is there and broken. */
export class CursorError extends Error {
  override readonly name = 'CursorError'
}

export function newCursor(from: WalPosition): Cursor {
  return { id: randomBytes(8).toString('hex'), stored: from, next: from }
}

/** The token of the block `[stored, next)`: the same after a restart, never the same for another block. */
export function blockToken({ id, stored, next }: Cursor): string {
  return `${id}/${formatPosition(stored)}-${formatPosition(next)}`
}

/** Undefined when there is none. Throws {@link CursorError}. */
export async function readCursor(disk: Disk, path: string): Promise<Cursor | undefined> {
  let text: string
  try {
    text = (await disk.readFile(path)).toString('utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  const [json = '', checksum] = text.split('\n')
  if (checksum !== checksumOf(json)) throw new CursorError(`${path}: the checksum does not fit`)
  const parsed = format.safeParse(JSON.parse(json))
  if (!parsed.success) throw new CursorError(`${path}: ${parsed.error.issues[0]?.message}`)
  const { id, stored, next } = parsed.data
  return { id, stored, next }
}

/**
 * The cursor, or a new one where there is none. One that can't be used is set aside, and told.
 *
 * @param log where the write-ahead log begins and ends
 */
export async function openCursor(
  disk: Disk,
  path: string,
  log: { readonly oldest: WalPosition; readonly committed: WalPosition },
  onLost: (message: string) => void,
): Promise<Cursor> {
  try {
    const cursor = await readCursor(disk, path)
    if (cursor === undefined) return newCursor(log.oldest)
    if (comparePositions(cursor.next, log.committed) <= 0) return cursor
    throw new CursorError(`${path}: it points behind the end of the write-ahead log`)
  } catch (error) {
    if (!(error instanceof CursorError)) throw error
    await disk.rename(path, `${path}.corrupt`)
    onLost(error.message)
    return newCursor(log.oldest)
  }
}

/** Durable when it returns. */
export async function writeCursor(disk: Disk, path: string, { id, stored, next }: Cursor): Promise<void> {
  const json = JSON.stringify({ v: 1, id, stored, next })
  await replaceFile(disk, path, Buffer.from(`${json}\n${checksumOf(json)}\n`))
}

function checksumOf(json: string): string {
  return crc32(json).toString(16).padStart(8, '0')
}
