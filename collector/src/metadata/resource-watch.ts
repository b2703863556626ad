/**
 * Keeps true to one kind of object of the Kubernetes API: a LIST from the API server's cache, then a watch that is resumed where it was
 * whenever it ends. It lists again only when the server forgot that place. Errors are expected: counted, told, and tried again for ever.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { retryDelay } from '../forward/retry.ts'
import type { CollectorMetrics, WatchRestart } from '../metrics.ts'
import type { ApiAccess } from './api-access.ts'
import { getPieces } from './api-client.ts'
import { ApiError } from './api-error.ts'
import { type ListEnvelope, ListScanner } from './list-scanner.ts'
import { type WatchEvent, WatchLines } from './watch-lines.ts'

export interface WatchTarget {
  /** For metrics and logs: `pods`. */
  readonly kind: string
  /** As `/api/v1/pods`. */
  readonly path: string
  readonly fieldSelector: string | undefined
  /** Media types to ask for, of a list and of an object. */
  readonly accept: { readonly list: string; readonly watch: string }
}

/** Who is told what there is. */
export interface WatchSink {
  /** A list begins. */
  listing(): void
  /** An object as the API server says it: of a list, new, or changed. */
  seen(object: unknown): void
  gone(object: unknown): void
  /** The list is whole: what it did not have is gone. */
  listed(): void
}

/** All in ms. */
export interface WatchTiming {
  readonly retryBase: number
  readonly retryCap: number
  /** A fleet whose places were all forgotten at once lists again within this time. */
  readonly relistWithin: number
  /** A watch is to be ended by the server after this, and up to half as long again. */
  readonly watchFor: number
  /** How long a watch may say nothing: bookmarks come about once a minute. */
  readonly watchSilence: number
  readonly listSilence: number
}

export const usualTiming: WatchTiming = {
  retryBase: 500,
  retryCap: 30_000,
  relistWithin: 5000,
  watchFor: 300_000,
  watchSilence: 150_000,
  listSilence: 30_000,
}

export interface ResourceWatchOptions {
  readonly target: WatchTarget
  /** Asked for again after every error: what is missing may have come. */
  readonly access: () => Promise<ApiAccess>
  readonly sink: WatchSink
  readonly timing: WatchTiming
  readonly log: Logger
  readonly metrics: Pick<CollectorMetrics, 'apiRequests' | 'apiErrors' | 'watchRestarts'>
}

const pageItems = 500
/** After so many failures in a row the place itself is not trusted any more. */
const trustedFailures = 5
/** The same trouble is logged again after this, ms. */
const repeatTrouble = 300_000

export class ResourceWatch {
  readonly #options: ResourceWatchOptions
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined
  /** Where the watch is; undefined before a list. */
  #version: string | undefined
  #failures = 0
  #trouble: { readonly text: string; readonly toldAt: number } | undefined
  /** Ends the watch that is open. */
  #interrupt = new AbortController()

  constructor(options: ResourceWatchOptions) {
    this.#options = options
  }

  /** Asks from now on, and again for ever, until it is closed. Never throws. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Why nothing is heard from the API server; undefined while all is well. */
  get trouble(): string | undefined {
    return this.#trouble?.text
  }

  /** Lists anew: something is wanted of the objects that was not before. */
  relist(): void {
    this.#version = undefined
    this.#interrupt.abort()
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#interrupt = new AbortController()
      let delay = 0
      try {
        const access = await this.#options.access()
        if (this.#version === undefined) await this.#list(access)
        await this.#watch(access)
      } catch (error) {
        if (this.#stop.signal.aborted) return
        if (!this.#interrupt.signal.aborted) delay = this.#failed(error)
      }
      await sleep(delay, undefined, { signal: this.#stop.signal }).catch(() => {})
    }
  }

  async #list(access: ApiAccess): Promise<void> {
    const { target, sink, timing } = this.#options
    sink.listing()
    let page: ListEnvelope['metadata']
    do {
      const query = {
        limit: `${pageItems}`,
        ...(page?.continue ? { continue: page.continue } : {}),
        resourceVersion: '0',
      }
      const scanner = new ListScanner((item) => sink.seen(item))
      await this.#pieces(access, 'list', query, target.accept.list, timing.listSilence, (piece) => scanner.push(piece))
      page = orGarbage(() => scanner.end()).metadata
    } while (page?.continue)
    if (!page?.resourceVersion) throw new ApiError('garbage', 'a list without a resourceVersion')
    sink.listed()
    this.#version = page.resourceVersion
  }

  /** Returns when the server ended the watch as usual, or when it was silent. */
  async #watch(access: ApiAccess): Promise<void> {
    const { target, timing } = this.#options
    const query = {
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: this.#version!,
      timeoutSeconds: `${Math.ceil((timing.watchFor * (1 + Math.random() / 2)) / 1000)}`,
    }
    const askedAt = performance.now()
    const lines = new WatchLines((event) => this.#on(event))
    try {
      await this.#pieces(access, 'watch', query, target.accept.watch, timing.watchSilence, (piece) => lines.push(piece))
    } catch (error) {
      const silent = error instanceof ApiError && error.reason === 'timeout'
      this.#restarted(silent ? 'silent' : isExpired(error) ? 'expired' : 'error')
      if (!silent) throw error
      return
    }
    this.#restarted('ended')
    // A server or proxy that ends every watch at once is not to be asked without a pause.
    if (performance.now() - askedAt < timing.retryBase)
      throw new ApiError('status', 'the API server ended the watch at once')
    this.#failures = 0
  }

  #on(event: WatchEvent): void {
    const { sink } = this.#options
    if (event.type === 'seen') sink.seen(event.object)
    else if (event.type === 'gone') sink.gone(event.object)
    this.#version = event.version
    this.#failures = 0
  }

  async #pieces(
    access: ApiAccess,
    verb: 'list' | 'watch',
    query: Record<string, string>,
    accept: string,
    silence: number,
    take: (piece: Buffer) => void,
  ): Promise<void> {
    const { target, metrics } = this.#options
    metrics.apiRequests.inc(1, `${verb}_${target.kind}`)
    const selector = target.fieldSelector === undefined ? {} : { fieldSelector: target.fieldSelector }
    const path = `${target.path}?${new URLSearchParams({ ...selector, ...query })}`
    const signal = AbortSignal.any([this.#stop.signal, this.#interrupt.signal])
    for await (const piece of getPieces(access, { path, accept, silence, signal, opened: () => this.#well() }))
      orGarbage(() => take(piece))
  }

  #restarted(reason: WatchRestart): void {
    if (!this.#stop.signal.aborted && !this.#interrupt.signal.aborted)
      this.#options.metrics.watchRestarts.inc(1, reason)
  }

  /** How long to wait after an error, ms. */
  #failed(error: unknown): number {
    const { timing, metrics } = this.#options
    const problem =
      error instanceof ApiError ? error : new ApiError('garbage', (error as Error).message, { cause: error })
    if (problem.reason === 'expired') {
      this.#version = undefined
      metrics.apiErrors.inc(1, 'expired')
      return Math.random() * timing.relistWithin + this.#backoff(this.#failures++)
    }
    metrics.apiErrors.inc(1, problem.reason)
    this.#tell(problem)
    const doubtful = ++this.#failures % trustedFailures === 0
    if (doubtful && (problem.reason === 'garbage' || problem.reason === 'status')) this.#version = undefined
    return Math.max(problem.retryAfter, this.#backoff(this.#failures - 1))
  }

  #backoff(failures: number): number {
    const { retryBase, retryCap } = this.#options.timing
    return retryDelay(failures, Math.random(), retryBase, retryCap)
  }

  #tell({ reason, message }: ApiError): void {
    const { log, target } = this.#options
    const now = performance.now()
    const repeated = this.#trouble?.text === message && now - this.#trouble.toldAt < repeatTrouble
    if (repeated) return
    this.#trouble = { text: message, toldAt: now }
    log.warn(
      { kind: target.kind, reason, detail: message },
      'the Kubernetes API does not answer as it should; it is asked again',
    )
  }

  #well(): void {
    if (this.#trouble === undefined) return
    this.#trouble = undefined
    this.#options.log.info({ kind: this.#options.target.kind }, 'the Kubernetes API answers again')
  }
}

function isExpired(error: unknown): boolean {
  return error instanceof ApiError && error.reason === 'expired'
}

function orGarbage<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof ApiError) throw error
    throw new ApiError('garbage', `the API server's answer can not be read: ${(error as Error).message}`, {
      cause: error,
    })
  }
}
