/** A program of somebody else that runs for the time of a test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

const keptOutput = 16_000

export class Daemon implements AsyncDisposable {
  readonly #child: ChildProcess
  #output = ''

  constructor(path: string, args: readonly string[]) {
    this.#child = spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-keptOutput)
      })
    }
  }

  /** The last of what it printed. */
  get output(): string {
    return this.#output
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.running) return
    const exited = once(this.#child, 'exit')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 15_000)
    this.#child.kill('SIGTERM')
    await exited
    clearTimeout(timer)
  }
}
