/**
 * The former version (N-1) as it ran: former.tar.gz has the sources of its processes, packed by `pack` from the last commit before the store's
 * schema version 6. When there is another version to come from, pack that one and change the numbers here.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Of the store that it makes. */
export const formerSchema = 5

const archive = fileURLToPath(new URL('former.tar.gz', import.meta.url))
const packages = fileURLToPath(new URL('../../../node_modules', import.meta.url))
const ours = ['protocol', 'collector', 'aggregator'] as const

/** Unpacked in a temporary directory, with today's packages beside it. */
export class Former implements Disposable {
  readonly #root = mkdtempSync(join(tmpdir(), 'tributary-former-'))
  readonly collector: string
  readonly aggregator: string

  constructor() {
    execFileSync('tar', ['-xzf', archive, '-C', this.#root])
    const modules = join(this.#root, 'node_modules')
    mkdirSync(join(modules, '@tributary'), { recursive: true })
    for (const name of readdirSync(packages))
      if (name !== '@tributary' && name !== 'tributary') symlinkSync(join(packages, name), join(modules, name))
    for (const name of ours) symlinkSync(join(this.#root, name), join(modules, '@tributary', name))
    symlinkSync(join(this.#root, 'cli'), join(modules, 'tributary'))
    this.collector = join(this.#root, 'collector', 'src', 'main.ts')
    this.aggregator = join(this.#root, 'aggregator', 'src', 'main.ts')
  }

  [Symbol.dispose](): void {
    rmSync(this.#root, { recursive: true, force: true })
  }
}
