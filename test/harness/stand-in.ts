/** A server that speaks ClickHouse's HTTP interface, as a process of its own that can be killed: our engine, for want of another. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { childrenOf, freePorts, ManagedProcess, until } from './processes.ts'

const script = fileURLToPath(import.meta.resolve('@tributary/aggregator/store/engine/standalone.ts'))

export class StandIn {
  readonly url: string
  readonly #root: string
  readonly #process: ManagedProcess

  private constructor(root: string, port: number, more: readonly string[]) {
    this.#root = root
    this.url = `http://127.0.0.1:${port}`
    const args = [script, '--directory', join(root, 'store'), '--port', String(port), '--memory', '500MiB', ...more]
    this.#process = new ManagedProcess({ name: 'stand-in', args, logFile: join(root, 'stand-in.out') })
  }

  /** Serves the user `default` without a password. @param more flags of the engine's command */
  static async start(...more: string[]): Promise<StandIn> {
    const [port] = await freePorts(1)
    const standIn = new StandIn(mkdtempSync(join(tmpdir(), 'tributary-stand-in-')), port!, more)
    standIn.#process.start()
    await standIn.answers()
    return standIn
  }

  async answers(deadlineMs = 60_000): Promise<void> {
    await until(
      async () => (await fetch(`${this.url}/ping`).catch(() => undefined))?.ok === true,
      deadlineMs,
      () => `the stand-in does not answer:\n${this.#process.output}`,
    )
  }

  /** Kills the engine, which is then started again on the same data. False while there is none. */
  killEngine(): boolean {
    const [engine] = childrenOf(this.#process.pid!)
    if (engine !== undefined) process.kill(engine, 'SIGKILL')
    return engine !== undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stop('SIGTERM')
    rmSync(this.#root, { recursive: true, force: true, maxRetries: 5 })
  }
}
