import type { FilterReason } from '@tributary/protocol/chunk.ts'
import type { RecordView } from './record-view.ts'

/** One step of what is done with the records of one log. */
export interface Stage {
  /** For people: where the configuration or the annotation that wants it is, and what it does. */
  readonly name: string
  /** Called before the records of each chunk. */
  begin?(chunk: Buffer): void
  /** Looks at a record, or changes it. Why it is left out; undefined when it is kept. */
  apply(record: RecordView): FilterReason | undefined
}
