/** The stages that the planner lets through, as functions on an entry. */
import type { LabelFilter, LineOperator, Stage } from '../logql/ast.ts'
import type { Labels } from '../logql/labels.ts'
import { dropsOf } from '../logql/pipeline.ts'
import { compileMatcher, compileRegex } from '../logql/regex.ts'
import { type EntryLabels, entryLabels, mergedLabels } from '../logql/row-labels.ts'

/** The labels of an entry that stays; undefined for one that is filtered. */
export type RowStages = (
  line: string,
  stream: Labels,
  level: string,
  meta: Readonly<Record<string, string>>,
) => EntryLabels | undefined

/** Throws LogqlError for regular expressions that are none. */
export function compileRowStages(stages: readonly Stage[]): RowStages {
  const filters = stages.map((stage, i) => compileFilter(stage, dropsOf(stages.slice(0, i))))
  const labelsOf = entryLabels(dropsOf(stages))
  return (line, stream, level, meta) =>
    filters.every((keeps) => keeps(line, stream, level, meta)) ? labelsOf(stream, level, { ...meta }) : undefined
}

type Filter = (...row: Parameters<RowStages>) => boolean

function compileFilter(stage: Stage, drops: ReturnType<typeof dropsOf>): Filter {
  if (stage.kind === 'line') {
    const keeps = lineFilter(
      stage.op,
      stage.alternatives.map(({ value }) => value),
    )
    return (line) => keeps(line)
  }
  if (stage.kind !== 'label') return () => true
  const keeps = labelFilter(stage.filter)
  const labelsOf = entryLabels(drops)
  return (_, stream, level, meta) => keeps(mergedLabels(labelsOf(stream, level, { ...meta })))
}

function lineFilter(op: LineOperator, values: readonly string[]): (line: string) => boolean {
  const tests =
    op === '|~' || op === '!~'
      ? values.map((value) => {
          const regex = compileRegex(value)
          return (line: string) => regex.test(line)
        })
      : values.map((value) => (line: string) => line.includes(value))
  const wanted = op === '|=' || op === '|~'
  return (line) => tests.some((test) => test(line)) === wanted
}

function labelFilter(filter: LabelFilter): (labels: Labels) => boolean {
  if (filter.kind === 'string') {
    const matches = compileMatcher(filter.matcher, false)
    return (labels) => matches(labels.get(filter.matcher.name) ?? '')
  }
  if (!('left' in filter)) throw new TypeError(`a ${filter.kind} filter reached live tail: the planner refuses it`)
  const [left, right] = [labelFilter(filter.left), labelFilter(filter.right)]
  return filter.kind === 'and' ? (labels) => left(labels) && right(labels) : (labels) => left(labels) || right(labels)
}
