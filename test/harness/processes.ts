/** Our processes as they run in production: started from a configuration file, asked over HTTP, killed without warning. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { nodeEnvironment, nodeFlags } from '@tributary/collector/node-flags.ts'
import { metric } from 'tributary/status-line.ts'

/** Keeps the end of a process's output: what is printed when a test fails. */
const keptOutput = 16_000

export interface ProcessOptions {
  readonly name: string
  /** Path of the script, then its arguments. */
  readonly args: readonly string[]
  readonly nodeArgs?: readonly string[]
  /** A command that becomes the process, such as one that enters a network namespace first. */
  readonly prefix?: readonly string[]
  /** All output goes here. */
  readonly logFile: string
  /** Started again when it ends by itself, as an orchestrator does. */
  readonly supervised?: boolean
}

/** One process that can be killed and started again. */
export class ManagedProcess {
  #options: ProcessOptions
  #child: ChildProcess | undefined
  #output = ''
  /** Exits that nobody here asked for. */
  unexpectedExits = 0
  #stopping = false

  constructor(options: ProcessOptions) {
    this.#options = options
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  get running(): boolean {
    return this.#child !== undefined
  }

  /** The last of what it printed, of this and earlier lives. */
  get output(): string {
    return this.#output
  }

  /** What the next start runs, with the arguments as before: another version of the same process. */
  become(script: string): void {
    const [, ...rest] = this.#options.args
    this.#options = { ...this.#options, args: [script, ...rest] }
  }

  start(): void {
    if (this.#child) throw new Error(`${this.#options.name} runs already`)
    this.#stopping = false
    const { args, nodeArgs = [], prefix = [], logFile, name, supervised = false } = this.#options
    const [program, ...rest] = [...prefix, process.execPath, ...nodeArgs, ...args]
    const child = spawn(program!, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { NODE_COMPILE_CACHE: compileCache, ...(name === 'collector' ? nodeEnvironment : {}), ...process.env },
    })
    this.#child = child
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-keptOutput)
        appendFileSync(logFile, text)
      })
    }
    child.once('exit', (code, signal) => {
      if (this.#child === child) this.#child = undefined
      if (this.#stopping) return
      this.unexpectedExits++
      appendFileSync(logFile, `--- ${name} exited by itself: ${signal ?? code}\n`)
      if (supervised) this.start()
    })
  }

  /** Sends the signal and waits for the end; the exit code, or undefined when a signal ended it. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', deadlineMs = 30_000): Promise<number | undefined> {
    const child = this.#child
    if (!child) return undefined
    this.#stopping = true
    const exited = once(child, 'exit') as Promise<[number | null]>
    const timer = setTimeout(() => child.kill('SIGKILL'), deadlineMs)
    child.kill(signal)
    const [code] = await exited
    clearTimeout(timer)
    return code ?? undefined
  }

  kill(): Promise<number | undefined> {
    return this.stop('SIGKILL')
  }
}

export interface PipelineOptions {
  /** Directory whose *.log are read; default `<root>/logs/containers`. */
  readonly logs?: string
  readonly collector?: Record<string, unknown>
  /** What is started as the collector; default: the sources. */
  readonly collectorScript?: string
  /** What is started as the aggregator; default: the sources. */
  readonly aggregatorScript?: string
  readonly aggregator?: Record<string, unknown>
  /** Where the collector sends to, instead of directly to the aggregator: the port of a proxy. */
  readonly via?: (forwardPort: number) => Promise<number>
}

/** Kept between runs, beside the packages: starting costs less. */
export const compileCache = fileURLToPath(new URL('../../node_modules/.cache/tributary', import.meta.url))

export const node = 'node-1'
export const cluster = 'test'

/** The entry of a process. */
export const script = (name: 'collector' | 'aggregator') =>
  fileURLToPath(import.meta.resolve(`@tributary/${name}/main.ts`))

/** Collector, aggregator and its engine in temporary directories, on free ports. */
export class Pipeline {
  readonly root: string
  /** What the load generator gets as `out`. */
  readonly logs: string
  /** The aggregator's. */
  readonly dataDir: string
  readonly collector: ManagedProcess
  readonly aggregator: ManagedProcess
  readonly forwardPort: number
  readonly httpPort: number
  readonly collectorPort: number
  #disposed = false

  private constructor(
    root: string,
    ports: [number, number, number],
    collectorTarget: number,
    options: PipelineOptions,
  ) {
    this.root = root
    this.logs = join(root, 'logs')
    this.dataDir = join(root, 'aggregator')
    ;[this.forwardPort, this.httpPort, this.collectorPort] = ports
    mkdirSync(join(this.logs, 'containers'), { recursive: true })
    const listen = '127.0.0.1'
    const aggregator = merge(
      {
        dataDir: this.dataDir,
        forward: { listen, port: this.forwardPort },
        http: { listen, port: this.httpPort },
      },
      options.aggregator ?? {},
    )
    const collector = merge(
      {
        node,
        cluster,
        stateDir: join(root, 'collector'),
        logs: { path: options.logs ?? join(this.logs, 'containers') },
        aggregator: { address: `${listen}:${collectorTarget}` },
        http: { listen, port: this.collectorPort },
      },
      options.collector ?? {},
    )
    this.aggregator = this.#process('aggregator', options.aggregatorScript ?? script('aggregator'), aggregator, [])
    this.collector = this.#process('collector', options.collectorScript ?? script('collector'), collector, nodeFlags)
  }

  /** Nothing runs yet. */
  static async create(options: PipelineOptions = {}): Promise<Pipeline> {
    const root = mkdtempSync(join(tmpdir(), 'tributary-test-'))
    const ports = await freePorts(3)
    const target = (await options.via?.(ports[0]!)) ?? ports[0]!
    return new Pipeline(root, ports as [number, number, number], target, options)
  }

  /** Both run, and the aggregator answers queries. */
  static async start(options: PipelineOptions = {}): Promise<Pipeline> {
    const pipeline = await Pipeline.create(options)
    try {
      pipeline.aggregator.start()
      pipeline.collector.start()
      await pipeline.ready()
      return pipeline
    } catch (error) {
      await pipeline[Symbol.asyncDispose]()
      throw error
    }
  }

  #process(
    name: 'collector' | 'aggregator',
    main: string,
    config: object,
    nodeArgs: readonly string[],
  ): ManagedProcess {
    const file = join(this.root, `${name}.yaml`)
    writeFileSync(file, JSON.stringify(config, undefined, 2))
    return new ManagedProcess({
      name,
      args: [main, '--config', file],
      nodeArgs,
      supervised: true,
      logFile: join(this.root, `${name}.out`),
    })
  }

  get url(): string {
    return `http://127.0.0.1:${this.httpPort}`
  }

  /** Waits until the aggregator answers queries. */
  async ready(deadlineMs = 60_000): Promise<void> {
    await until(
      async () => (await fetch(`${this.url}/ready`).catch(() => undefined))?.ok === true,
      deadlineMs,
      () => `the aggregator is not ready; its last words:\n${this.aggregator.output}`,
    )
  }

  /** The engine's process id while there is one. */
  enginePid(): number | undefined {
    const { pid } = this.aggregator
    return pid === undefined ? undefined : childrenOf(pid)[0]
  }

  /** True when there was an engine to kill. */
  killEngine(): boolean {
    const pid = this.enginePid()
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
    return pid !== undefined
  }

  /** A page of Prometheus metrics; '' while the process does not answer. */
  async metrics(of: 'collector' | 'aggregator'): Promise<string> {
    const port = of === 'collector' ? this.collectorPort : this.httpPort
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`).catch(() => undefined)
    return answer?.ok ? await answer.text() : ''
  }

  /** One metric's sum over its labels; undefined while the process does not answer. */
  async metric(name: string): Promise<number | undefined> {
    const page = await this.metrics(name.startsWith('collector_') ? 'collector' : 'aggregator')
    return page === '' ? undefined : metric(page, name)
  }

  /** Ends everything and removes what is on disk, unless `KEEP_TEST_DATA` is set. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return
    this.#disposed = true
    const engine = this.enginePid()
    await Promise.all([this.collector.kill(), this.aggregator.kill()])
    if (engine !== undefined)
      await until(
        () => !existsSync(`/proc/${engine}`),
        20_000,
        () => 'the engine outlives its aggregator',
      )
    if (process.env['KEEP_TEST_DATA']) console.log(`kept: ${this.root}`)
    else rmSync(this.root, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Polls until the condition holds; throws with what `otherwise` says when it doesn't in time. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  deadlineMs: number,
  otherwise: () => string,
  stepMs = 50,
): Promise<void> {
  for (const end = performance.now() + deadlineMs; !(await condition()); await sleep(stepMs)) {
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${otherwise()}`)
  }
}

/** Ports of loopback that are free now, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => net.createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** Process ids of the living children. */
export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((one) => parentOf(one) === pid)
}

function parentOf(pid: number): number | undefined {
  try {
    // The name in parentheses can hold anything; what follows the last one is fixed: state, parent, …
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return state === 'Z' ? undefined : Number(parent)
  } catch {
    return undefined // it ended meanwhile
  }
}

type Tree = { readonly [key: string]: unknown }

function merge(base: Tree, over: Tree): Tree {
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(over)) {
    const own = merged[key]
    merged[key] = isTree(own) && isTree(value) ? merge(own, value) : value
  }
  return merged
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
