/** docker compose on docker-compose.yml, as a project of its own on free ports. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { freePorts, until } from '../harness/processes.ts'
import { answers, repository, uniqueName } from '../images/docker.ts'

const execute = promisify(execFile)

export class Compose {
  readonly url: string
  /** Of the three aggregators that share a store. */
  readonly scaleUrl: string
  readonly #environment: NodeJS.ProcessEnv
  #up: ChildProcess | undefined
  #output = ''

  private constructor([port, scalePort, grafanaPort]: readonly number[]) {
    this.url = `http://127.0.0.1:${port}`
    this.scaleUrl = `http://127.0.0.1:${scalePort}`
    this.#environment = {
      ...process.env,
      COMPOSE_PROJECT_NAME: uniqueName('compose'),
      TRIBUTARY_PORT: String(port),
      TRIBUTARY_SCALE_PORT: String(scalePort),
      GRAFANA_PORT: String(grafanaPort),
    }
  }

  static async create(): Promise<Compose> {
    return new Compose(await freePorts(3))
  }

  /** Runs a command line of a document to its end; what it printed. */
  async run(command: string): Promise<string> {
    const { stdout } = await execute('sh', ['-c', command], {
      cwd: repository,
      env: this.#environment,
      maxBuffer: 1 << 26,
    })
    return stdout.trim()
  }

  /** Runs one that goes on until Ctrl-C. */
  up(command: string): void {
    const child = spawn('sh', ['-c', `exec ${command}`], { cwd: repository, env: this.#environment })
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data) => (this.#output = `${this.#output}${data}`.slice(-8000)))
    this.#up = child
  }

  async ready(url: string, deadlineMs = 300_000): Promise<void> {
    const said = () => `${url}/ready does not say 200: ${this.#output}`
    await until(() => answers(`${url}/ready`), deadlineMs, said, 300)
  }

  /** Ctrl-C, and waits until all containers have stopped. */
  async interrupt(): Promise<void> {
    const child = this.#up!
    if (child.exitCode !== null) throw new Error(`it ended by itself: ${this.#output}`)
    const ended = once(child, 'exit')
    child.kill('SIGINT')
    await ended
  }

  /** Ends and forgets everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#up?.kill('SIGKILL')
    await this.run('docker compose -f docker-compose.yml -f compose/stand-in.yaml --profile "*" kill').catch(() => {})
    await this.run('docker compose -f docker-compose.yml -f compose/stand-in.yaml --profile "*" down --volumes')
  }
}
