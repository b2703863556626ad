/**
 * One process per store directory. The engine locks its directory itself, but refuses a second process without saying why; this
 * file is there to say who holds it and what to do. It outlives a holder that was killed, so it is believed only while the process
 * it names still runs: same pid, same start time, same boot of the machine.
 */
import { readFileSync } from 'node:fs'
import { readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isFull } from '@tributary/protocol/disk.ts'

interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks since boot, from /proc: tells a process from a later one with the same pid. */
  readonly started: string
}

interface Holder extends ProcessIdentity {
  readonly host: string
  readonly boot: string
  /** Who the engine works for. When it is gone, the engine is about to end by itself. */
  readonly parent: ProcessIdentity
}

export class LockedError extends Error {}

/** How long an engine whose aggregator died may take to finish its work and leave the directory. */
const orphanPatience = 30_000

function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The command's name in parentheses can hold anything, so count fields behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    return undefined // no such process, or no /proc: then nobody can be proved to run
  }
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return '' // not Linux: the start times are missing there too
  }
}

function identity(pid: number): ProcessIdentity {
  return { pid, started: startOf(pid) ?? '' }
}

function runs(process: ProcessIdentity): boolean {
  return process.started !== '' && startOf(process.pid) === process.started
}

async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    const holder = JSON.parse(await readFile(path, 'utf8')) as Holder
    const here = holder.host === hostname() && holder.boot === bootId()
    return here && runs(holder) ? holder : undefined
  } catch {
    return undefined // missing or torn: nobody holds it that could be named
  }
}

/** On a full disk there is no lock file, and no more than its clear message is missing: reading has to go on. */
async function writeHolder(path: string, holder: Holder): Promise<void> {
  const temporary = `${path}.tmp`
  try {
    await writeFile(temporary, JSON.stringify(holder), { mode: 0o600 })
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    if (!isFull(error)) throw error
  }
}

/** Takes the directory or throws {@link LockedError}. Waits for an engine that lost its aggregator and is about to end. */
export async function lockDirectory(directory: string): Promise<AsyncDisposable> {
  const path = join(directory, 'engine.lock')
  const deadline = Date.now() + orphanPatience
  for (let holder = await readHolder(path); holder !== undefined; holder = await readHolder(path)) {
    if (runs(holder.parent) || Date.now() > deadline) {
      throw new LockedError(
        `the store directory ${directory} is in use by process ${holder.pid} (started by process ${holder.parent.pid}): ` +
          'stop that process, or give this one a dataDir of its own',
      )
    }
    await sleep(50)
  }
  const own: Holder = { ...identity(process.pid), host: hostname(), boot: bootId(), parent: identity(process.ppid) }
  await writeHolder(path, own)
  return {
    async [Symbol.asyncDispose]() {
      await unlink(path).catch(() => {}) // what stays names a dead process and is not believed
    },
  }
}
