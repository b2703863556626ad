/**
 * Parts that the engine has made, to be checked: it does not notice a write that fails. On a disk that becomes full while a part is written it
 * gives a part with empty files its name, and calls the insert done, or lets the part take the place of those that it was merged of.
 */
import { join } from 'node:path'
import { nodeDisk } from '@tributary/protocol/disk.ts'
import { parsePart } from './deduplication-log.ts'

export class NewParts {
  readonly #known = new Map<string, ReadonlySet<string>>()

  /** What is in a table's directory now is not new, unless it was looked at before. */
  async begin(table: string): Promise<void> {
    if (!this.#known.has(table)) await this.take(table)
  }

  /** The names of the parts that came since the last time. */
  async take(table: string): Promise<string[]> {
    const parts = (await nodeDisk.readdir(table)).filter((name) => parsePart(name) !== undefined)
    const known = this.#known.get(table)
    this.#known.set(table, new Set(parts))
    return known === undefined ? [] : parts.filter((name) => !known.has(name))
  }
}

/**
 * Takes a broken part away from the engine, which is to be started anew: its rows then come again, as their token has no part, or from the parts
 * that it was merged of, which the engine keeps for some minutes.
 */
export async function setPartAside(table: string, part: string): Promise<void> {
  const detached = join(table, 'detached')
  await nodeDisk.mkdir(detached)
  await nodeDisk.rename(join(table, part), join(detached, `broken-${Date.now()}_${part}`))
  await nodeDisk.syncDirectory(detached)
  await nodeDisk.syncDirectory(table)
}
