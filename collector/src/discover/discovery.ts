/**
 * Which logs there are: every `*.log` of the log directory, followed to where its generations lie. The directory is listed again
 * only when its modification time says that a name came or went, so looking costs one stat.
 */
import { lstatSync, readdirSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { InputProblem } from '../metrics.ts'
import type { FamilyOrigin } from '../tail/family.ts'
import { containerIdFromLink, podFromPath } from './layout.ts'

export interface DiscoveryOptions {
  readonly path: string
  problem(path: string, reason: InputProblem, error?: Error): void
}

/** One log and the names that lead to it. */
export interface Discovered {
  readonly key: string
  readonly origin: FamilyOrigin
  /** The file a link leads to that may lead to another one later; undefined for names of containers, which never do, and for files. */
  readonly target: string | undefined
}

interface ContainerId {
  readonly restart: number
  readonly id: string
}

const notUtf8 = 'its name, or that of the file it leads to, is not UTF-8, so it is not read; rename it'

/** Where Node reads bytes that are no UTF-8 it has this in their place, and what it then asks for does not exist. */
const replacement = '\uFFFD'

function isGarbled(name: string, entry: string): boolean {
  if (name.includes(replacement) && lstatSync(entry, { throwIfNoEntry: false }) === undefined) return true
  try {
    return readlinkSync(entry).includes(replacement)
  } catch {
    return false // no link, or gone
  }
}

/** See clockTickMs in family.ts. */
const clockTickMs = 50
/** How often links are followed anew whose directory has not changed, ms: a link on the way from there may lead elsewhere by now. */
const followMs = 10_000

export class Discovery {
  readonly #options: DiscoveryOptions
  /** By name in the log directory. */
  #found = new Map<string, Discovered>()
  /** Container ids by restart count, of each log, until it is forgotten: a name may go and another that leads to the same log come. */
  readonly #containerIds = new Map<string, readonly ContainerId[]>()
  #modifiedMs = -1
  #listedAt = -1
  #retry = false
  /** Where the log directory was, itself perhaps behind a link. */
  #directory = ''
  /** When links are followed anew, ms on the monotonic clock; never while there are none that may lead elsewhere. */
  #followAt = Number.POSITIVE_INFINITY

  constructor(options: DiscoveryOptions) {
    this.#options = options
  }

  /** The logs there are now, one for each key; undefined when nothing changed since the last call. Throws when the directory can't be read. */
  scan(): Map<string, Discovered> | undefined {
    const { path } = this.#options
    const modifiedMs = statSync(path).mtimeMs
    const recent = Math.abs(this.#listedAt - modifiedMs) < clockTickMs
    const changed = modifiedMs !== this.#modifiedMs || recent || this.#retry
    if (!changed && performance.now() < this.#followAt) return undefined
    const directory = realpathSync.native(path)
    if (directory !== this.#directory) this.#found.clear()
    this.#directory = directory
    if (!changed && [...this.#found.keys()].every((name) => this.#known(name) !== undefined)) {
      this.#followAt = performance.now() + followMs
      return undefined
    }
    this.#listedAt = Date.now()
    this.#retry = false
    const names = readdirSync(path).filter((name) => name.endsWith('.log'))
    this.#modifiedMs = modifiedMs
    const found = new Map<string, Discovered>()
    for (const name of names) {
      const discovered = this.#known(name) ?? this.#resolve(name)
      if (discovered) found.set(name, discovered)
    }
    this.#found = found
    const links = found.values().some(({ target }) => target !== undefined)
    this.#followAt = links ? performance.now() + followMs : Number.POSITIVE_INFINITY
    return new Map([...found.values()].map((one) => [one.key, one]))
  }

  /** The log with this key is over. */
  forget(key: string): void {
    this.#containerIds.delete(key)
  }

  /** What the name led to when it was listed the last time, unless it leads elsewhere by now. */
  #known(name: string): Discovered | undefined {
    const known = this.#found.get(name)
    if (known?.target === undefined) return known
    try {
      return realpathSync.native(join(this.#options.path, name)) === known.target ? known : undefined
    } catch {
      // What it led to is gone: that is for its log to tell, which may have unread bytes.
      return known
    }
  }

  #resolve(name: string): Discovered | undefined {
    const { path, problem } = this.#options
    const entry = join(path, name)
    try {
      const isLink = lstatSync(entry).isSymbolicLink()
      const target = realpathSync(entry)
      const stats = statSync(target)
      if (stats.isDirectory()) return void problem(entry, 'directory')
      if (!stats.isFile()) return void problem(entry, 'not_a_file')
      const link = isLink ? resolve(path, readlinkSync(entry)) : entry
      return this.#discovered(name, link, target)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const renamed = code === 'ENOENT' ? this.#renamed(name, entry) : undefined
      if (renamed) return renamed
      // The link may be made before its target: looked at again at every scan until it leads somewhere or goes.
      this.#retry = true
      if (code === 'ENOENT' && isGarbled(name, entry)) problem(entry, 'name_not_utf8', new Error(notUtf8))
      else if (code === 'ENOENT') problem(entry, 'dangling_link')
      else problem(entry, code === 'ELOOP' ? 'loop' : 'unreadable', error as Error)
      return undefined
    }
  }

  /** The log of a link whose target was renamed and not made anew: what it was renamed to lies beside it, and may go soon. */
  #renamed(name: string, entry: string): Discovered | undefined {
    try {
      const link = resolve(this.#options.path, readlinkSync(entry))
      if (podFromPath(link) === undefined) return undefined
      const directory = realpathSync(dirname(link))
      if (!readdirSync(directory).some((one) => one.startsWith(`${basename(link)}.`))) return undefined
      return this.#discovered(name, link, join(directory, basename(link)))
    } catch {
      // Gone, or no link: nothing leads anywhere.
      return undefined
    }
  }

  #discovered(name: string, link: string, target: string): Discovered {
    const pod = podFromPath(link) ?? podFromPath(target)
    const directory = dirname(target)
    const inKubeletLayout = pod !== undefined && /^\d+\.log$/.test(basename(target))
    const base = inKubeletLayout ? undefined : basename(target)
    const key = base === undefined ? directory : target
    const id = containerIdFromLink(name)
    if (id) this.#learn(key, { id, restart: inKubeletLayout ? Number.parseInt(basename(target), 10) : 0 })
    const entry = join(this.#options.path, name)
    const origin = { directory, base, identity: pod, containerId: (restart: number) => this.#containerId(key, restart) }
    const ofAnother = target !== entry && id === undefined && pod === undefined && base !== undefined
    return {
      key,
      origin: ofAnother ? { ...origin, link: entry } : origin,
      target: link === entry || id !== undefined ? undefined : target,
    }
  }

  #learn(key: string, learnt: ContainerId): void {
    const others = this.#containerIds.get(key)?.filter(({ restart }) => restart !== learnt.restart) ?? []
    this.#containerIds.set(key, others.concat(learnt))
  }

  #containerId(key: string, restart: number): string | undefined {
    return this.#containerIds.get(key)?.find((one) => one.restart === restart)?.id
  }
}
