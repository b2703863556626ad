/** What each stage does to a record, for people who look: `tributary tap` and `tributary test`. */
import type { FilterReason, StreamMetadata } from '@tributary/protocol/chunk.ts'
import { stderr } from '@tributary/protocol/records.ts'
import type { RecordView } from './record-view.ts'
import type { Stage } from './stage.ts'

/** A record at one place in the chain. Bytes that are not UTF-8 are U+FFFD. */
export interface Shown {
  readonly line: string
  readonly attributes: Readonly<Record<string, string>>
}

export interface StageTrace {
  readonly stage: string
  readonly outcome: 'unchanged' | 'changed' | 'dropped'
  /** Why it was dropped. */
  readonly reason?: FilterReason
  /** What a change made of it. */
  readonly after?: Shown
}

export interface RecordTrace {
  readonly stream: 'stdout' | 'stderr'
  /** ms since 1970. */
  readonly time: number
  /** Position in the log file, bytes. */
  readonly offset: number
  /** As it was read, stack traces joined. */
  readonly before: Shown
  /** Up to the one that dropped it. */
  readonly stages: readonly StageTrace[]
  /** What is sent; undefined when it was dropped. */
  readonly after: Shown | undefined
}

/** Someone who looks at the records of a log. */
export interface Tap {
  /** Called before the records of each chunk. */
  begin(): void
  /** Whether the next record is to be shown; what is not is counted. */
  wants(): boolean
  /**
   * A record that was wanted.
   *
   * @param stream its `metadata` is what all records of the log share behind the last stage
   * @param mask takes out the secrets that the filters redact
   */
  show(trace: RecordTrace, stream: StreamMetadata, mask: (trace: RecordTrace) => RecordTrace): void
}

export interface TapSource {
  /** Who looks at a log, undefined for nobody. Asked once per chunk. */
  find(stream: StreamMetadata): Tap | undefined
}

/** Does what the stages do, and tells it. Why the record is left out; undefined when it is kept. */
export function traceRecord(
  stages: readonly Stage[],
  record: RecordView,
  show: (trace: RecordTrace) => void,
): FilterReason | undefined {
  const before = shown(record)
  const traces: StageTrace[] = []
  let last = before
  let reason: FilterReason | undefined
  for (const stage of stages) {
    reason = stage.apply(record)
    if (reason !== undefined) {
      traces.push({ stage: stage.name, outcome: 'dropped', reason })
      break
    }
    const after = shown(record)
    const same = after.line === last.line && JSON.stringify(after.attributes) === JSON.stringify(last.attributes)
    traces.push(same ? { stage: stage.name, outcome: 'unchanged' } : { stage: stage.name, outcome: 'changed', after })
    last = after
  }
  show({
    stream: record.stream === stderr ? 'stderr' : 'stdout',
    time: record.seconds * 1000 + Math.floor(record.nanoseconds / 1e6),
    offset: record.offset,
    before,
    stages: traces,
    after: reason === undefined ? last : undefined,
  })
  return reason
}

function shown(record: RecordView): Shown {
  return {
    line: record.bytes.toString('utf8', record.lineStart, record.lineEnd),
    attributes: Object.fromEntries(record.attributes),
  }
}
