/** A cgroup of its own for one process, with the limits people give a DaemonSet. Versions 1 and 2; needs root. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Limits {
  /** Thousandths of a core, as in `100m`. */
  readonly cpuMillis: number
  readonly memoryBytes: number
}

export interface Throttling {
  /** Periods of 100 ms in which it ran, and those at whose end it was made to wait. */
  readonly periods: number
  readonly throttled: number
}

const root = '/sys/fs/cgroup'
const periodMicroseconds = 100_000

export class Cgroup {
  /** One directory in version 2; in version 1 one for each controller, of which the first counts CPU. */
  readonly #directories: readonly string[]

  private constructor(directories: readonly string[]) {
    this.#directories = directories
  }

  /** Why there can be none here, instead of throwing: most machines people work on have no room for it. */
  static create(name: string, limits: Limits): Cgroup | { readonly unavailable: string } {
    const two = existsSync(join(root, 'cgroup.controllers'))
    const directories = two ? [join(root, name)] : [join(root, 'cpu', name), join(root, 'memory', name)]
    const cgroup = new Cgroup(directories)
    try {
      if (two) writeFileSync(join(root, 'cgroup.subtree_control'), '+cpu +memory')
      for (const directory of directories) mkdirSync(directory)
      cgroup.#limit(limits, two)
      return cgroup
    } catch (error) {
      cgroup.#remove()
      return {
        unavailable: `no cgroup can be made (${(error as Error).message}); it takes root and a writable ${root}`,
      }
    }
  }

  #limit({ cpuMillis, memoryBytes }: Limits, two: boolean): void {
    const quota = (cpuMillis / 1000) * periodMicroseconds
    const [cpu, memory] = [this.#directories[0]!, this.#directories.at(-1)!]
    if (two) {
      writeFileSync(join(cpu, 'cpu.max'), `${quota} ${periodMicroseconds}`)
      writeFileSync(join(memory, 'memory.max'), String(memoryBytes))
    } else {
      writeFileSync(join(cpu, 'cpu.cfs_period_us'), String(periodMicroseconds))
      writeFileSync(join(cpu, 'cpu.cfs_quota_us'), String(quota))
      writeFileSync(join(memory, 'memory.limit_in_bytes'), String(memoryBytes))
    }
  }

  /** What `spawn` takes to start a command within it, so that its first instruction is limited already. */
  command(file: string, args: readonly string[]): [file: string, args: string[]] {
    const enter = this.#directories.map((directory) => `echo $$ > ${join(directory, 'cgroup.procs')}`)
    return ['/bin/sh', ['-c', `${enter.join(' && ')} && exec "$@"`, 'sh', file, ...args]]
  }

  throttling(): Throttling {
    const stat = readFileSync(join(this.#directories[0]!, 'cpu.stat'), 'utf8')
    const value = (key: string) => Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(stat)?.[1])
    return { periods: value('nr_periods'), throttled: value('nr_throttled') }
  }

  /** To be called when the processes in it have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    // The kernel lets go of an ended process a moment later.
    for (let tries = 0; !this.#remove() && tries < 100; tries++) await sleep(50)
  }

  #remove(): boolean {
    for (const directory of this.#directories) {
      try {
        rmdirSync(directory)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EBUSY') return false
      }
    }
    return true
  }
}
