/** One of the processes `tributary up` runs: started again when it dies, told to stop and waited for at the end. */
import { type ChildProcess, fork } from 'node:child_process'
import { createWriteStream, type WriteStream } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ChildOptions {
  readonly name: string
  readonly script: string
  readonly args: readonly string[]
  readonly execArgv?: readonly string[]
  /** Beside our own. */
  readonly environment?: Readonly<Record<string, string>>
  /** Its output goes here; without it, to our own. */
  readonly logFile?: string
  /** It ended without being told to. */
  onDeath(name: string, how: string): void
}

const restartDelayMs = 1000

export class Child {
  readonly #options: ChildOptions
  readonly #log: WriteStream | undefined
  #process: ChildProcess | undefined
  #stopping = false
  readonly #running: Promise<void>

  constructor(options: ChildOptions) {
    this.#options = options
    this.#log = options.logFile === undefined ? undefined : createWriteStream(options.logFile, { flags: 'a' })
    this.#running = this.#run()
  }

  /** Asks it to stop, and kills it when it takes longer than `deadlineMs`. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true
    this.#process?.kill('SIGTERM')
    const timer = setTimeout(() => this.kill(), deadlineMs)
    await this.#running
    clearTimeout(timer)
  }

  kill(): void {
    this.#stopping = true
    this.#process?.kill('SIGKILL')
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      const how = await this.#live()
      if (this.#stopping) break
      this.#options.onDeath(this.#options.name, how)
      await sleep(restartDelayMs)
    }
    this.#log?.end()
  }

  /** From start to end; how it ended. */
  async #live(): Promise<string> {
    const { script, args, execArgv = [], environment } = this.#options
    // In a group of its own: Ctrl-C in the terminal must not reach it before we have decided on the order.
    const child = fork(script, args, {
      execArgv: [...execArgv],
      env: { ...process.env, ...environment },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    this.#process = child
    for (const stream of ['stdout', 'stderr'] as const)
      child[stream]!.pipe(this.#log ?? process[stream], { end: false })
    return await new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', (code, signal) => resolve(signal ? `killed by ${signal}` : `exit code ${code}`))
    })
  }
}
