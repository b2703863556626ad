/**
 * What a metric query needs of the labels that parsers find: the rest is not looked for, and errors beyond it are not found. Log queries
 * have no hints.
 */
import type { LabelFilter, Stage } from '../ast.ts'
import { templateFields } from '../template/fields.ts'
import { parseTemplate } from '../template/parser.ts'

export interface ParserHints {
  /** Labels to parse; absent: all of them. */
  readonly required?: ReadonlySet<string>
  /** Lengths that a key of one of them can have, when it is of ASCII letters, digits and marks. */
  readonly lengths?: ReadonlySet<number>
  /** Parsers have nothing to do at all. */
  readonly noLabels: boolean
  /** `__error__` is asked for, so that errors are results and don't fail the query. */
  readonly preserveError: boolean
}

export const noHints: ParserHints = { noLabels: false, preserveError: false }

export interface HintsFor {
  readonly stages: readonly Stage[]
  /** Filters behind `unwrap`. */
  readonly postFilters: readonly LabelFilter[]
  readonly unwrap?: string
  /** The grouping that reaches down to the samples. */
  readonly groups: readonly string[]
  readonly without: boolean
  /** The result has no labels. */
  readonly noLabels: boolean
}

export function parserHints({ stages, postFilters, unwrap, groups, without, noLabels }: HintsFor): ParserHints {
  const names = [
    ...stages.flatMap(namesOfStage),
    ...postFilters.flatMap(namesOfFilter),
    ...groups,
    ...(unwrap === undefined ? [] : [unwrap]),
  ]
  const wanted = new Set(names.flatMap((name) => (name.endsWith('_extracted') ? [name, name.slice(0, -10)] : [name])))
  const preserveError = wanted.has('__error__')
  if (noLabels && wanted.size === 0) return { noLabels: true, preserveError: false }
  if (!noLabels && (without || groups.length === 0)) return noHints
  return { required: wanted, lengths: lengthsOf(wanted), noLabels: false, preserveError }
}

/** A digit at the beginning gets `_` before it. */
function lengthsOf(names: ReadonlySet<string>): ReadonlySet<number> {
  return new Set([...names].flatMap((name) => [name.length, name.length - 1]))
}

export function namesOfStage(stage: Stage): string[] {
  switch (stage.kind) {
    case 'label':
      return namesOfFilter(stage.filter)
    case 'line_format':
      return templateFields(parseTemplate(stage.template))
    case 'label_format':
      return stage.assignments.flatMap((item) =>
        'from' in item ? [item.from] : templateFields(parseTemplate(item.template)),
      )
    default:
      return []
  }
}

export function namesOfFilter(filter: LabelFilter): string[] {
  if ('left' in filter) return [...namesOfFilter(filter.left), ...namesOfFilter(filter.right)]
  return [filter.kind === 'string' ? filter.matcher.name : filter.name]
}
