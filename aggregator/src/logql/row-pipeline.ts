/** Runs the stages that are done here on the store's rows. */
import type { Stage } from './ast.ts'
import { type EntryLabels, metadataOf } from './entry-labels.ts'
import type { Labels } from './labels.ts'
import { compileStages } from './pipeline/compile.ts'
import { lineText } from './pipeline/lines.ts'
import type { ParserHints } from './pipeline/parser-hints.ts'
import type { CompiledStage } from './pipeline/stage.ts'
import { errorLabel, WorkingEntry } from './pipeline/working-entry.ts'
import type { DecodedRow } from './row-decoder.ts'
import { isParser } from './split.ts'
import type { StreamSet } from './streams.ts'

/** Sets of metadata that are remembered: rows of one stream have few. */
const maxKnown = 5000

export class RowPipeline {
  readonly #streams: StreamSet
  readonly #stage: CompiledStage
  readonly #entry: WorkingEntry
  readonly #metadata = new Map<string, Map<ReadonlyMap<string, string>, Labels>>()
  readonly #unchanged = new Map<Labels, EntryLabels>()
  #known = 0
  #lastId = ''
  #lastLevel = ''
  #lastMeta: ReadonlyMap<string, string> | undefined
  #stream: Labels = new Map()
  #lastMetadata: Labels = new Map()

  constructor(streams: StreamSet, stages: readonly Stage[], hints?: ParserHints) {
    this.#streams = streams
    this.#stage = compileStages(stages)
    this.#entry = new WorkingEntry(hints, hints && earlyChecks(stages))
  }

  /** The entry that came out of it, valid until the next call; undefined when it was filtered. */
  run(row: DecodedRow): WorkingEntry | undefined {
    if (row.id !== this.#lastId || row.level !== this.#lastLevel || row.meta !== this.#lastMeta) this.#enter(row)
    const line = lineText(row.bytes, row.lineStart, row.lineEnd)
    this.#entry.begin(row.time, line, this.#stream, this.#lastMetadata)
    return this.#stage(this.#entry) ? this.#entry : undefined
  }

  /** The labels of the entry that {@link run} returned, which stay as they are. */
  labels(): EntryLabels {
    const entry = this.#entry
    const parsed = entry.parsedLabels()
    if (parsed.size > 0 || entry.removed.size > 0)
      return { stream: entry.streamLabels(), metadata: entry.metadataLabels(), parsed }
    const known = this.#unchanged.get(entry.metadata)
    if (known?.stream === entry.stream) return known
    const labels = { stream: entry.stream, metadata: entry.metadata, parsed }
    this.#unchanged.set(entry.metadata, labels)
    return labels
  }

  #enter(row: DecodedRow): void {
    this.#lastId = row.id
    this.#lastLevel = row.level
    this.#lastMeta = row.meta
    this.#stream = this.#streams.streams.get(row.id)?.labels ?? new Map()
    if (this.#known > maxKnown) {
      this.#metadata.clear()
      this.#unchanged.clear()
      this.#known = 0
    }
    const key = `${row.id} ${row.level}`
    let ofStream = this.#metadata.get(key)
    if (!ofStream) this.#metadata.set(key, (ofStream = new Map()))
    let metadata = ofStream.get(row.meta)
    if (!metadata) {
      metadata = metadataOf(this.#stream, row.level, row.meta)
      ofStream.set(row.meta, metadata)
      this.#known++
    }
    this.#lastMetadata = metadata
  }
}

/**
 * Filters of one label each that parsers can ask as soon as they have found it, by the label. Only those that nothing between could change the
 * outcome of, and that all parsers stand before: what is found behind a filter is not for it to see.
 */
function earlyChecks(stages: readonly Stage[]): ReadonlyMap<string, CompiledStage> {
  const checks = new Map<string, CompiledStage>()
  const lastParser = stages.findLastIndex(isParser)
  for (const [i, stage] of stages.entries()) {
    if (stage.kind === 'label_format' || stage.kind === 'drop' || stage.kind === 'keep') break
    if (i < lastParser || stage.kind !== 'label' || 'left' in stage.filter || stage.filter.kind === 'ip') continue
    const name = stage.filter.kind === 'string' ? stage.filter.matcher.name : stage.filter.name
    if (name !== errorLabel && !checks.has(name)) checks.set(name, compileStages([stage]))
  }
  return checks
}
