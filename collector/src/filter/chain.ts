import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import type { LogPolicy } from '../metadata/log-policy.ts'
import { assemble, type Shared } from './assemble.ts'
import { ChainFilter, Workbench } from './chain-filter.ts'
import { type FiltersConfig, type Prepared, prepare } from './prepared.ts'
import { RateLimiter } from './rate-limiter.ts'
import type { StreamFilter } from './stream-filter.ts'
import { emptyTally, type Tally } from './tally.ts'

export interface FilterChainOptions {
  readonly config: FiltersConfig
  /** The configuration file, for messages, and for paths that are relative to it. */
  readonly file: string
  /** Called with what was counted, once per chunk in which there was something. */
  onTally(tally: Tally, stream: StreamMetadata): void
  /** ms, never going back. */
  readonly now?: () => number
}

/** All configured filters; makes the filter of each log from them and from the log's policy. */
export class FilterChain {
  readonly #options: FilterChainOptions
  readonly #shared: Shared
  readonly #bench = new Workbench()

  private constructor(options: FilterChainOptions, prepared: Prepared) {
    this.#options = options
    const limiter = new RateLimiter(options.now ?? (() => performance.now()))
    this.#shared = { prepared, limiter, tally: emptyTally() }
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
    const { metadata, stages } = assemble(stream, policy, this.#shared)
    if (stages.length === 0 && metadata === stream.metadata) return undefined
    const { tally } = this.#shared
    const { onTally } = this.#options
    return new ChainFilter(metadata, stages, {
      bench: this.#bench,
      tally,
      onTally: (counted) => onTally(counted, stream),
    })
  }

  /** Forgets the rates of a pod that is gone. */
  forget(podUid: string): void {
    this.#shared.limiter.forget(podUid)
  }
}
