import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import type { LogPolicy } from '../metadata/log-policy.ts'
import { assemble, type Shared } from './assemble.ts'
import { ChainFilter, type ChainFilterOptions, Workbench } from './chain-filter.ts'
import { Mask } from './mask.ts'
import { CostMeter, OffloadingFilter } from './offload.ts'
import { type FiltersConfig, type Prepared, prepare } from './prepared.ts'
import { RateLimiter } from './rate-limiter.ts'
import type { StreamFilter } from './stream-filter.ts'
import { emptyTally, type Tally } from './tally.ts'
import { FilterThread } from './thread.ts'
import type { RecordTrace, TapSource } from './trace.ts'

export interface FilterChainOptions {
  readonly config: FiltersConfig
  /** The configuration file, for messages, and for paths that are relative to it. */
  readonly file: string
  /** Called with what was counted, once per chunk in which there was something. */
  onTally(tally: Tally, stream: StreamMetadata): void
  /** With it, filters that turn out to be slow work in a thread of their own. */
  readonly offload?: {
    /** @param mean what a chunk takes, ms of the processor's time */
    onSlow(mean: number): void
    /** The thread ended; the work is done here again. */
    onFailed(error: Error): void
  }
  /** With them, each log has a filter that can be looked into. */
  readonly taps?: TapSource
  /** ms, never going back. */
  readonly now?: () => number
  /** Time of this thread on the processor, ms. */
  readonly cpu?: () => number
}

/** All configured filters; makes the filter of each log from them and from the log's policy. */
export class FilterChain {
  readonly #options: FilterChainOptions
  readonly #shared: Shared
  readonly #ofAllLogs: ChainFilterOptions
  readonly #meter: CostMeter
  #thread: FilterThread | undefined
  /** Made when somebody looks for the first time. */
  #masks: Mask | undefined
  #told = false

  private constructor(options: FilterChainOptions, prepared: Prepared) {
    this.#options = options
    const limiter = new RateLimiter(options.now ?? (() => performance.now()))
    this.#shared = { prepared, limiter, tally: emptyTally() }
    this.#meter = new CostMeter(options.cpu)
    this.#ofAllLogs = {
      bench: new Workbench(),
      tally: this.#shared.tally,
      onTally: (tally, stream) => options.onTally(tally, stream),
      tap: (stream) => options.taps?.find(stream),
      mask: (trace) => this.#mask(trace),
    }
  }

  /** Throws {@link ConfigError} with all that is wrong. */
  static async create(options: FilterChainOptions): Promise<FilterChain> {
    return new FilterChain(options, await prepare(options.config, options.file))
  }

  /** Names of the parsers that annotations may ask for. */
  get parsers(): string[] {
    return [...this.#shared.prepared.parsers.keys()]
  }

  /** Undefined when nothing is done with the log's records. */
  forStream(stream: StreamMetadata, policy: LogPolicy): StreamFilter | undefined {
    const filter = new ChainFilter(stream, assemble(stream, policy, this.#shared), this.#ofAllLogs)
    if (filter.stages.length === 0)
      return filter.metadata === stream.metadata && this.#options.taps === undefined ? undefined : filter
    if (this.#options.offload === undefined) return filter
    const onTally = (tally: Tally) => this.#options.onTally(tally, stream)
    return new OffloadingFilter(filter, stream, policy, {
      meter: this.#meter,
      thread: () => this.#slowThread(),
      onTally,
    })
  }

  #mask(trace: RecordTrace): RecordTrace {
    const { filters, compileRegex } = this.#shared.prepared
    this.#masks ??= new Mask(
      filters.flatMap(({ redact }) => (redact === undefined ? [] : [redact])),
      compileRegex,
    )
    return this.#masks.trace(trace)
  }

  /** Once slow, all work goes to the thread: it has rates of its own, which begin full. */
  #slowThread(): FilterThread | undefined {
    if (this.#thread === undefined) {
      if (!this.#meter.slow) return undefined
      const { config, file, offload } = this.#options
      this.#thread = new FilterThread({ config: { filters: config.filters, parsers: config.parsers }, file })
      offload!.onSlow(this.#meter.mean)
    }
    if (this.#thread.failed === undefined) return this.#thread
    if (!this.#told) this.#options.offload!.onFailed(this.#thread.failed)
    this.#told = true
    return undefined
  }
}
