import type { FilterReason } from '@tributary/protocol/chunk.ts'
import type { ByteRange } from '@tributary/protocol/ranges.ts'

/** What the filters left of a chunk. */
export interface FilteredRecords {
  /** Encoded records (protocol/src/records.ts); the input itself where nothing changed. Valid until the next chunk is filtered. */
  readonly records: Buffer
  readonly count: number
  /**
   * Bytes of the source whose records were left out, by reason. A record's bytes reach from its offset to the next offset in the
   * chunk, those of the last to the end of the range.
   */
  readonly leftOut: Readonly<Partial<Record<FilterReason, number>>> | undefined
}

/** All that the configuration and the pod's annotations want done with the records of one log. */
export interface StreamFilter {
  /** Structured metadata of its records, after `set`, `rename` and `remove`. */
  readonly metadata: Readonly<Record<string, string>>
  /**
   * Filters a chunk's records, which may be overwritten once this returned. A promise when the work was given to another thread
   * because it takes long.
   */
  apply(records: Buffer, count: number, range: ByteRange): FilteredRecords | Promise<FilteredRecords>
}
