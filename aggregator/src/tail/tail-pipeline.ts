/** A log query applied to rows as they come, without the store: the selector once for each stream, the stages for each row. */
import type { LogExpression } from '../logql/ast.ts'
import { metadataOf } from '../logql/entry-labels.ts'
import type { Labels } from '../logql/labels.ts'
import { type Entry, placeOf } from '../logql/logs.ts'
import { compileStages } from '../logql/pipeline/compile.ts'
import { lineText, shownText } from '../logql/pipeline/lines.ts'
import type { CompiledStage } from '../logql/pipeline/stage.ts'
import { WorkingEntry } from '../logql/pipeline/working-entry.ts'
import { compileMatcher, withCompileBudget } from '../logql/regex.ts'
import type { TenantScope } from '../logql/tenant-scope.ts'
import { allLabels, type RowStream } from '../store/row-stream.ts'
import type { LiveRow } from './live-feed.ts'

export class TailPipeline {
  readonly #scope: TenantScope
  readonly #matches: readonly ((labels: Labels) => boolean)[]
  readonly #stage: CompiledStage
  readonly #entry = new WorkingEntry()
  /** The labels of streams that are wanted; undefined for the others. */
  readonly #streams = new WeakMap<RowStream, { readonly labels: Labels | undefined }>()

  constructor({ matchers, stages }: LogExpression, scope: TenantScope) {
    this.#scope = scope
    const compiled: ((labels: Labels) => boolean)[] = []
    withCompileBudget(() => {
      for (const matcher of matchers) {
        const matches = compileMatcher(matcher, true)
        compiled.push((labels) => matches(labels.get(matcher.name) ?? ''))
      }
    })
    this.#matches = compiled
    this.#stage = compileStages(stages)
  }

  wants(stream: RowStream): boolean {
    return this.#labelsOf(stream) !== undefined
  }

  /** What the pipeline makes of a row of a stream that is wanted; undefined when it is filtered. */
  run(row: LiveRow): Entry | undefined {
    const labels = this.#labelsOf(row.stream)
    if (labels === undefined) return undefined
    const entry = this.#entry
    const metadata = metadataOf(labels, row.level, Object.entries(row.meta))
    entry.begin(BigInt(row.time), lineText(row.line, 0, row.line.length), labels, metadata)
    if (!this.#stage(entry)) return undefined
    return {
      time: String(row.time),
      line: shownText(entry.line),
      labels: { stream: entry.streamLabels(), metadata: entry.metadataLabels(), parsed: entry.parsedLabels() },
      place: placeOf(row.stream.source, row.offset),
    }
  }

  #labelsOf(stream: RowStream): Labels | undefined {
    let known = this.#streams.get(stream)
    if (known === undefined) {
      const own = this.#scope.tenants.includes(stream.tenant)
      const labels = own ? this.#scope.labelsOf(stream.tenant, allLabels(stream)) : undefined
      const wanted = labels !== undefined && this.#matches.every((matches) => matches(labels))
      known = { labels: wanted ? labels : undefined }
      this.#streams.set(stream, known)
    }
    return known.labels
  }
}
