/**
 * The ledger's snapshots on disk: `ledger`, the one before it as `ledger.1`, and `ledger.tmp` while one is written. A crash at any moment leaves
 * one of them whole; where damage was done to the newest, the one before fills the gap as far as it can.
 */
import { dirname } from 'node:path'
import { type Disk, isMissing, replaceFile } from '@tributary/protocol/disk.ts'
import type { WalPosition } from '../wal/position.ts'
import type { Account } from './account.ts'
import { decodeSnapshot, type Snapshot } from './snapshot.ts'

export interface FoundLedger {
  readonly accounts: readonly Account[]
  /** What the write-ahead log holds behind it has to be booked again; undefined: all that it holds. */
  readonly upTo: WalPosition | undefined
  /** What was wrong with the newest snapshot, and where its bytes are kept. */
  readonly damage?: { readonly error: Error; readonly copy: string }
}

const previousOf = (path: string) => `${path}.1`
const temporaryOf = (path: string) => `${path}.tmp`

/** Puts a snapshot in the place of the last one. `write` writes the pieces one after another. */
export async function writeSnapshot(
  disk: Disk,
  path: string,
  write: (piece: (text: string) => Promise<void>) => Promise<void>,
): Promise<void> {
  const file = await disk.open(temporaryOf(path), 'update')
  try {
    await file.truncate(0)
    let end = 0
    await write(async (text) => {
      const bytes = Buffer.from(text)
      await file.write(bytes, end)
      end += bytes.length
    })
    await file.sync()
  } catch (error) {
    // A part of a snapshot is of no use, and the disk may be full.
    await file.truncate(0).catch(() => {})
    throw error
  } finally {
    await file.close()
  }
  await disk.rename(path, previousOf(path)).catch(ignoreMissing)
  await disk.rename(temporaryOf(path), path)
  await disk.syncDirectory(dirname(path))
}

/** Reads what there is. Throws LedgerVersionError, and what the disk throws. */
export async function readLedger(disk: Disk, path: string): Promise<FoundLedger> {
  const newest = await readSnapshot(disk, path)
  const previous = newest?.damage === undefined && newest ? undefined : await readSnapshot(disk, previousOf(path))
  // After a crash between the two renames the one before is the newest that was ever confirmed.
  const found = newest ?? previous
  if (found === undefined) return { accounts: [], upTo: undefined }
  if (found.damage === undefined) return { accounts: found.accounts, upTo: found.upTo }
  const damaged = newest === undefined ? previousOf(path) : path
  const copy = `${path}.damaged`
  // The file itself stays in its place: after a crash before the next snapshot the same is found again.
  await replaceFile(disk, copy, await disk.readFile(damaged))
  const mended = mend(found, newest === undefined ? undefined : previous)
  return { ...mended, damage: { error: new Error(found.damage), copy } }
}

/** Sources that can't be read in the newest snapshot are taken from the one before, and the log is booked again from there. */
function mend(newest: Snapshot, previous: Snapshot | undefined): Omit<FoundLedger, 'damage'> {
  const known = new Set(newest.accounts.map(({ source }) => source))
  const older = previous?.accounts.filter(({ source }) => !known.has(source)) ?? []
  return { accounts: [...newest.accounts, ...older], upTo: previous?.upTo }
}

async function readSnapshot(disk: Disk, path: string): Promise<Snapshot | undefined> {
  try {
    return decodeSnapshot(await disk.readFile(path))
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error
}
