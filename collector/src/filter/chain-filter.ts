import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import type { ByteRange } from '@tributary/protocol/ranges.ts'
import { RecordScanner } from '@tributary/protocol/records.ts'
import type { Assembly } from './assemble.ts'
import { FilteredWriter } from './filtered-writer.ts'
import { LeftOutBytes } from './left-out.ts'
import { RecordView } from './record-view.ts'
import type { Stage } from './stage.ts'
import type { FilteredRecords, StreamFilter } from './stream-filter.ts'
import { isEmpty, resetTally, type Tally } from './tally.ts'
import { type RecordTrace, type Tap, traceRecord } from './trace.ts'

/** What the filters of all logs work with, one chunk after another. */
export class Workbench {
  readonly writer = new FilteredWriter()
  readonly leftOut = new LeftOutBytes()
  readonly record = new RecordView()
}

/** What the filters of all logs share: there may be thousands of them. */
export interface ChainFilterOptions {
  readonly bench: Workbench
  /** What the stages count in. */
  readonly tally: Tally
  onTally(tally: Tally, stream: StreamMetadata): void
  /** Who looks at a log's records. */
  tap(stream: StreamMetadata): Tap | undefined
  /** Takes out of what is shown the secrets that the filters redact. */
  mask(trace: RecordTrace): RecordTrace
}

/** The stages of one log, in order. */
export class ChainFilter implements StreamFilter {
  readonly metadata: Readonly<Record<string, string>>
  readonly stages: readonly Stage[]
  readonly #stream: StreamMetadata
  readonly #options: ChainFilterOptions

  /** @param assembly the stages, and structured metadata behind the last of them */
  constructor(stream: StreamMetadata, { metadata, stages }: Assembly, options: ChainFilterOptions) {
    this.#stream = stream
    this.metadata = metadata
    this.stages = stages
    this.#options = options
  }

  /** Somebody looks at the records. */
  get tapped(): boolean {
    return this.#options.tap(this.#stream) !== undefined
  }

  apply(records: Buffer, count: number, range: ByteRange): FilteredRecords {
    const tap = this.#options.tap(this.#stream)
    if (this.stages.length === 0 && tap === undefined) return { records, count, leftOut: undefined }
    const show = tap === undefined ? undefined : this.#showTo(tap)
    tap?.begin()
    const { bench, tally, onTally } = this.#options
    const { writer, leftOut, record } = bench
    for (const stage of this.stages) stage.begin?.(records)
    writer.begin(records)
    leftOut.begin()
    const scanner = new RecordScanner(records)
    while (scanner.next()) {
      record.take(records, scanner)
      const reason = tap?.wants() ? traceRecord(this.stages, record, show!) : reasonOf(this.stages, record)
      leftOut.add(record.offset, reason)
      if (reason !== undefined) continue
      if (record.changed) writer.write(record)
      else writer.keep(scanner)
    }
    if (!isEmpty(tally)) {
      onTally(tally, this.#stream)
      resetTally(tally)
    }
    return { records: writer.finish(), count: writer.count, leftOut: leftOut.of(range) }
  }

  #showTo(tap: Tap): (trace: RecordTrace) => void {
    const stream = { labels: this.#stream.labels, metadata: this.metadata }
    const { mask } = this.#options
    return (trace) => tap.show(trace, stream, mask)
  }
}

/** Why the stages leave a record out; undefined when they keep it, as it is or changed. */
function reasonOf(stages: readonly Stage[], record: RecordView) {
  for (let i = 0; i < stages.length; i++) {
    const reason = stages[i]!.apply(record)
    if (reason !== undefined) return reason
  }
  return undefined
}
