/**
 * The name by which collectors tell ledgers apart: random, and kept with the ledger. A ledger that was restored from a backup gets another one,
 * and remembers those it had: collectors that used it then know that it has less than they were told, and look again at what they still have.
 */
import { randomBytes } from 'node:crypto'
import { type Disk, isMissing, replaceFile } from '@tributary/protocol/disk.ts'

const idFormat = /^[0-9a-f]{16,64}$/

/** Undefined when none is kept. */
export async function readLedgerId(disk: Disk, path: string): Promise<string | undefined> {
  try {
    const text = (await disk.readFile(path)).toString('utf8').trim()
    return idFormat.test(text) ? text : undefined
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

export async function writeLedgerId(disk: Disk, path: string, id: string): Promise<void> {
  await replaceFile(disk, path, Buffer.from(`${id}\n`))
}

/** The name that is kept, or a new one. */
export async function openLedgerId(disk: Disk, path: string): Promise<string> {
  const known = await readLedgerId(disk, path)
  if (known !== undefined) return known
  const id = randomBytes(12).toString('hex')
  await writeLedgerId(disk, path, id)
  return id
}

/** The file that names what a ledger was before it was restored, beside its id. */
export const formerIdsFile = 'ledger-before'

/** Names that this ledger had before it was restored, one a line; what is no name is passed over. */
export async function readFormerIds(disk: Disk, path: string): Promise<string[]> {
  try {
    const lines = (await disk.readFile(path)).toString('utf8').split('\n')
    return lines.map((line) => line.trim()).filter((line) => idFormat.test(line))
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}
