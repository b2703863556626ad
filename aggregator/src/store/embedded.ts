/**
 * The embedded store: starts the engine process, keeps it running, and gives everybody one address that never changes. While the
 * engine is down, requests fail with a {@link StoreError} that says to try again.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { scriptFile } from '@tributary/protocol/script-file.ts'
import { Counter, type Registry } from 'prom-client'
import type { Logger } from '../log.ts'
import type { StoreConnection } from './connection.ts'
import type { EngineOptions, FromEngine, ToEngine } from './engine/messages.ts'
import { sessionCounts } from './engine/session-counts.ts'
import { spoolDirectory } from './engine/spool.ts'
import { StoreError } from './error.ts'
import { defaultTimes, isSilent, type WatchdogTimes } from './watchdog.ts'

export interface EmbeddedOptions {
  readonly directory: string
  /** Most memory the engine takes for its work, bytes. */
  readonly memoryBytes?: number
  readonly log: Logger
  /** Aborts the opening. What is open is closed by `close()`. */
  readonly signal?: AbortSignal
  readonly registry?: Registry
  /** When an engine that does not answer is given up. */
  readonly watchdog?: WatchdogTimes
  /** Where it listens and whom it serves; default: loopback, and the holder of the connection. */
  readonly server?: ServerOptions
}

export interface ServerOptions {
  readonly listen: string
  readonly port: number
  readonly username: string
  readonly password: string
  readonly database: string
  /** Calls itself the one node of this cluster. */
  readonly cluster?: string | undefined
  /** Further elements of its configuration, XML. */
  readonly extraConfig?: string | undefined
}

const loopback = '127.0.0.1'
/** 700 MB was measured to be enough for ingest and queries side by side. */
const defaultMemoryBytes = 700_000_000
/** The engine's JavaScript only moves bytes; what it works on is outside of V8's heap. */
const heapMegabytes = 128
/** Threads for every session at once, and a few for files. */
const threads = Object.values(sessionCounts).reduce((a, b) => a + b) + 4
/**
 * How long the engine's allocator keeps pages that were freed before it gives them back to the system, for its next insert. With the engine's own 5 s,
 * inserts, seconds apart, spent up to a quarter of their CPU time on getting pages anew; with 30 s it held 150 MB more.
 */
const allocatorConfig = 'dirty_decay_ms:10000'
/** Pause before the n-th start after a crash, milliseconds. */
const backoff = [20, 100, 500, 2_000, 5_000]
/** An engine that ran this long was a good one: the next crash is a first one again, milliseconds. */
const settled = 200
/** How long closing may take before the engine is killed, milliseconds. What it has acknowledged is durable anyway. */
const closePatience = 15_000

export class EmbeddedStore {
  readonly connection: StoreConnection
  readonly #options: EmbeddedOptions
  readonly #restarts: Counter
  readonly #listeners = new Set<() => void>()
  readonly #closing = new AbortController()
  #engine: ChildProcess
  #watching: Promise<void>

  /** Made by {@link openEmbedded}. */
  constructor(options: EmbeddedOptions, connection: StoreConnection, engine: ChildProcess, restarts: Counter) {
    this.#options = options
    this.connection = connection
    this.#engine = engine
    this.#restarts = restarts
    this.#watching = this.#watch()
  }

  /** Of the engine process that runs now, or ran last. */
  get pid(): number {
    return this.#engine.pid ?? 0
  }

  /** Calls `listener` each time the engine answers again after it died. Returns how to stop that. */
  onRestart(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Restarts the engine each time it dies, until closed. */
  async #watch(): Promise<void> {
    let failures = 0
    while (!this.#closing.signal.aborted) {
      const started = Date.now()
      const how = await this.#end(this.#engine)
      if (this.#closing.signal.aborted) return
      if (Date.now() - started > settled) failures = 0
      this.#options.log.error({ pid: this.pid, ...how }, 'the store engine died and is started again')
      this.#restarts.inc()
      failures = await this.#restart(failures)
    }
  }

  /** Resolves when the engine has ended, by itself or because it did not answer any more. */
  async #end(engine: ChildProcess): Promise<Exit> {
    const ended = new AbortController()
    const signal = AbortSignal.any([ended.signal, this.#closing.signal])
    isSilent(this.connection.urls[0]!, this.#options.watchdog ?? defaultTimes, signal).then((silent) => {
      if (!silent) return
      this.#options.log.error({ pid: engine.pid }, 'the store engine does not answer and is killed')
      engine.kill('SIGKILL')
    })
    const how = await exitOf(engine)
    ended.abort()
    return how
  }

  /** Tries until an engine is open or the store is closed. Returns the number of failures since a good start. */
  async #restart(failures: number): Promise<number> {
    for (let attempt = failures; !this.#closing.signal.aborted; attempt++) {
      await sleep(backoff[Math.min(attempt, backoff.length - 1)], undefined, { signal: this.#closing.signal }).catch(
        () => {}, // closed meanwhile: the loop's condition ends it
      )
      if (this.#closing.signal.aborted) return attempt
      try {
        const port = Number(new URL(this.connection.urls[0]!).port)
        const { engine } = await startEngine(this.#options, this.connection, port, this.#closing.signal)
        this.#engine = engine
        this.#options.log.info({ pid: this.pid }, 'the store engine is open again')
        for (const listener of this.#listeners) listener()
        return attempt + 1
      } catch (err) {
        if (!this.#closing.signal.aborted) this.#options.log.error({ err }, 'the store engine does not open')
      }
    }
    return failures
  }

  /** Lets the engine finish what it was asked, then ends it. */
  async close(): Promise<void> {
    this.#closing.abort()
    await stopEngine(this.#engine)
    await this.#watching
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Starts the engine on its directory. Throws {@link StoreError} `rejected` when another process has it or it is broken. */
export async function openEmbedded(options: EmbeddedOptions): Promise<EmbeddedStore> {
  const { listen, port: wanted, cluster: _, extraConfig: __, ...credentials } = options.server ?? ownServer()
  const { engine, port } = await startEngine(options, credentials, wanted, options.signal)
  options.log.info({ pid: engine.pid, port, directory: options.directory }, 'the store engine is open')
  const host = net.isIPv6(listen) ? `[${listen}]` : listen === '0.0.0.0' ? '127.0.0.1' : listen
  const spool = spoolDirectory(resolve(options.directory))
  // What others are served they write too.
  const revision = options.server === undefined ? new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT) : undefined
  const urls = [`http://${host}:${port}`]
  const connection = { engine: 'embedded' as const, urls, spool, revision, ...credentials }
  return new EmbeddedStore(options, connection, engine, engineRestarts(options.registry))
}

/** Nobody else gets to know the password. */
function ownServer(): ServerOptions {
  const password = randomBytes(24).toString('base64url')
  return { listen: loopback, port: 0, username: 'tributary', password, database: 'tributary' }
}

/** The metric of an embedded engine, in a registry or in none. */
export function engineRestarts(registry: Registry | undefined): Counter {
  const name = 'aggregator_store_engine_restarts_total'
  const existing = registry?.getSingleMetric(name) as Counter | undefined
  const help = 'How often the store engine died and was started again.'
  return existing ?? new Counter({ name, help, registers: registry === undefined ? [] : [registry] })
}

async function startEngine(
  { directory, memoryBytes = defaultMemoryBytes, log, server }: EmbeddedOptions,
  credentials: Pick<StoreConnection, 'username' | 'password' | 'database'>,
  port: number,
  signal: AbortSignal | undefined,
): Promise<{ engine: ChildProcess; port: number }> {
  signal?.throwIfAborted()
  const engine = fork(scriptFile(import.meta.url, './engine/main.ts', 'store-engine'), [], {
    execArgv: [`--max-old-space-size=${heapMegabytes}`],
    env: { JE_MALLOC_CONF: allocatorConfig, ...process.env, UV_THREADPOOL_SIZE: String(threads), NODE_OPTIONS: '' },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const complaint = lastOutput(engine)
  const { username, password, database } = credentials
  const options: EngineOptions = {
    directory: resolve(directory),
    memoryBytes,
    listen: server?.listen ?? loopback,
    port,
    username,
    password,
    database,
    cluster: server?.cluster,
    extraConfig: server?.extraConfig,
  }
  engine.send({ kind: 'open', options } satisfies ToEngine, () => {}) // a failure shows as the exit below
  const abort = () => engine.kill('SIGKILL')
  signal?.addEventListener('abort', abort, { once: true })
  try {
    return { engine, port: await readyPort(engine, complaint, log) }
  } catch (error) {
    engine.kill('SIGKILL')
    throw error
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

/** Resolves with the engine's port once it is open, and passes on what it has to say for as long as it runs. */
function readyPort(engine: ChildProcess, complaint: () => string, log: Logger): Promise<number> {
  return new Promise((resolve, reject) => {
    engine.on('message', (message: FromEngine) => {
      if (message.kind === 'ready') resolve(message.port)
      else if (message.kind === 'failed')
        reject(new StoreError(message.reason === 'full' ? 'full' : 'rejected', message.message))
      else log[message.level]({ ...message.fields, pid: engine.pid }, message.message)
    })
    engine.once('error', (cause) => reject(new StoreError('unavailable', cause.message, undefined, { cause })))
    engine.once('exit', (code, signal) => {
      reject(new StoreError('unavailable', `the store engine ended at its start (${signal ?? code}): ${complaint()}`))
    })
  })
}

/** The end of what the engine wrote to stderr: its own words when it dies. */
function lastOutput(engine: ChildProcess): () => string {
  let text = ''
  engine.stderr?.setEncoding('utf8').on('data', (piece: string) => {
    text = (text + piece).slice(-2000)
  })
  return () => text
}

interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

async function exitOf(engine: ChildProcess): Promise<Exit> {
  if (engine.exitCode === null && engine.signalCode === null) await once(engine, 'exit')
  return { code: engine.exitCode, signal: engine.signalCode }
}

async function stopEngine(engine: ChildProcess): Promise<void> {
  if (engine.connected) engine.send({ kind: 'close' } satisfies ToEngine, () => {}) // it may have died just now
  const timer = setTimeout(() => engine.kill('SIGKILL'), closePatience)
  await exitOf(engine)
  clearTimeout(timer)
}
