/** A collector started within a cgroup, or without one, and the process that counts what it sends. */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { nodeEnvironment, nodeFlags } from '@tributary/collector/node-flags.ts'
import { Cgroup, type Limits, type Throttling } from '../harness/cgroup.ts'
import { Pipeline } from '../harness/processes.ts'
import type { TallyVerdict } from './tally.ts'
import type { TallyQuestion } from './tally-process.ts'

export interface LimitedOptions {
  /** None without it. */
  readonly limits?: Limits
  /** The file to start: the bundle, or the sources'. */
  readonly script?: string
  /** Where Node keeps what it compiled. */
  readonly compileCache: string
  /** Beside what every collector here has. */
  readonly config?: Record<string, unknown>
}

/** The collector's sources. */
export const sources = fileURLToPath(import.meta.resolve('@tributary/collector/main.ts'))
const startMs = 60_000

export class LimitedCollector {
  readonly #options: LimitedOptions
  readonly #pipeline: Pipeline
  readonly #tally: ChildProcess
  readonly #cgroup: Cgroup | undefined
  #child: ChildProcess | undefined
  #output = ''

  private constructor(options: LimitedOptions, pipeline: Pipeline, tally: ChildProcess, cgroup: Cgroup | undefined) {
    this.#options = options
    this.#pipeline = pipeline
    this.#tally = tally
    this.#cgroup = cgroup
  }

  /** Nothing is collected yet. Throws where a cgroup is asked for and can't be made. */
  static async create(options: LimitedOptions): Promise<LimitedCollector> {
    const cgroup = options.limits && Cgroup.create(`tributary-bench-${process.pid}`, options.limits)
    if (cgroup && 'unavailable' in cgroup) throw new Error(cgroup.unavailable)
    const tally = fork(fileURLToPath(new URL('tally-process.ts', import.meta.url)), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const [{ address }] = (await once(tally, 'message')) as [{ address: string }]
    const pipeline = await Pipeline.create({ collector: { ...options.config, aggregator: { address } } })
    return new LimitedCollector(options, pipeline, tally, cgroup)
  }

  /** What a {@link Load} gets as `out`. */
  get logs(): string {
    return this.#pipeline.logs
  }

  get pid(): number {
    return this.#child!.pid!
  }

  /** The last of what it printed. */
  get output(): string {
    return this.#output
  }

  start(): void {
    const command = [
      ...nodeFlags,
      this.#options.script ?? sources,
      '--config',
      join(this.#pipeline.root, 'collector.yaml'),
    ]
    const [file, args] = this.#cgroup?.command(process.execPath, command) ?? [process.execPath, command]
    this.#child = spawn(file, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...nodeEnvironment, NODE_COMPILE_CACHE: this.#options.compileCache },
    })
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      stream.on('data', (bytes) => (this.#output = (this.#output + bytes).slice(-4000)))
  }

  /** Starts it, and once a first log was opened, whose head is read then, tells how many ms that took. */
  async startUntilRead(write: () => void = () => undefined): Promise<number> {
    write()
    const begun = performance.now()
    this.start()
    while (!this.#holdsLog()) {
      if (performance.now() - begun > startMs || this.#child!.exitCode !== null)
        throw new Error(`the collector reads nothing; its last words:\n${this.#output}`)
      await sleep(5)
    }
    return performance.now() - begun
  }

  #holdsLog(): boolean {
    const directory = `/proc/${this.pid}/fd`
    try {
      return readdirSync(directory).some((fd) => readlinkSync(join(directory, fd)).startsWith(join(this.logs, 'pods')))
    } catch {
      return false // A descriptor that was closed meanwhile.
    }
  }

  throttling(): Throttling {
    return this.#cgroup?.throttling() ?? { periods: 0, throttled: 0 }
  }

  /** How many lines came so far. */
  count(): Promise<{ lines: number; records: number }> {
    return this.#ask({ ask: 'count' })
  }

  verdict(written: readonly number[]): Promise<TallyVerdict> {
    return this.#ask({ ask: 'verdict', written })
  }

  async #ask<T>(question: TallyQuestion): Promise<T> {
    this.#tally.send(question)
    const [answer] = (await once(this.#tally, 'message')) as [T]
    return answer
  }

  /** Ends it as an orchestrator does. */
  async stop(): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await exited
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    this.#tally.disconnect()
    await this.#cgroup?.[Symbol.asyncDispose]()
    await this.#pipeline[Symbol.asyncDispose]()
  }
}
