import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import type { ByteRange } from '@tributary/protocol/ranges.ts'
import type { LogPolicy } from '../metadata/log-policy.ts'
import type { ChainFilter } from './chain-filter.ts'
import type { FilteredRecords, StreamFilter } from './stream-filter.ts'
import type { Tally } from './tally.ts'
import type { FilterThread } from './thread.ts'
import { threadCpu } from './time-budget.ts'

/** Time of the processor that filtering a chunk may take, ms: for so long nothing is read, acknowledged or answered. */
const slowAfter = 20
/** Chunks that are looked at before anything is called slow. */
const enough = 8

/** Measures what the filters cost: the time of this thread on the processor, as a limited container stands still most of the time. */
export class CostMeter {
  #mean = 0
  #chunks = 0
  readonly #cpu: () => number

  /** @param cpu time of this thread on the processor, ms */
  constructor(cpu: () => number = threadCpu) {
    this.#cpu = cpu
  }

  measure<T>(work: () => T): T {
    const began = this.#cpu()
    const result = work()
    const cost = this.#cpu() - began
    this.#chunks++
    this.#mean += (cost - this.#mean) / Math.min(this.#chunks, enough)
    return result
  }

  /** What a chunk takes lately, ms. */
  get mean(): number {
    return this.#mean
  }

  get slow(): boolean {
    return this.#chunks >= enough && this.#mean > slowAfter
  }
}

export interface OffloadOptions {
  readonly meter: CostMeter
  /** Where the work goes when it is slow; undefined as long as it is not, or where it can't. */
  thread(): FilterThread | undefined
  onTally(tally: Tally): void
}

let lastLog = 0

/** The filter of a log that leaves its work to the thread once all filters together were measured to be slow. */
export class OffloadingFilter implements StreamFilter {
  readonly #chain: ChainFilter
  readonly #log: { readonly id: number; readonly stream: StreamMetadata; readonly policy: LogPolicy }
  readonly #options: OffloadOptions

  constructor(chain: ChainFilter, stream: StreamMetadata, policy: LogPolicy, options: OffloadOptions) {
    this.#chain = chain
    this.#log = { id: ++lastLog, stream, policy }
    this.#options = options
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.#chain.metadata
  }

  apply(records: Buffer, count: number, range: ByteRange): FilteredRecords | Promise<FilteredRecords> {
    const { meter, thread, onTally } = this.#options
    const running = this.#chain.tapped ? undefined : thread()
    if (running === undefined) return meter.measure(() => this.#chain.apply(records, count, range))
    const here = (kept: Buffer) => this.#chain.apply(kept, count, range)
    return running.run({ log: this.#log, records, count, range }, here).then(({ tally, ...filtered }) => {
      if (tally !== undefined) onTally(tally)
      return filtered
    })
  }
}
