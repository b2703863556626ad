/** The name by which collectors tell ledgers apart: random, and kept with the ledger. */
import { randomBytes } from 'node:crypto'
import { type Disk, isMissing, replaceFile } from '@tributary/protocol/disk.ts'

/** Undefined when none is kept. */
export async function readLedgerId(disk: Disk, path: string): Promise<string | undefined> {
  try {
    const text = (await disk.readFile(path)).toString('utf8').trim()
    return /^[0-9a-f]{16,64}$/.test(text) ? text : undefined
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
