import type { ByteRange } from '@tributary/protocol/ranges.ts'
import { RecordScanner } from '@tributary/protocol/records.ts'
import { FilteredWriter } from './filtered-writer.ts'
import { LeftOutBytes } from './left-out.ts'
import { RecordView } from './record-view.ts'
import type { Stage } from './stage.ts'
import type { FilteredRecords, StreamFilter } from './stream-filter.ts'
import { isEmpty, resetTally, type Tally } from './tally.ts'

/** What the filters of all logs work with, one chunk after another. */
export class Workbench {
  readonly writer = new FilteredWriter()
  readonly leftOut = new LeftOutBytes()
  readonly record = new RecordView()
}

export interface ChainFilterOptions {
  readonly bench: Workbench
  /** What the stages count in. */
  readonly tally: Tally
  onTally(tally: Tally): void
}

/** The stages of one log, in order. */
export class ChainFilter implements StreamFilter {
  readonly metadata: Readonly<Record<string, string>>
  readonly stages: readonly Stage[]
  readonly #options: ChainFilterOptions

  constructor(metadata: Readonly<Record<string, string>>, stages: readonly Stage[], options: ChainFilterOptions) {
    this.metadata = metadata
    this.stages = stages
    this.#options = options
  }

  apply(records: Buffer, count: number, range: ByteRange): FilteredRecords {
    if (this.stages.length === 0) return { records, count, leftOut: undefined }
    const { writer, leftOut, record } = this.#options.bench
    const { tally, onTally } = this.#options
    for (const stage of this.stages) stage.begin?.(records)
    writer.begin(records)
    leftOut.begin()
    const scanner = new RecordScanner(records)
    while (scanner.next()) {
      record.take(records, scanner)
      const reason = reasonOf(this.stages, record)
      leftOut.add(record.offset, reason)
      if (reason !== undefined) continue
      if (record.changed) writer.write(record)
      else writer.keep(scanner)
    }
    if (!isEmpty(tally)) {
      onTally(tally)
      resetTally(tally)
    }
    return { records: writer.finish(), count: writer.count, leftOut: leftOut.of(range) }
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
