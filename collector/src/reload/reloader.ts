/**
 * Takes a changed configuration while the collector runs, whole or not at all: first everything that can fail is done with the new
 * one, then everything is switched over at once. What can't be used changes nothing.
 */
import type { Logger } from 'pino'
import type { CollectorConfig } from '../config.ts'
import type { CollectorMetrics } from '../metrics.ts'
import { changeOf } from './config-change.ts'

/** `partial`: all but the keys that wait for a restart. `refused`: the file can't be used. */
export type ReloadResult = 'applied' | 'partial' | 'unchanged' | 'refused'

export interface ReloaderOptions {
  /** What the collector was started with. */
  readonly config: CollectorConfig
  /**
   * Does all that can fail with a new configuration - compiling filters, loading modules - and returns what switches over to it,
   * which can't.
   */
  prepare(config: CollectorConfig): Promise<() => void>
  readonly log: Logger
  readonly metrics: CollectorMetrics
}

export class Reloader {
  readonly #options: ReloaderOptions
  #config: CollectorConfig
  #stale: string | undefined
  /** One after the other: two at a time could switch to the older one last. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: ReloaderOptions) {
    this.#options = options
    this.#config = options.config
  }

  /** What the collector goes by. */
  get config(): CollectorConfig {
    return this.#config
  }

  /** Why the configuration file is not what the collector goes by; undefined when it is. */
  get stale(): string | undefined {
    return this.#stale
  }

  /** Takes what `load` returns; whatever it throws is why the file can't be used. Never rejects. */
  reload(load: () => CollectorConfig | Promise<CollectorConfig>): Promise<ReloadResult> {
    const result = this.#last.then(() => this.#reload(load))
    this.#last = result
    return result
  }

  async #reload(load: () => CollectorConfig | Promise<CollectorConfig>): Promise<ReloadResult> {
    const { log, metrics } = this.#options
    let result: ReloadResult
    try {
      result = await this.#take(await load())
    } catch (error) {
      this.#stale = `the configuration file is not used: ${(error as Error).message}`
      log.error(
        { reason: (error as Error).message },
        'configuration not reloaded; the collector goes on with the one before',
      )
      result = 'refused'
    }
    metrics.configReloads.inc(1, result)
    metrics.configStale.set(this.#stale === undefined ? 0 : 1)
    return result
  }

  async #take(wanted: CollectorConfig): Promise<ReloadResult> {
    const { config, taken, waiting } = changeOf(this.#config, wanted)
    // Also when no key changed: what the file names, such as a module, may have.
    const switchOver = await this.#options.prepare(config)
    switchOver()
    this.#config = config
    this.#stale =
      waiting.length === 0
        ? undefined
        : `the configuration file has changes that wait for a restart: ${waiting.join(', ')}`
    this.#tell(taken, waiting)
    if (waiting.length > 0) return 'partial'
    return taken.length > 0 ? 'applied' : 'unchanged'
  }

  #tell(taken: readonly string[], waiting: readonly string[]): void {
    const { log } = this.#options
    if (taken.length > 0) log.info({ keys: taken }, 'configuration reloaded')
    if (waiting.length > 0)
      log.warn(
        { keys: waiting },
        'configuration changed in keys that wait for a restart; the collector goes on with their old values',
      )
  }
}
