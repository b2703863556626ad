/**
 * The labels of an entry as a pipeline sees and changes them, twice: as SQL expressions for what the store decides, and as a
 * function on a row for what is shown. Both must agree; logql/queries.test.ts compares them with a third evaluation.
 *
 * A name belongs to the stream label of that name, then to structured metadata; metadata that a stream label hides is seen as
 * `<name>_extracted`.
 */
import type { LabelChoice, LabelFilter } from './ast.ts'
import { type Labels, labelsFrom, noLabels } from './labels.ts'
import { compileMatcher } from './regex.ts'
import { levelLabel, matcherCondition, type Parameters } from './sql.ts'
import { coverage, type StreamSet, streamLabel } from './streams.ts'

const hiddenSuffix = '_extracted'

/** Labels that only failing stages set, none of which is evaluated here: always absent. */
export const errorLabels: ReadonlySet<string> = new Set(['__error__', '__error_details__'])

/** Expressions for labels at one place in a pipeline; `drop` changes what comes after it. */
export class LabelExpressions {
  readonly #parameters: Parameters
  readonly #streams: StreamSet
  readonly #dropped = new Map<string, string>()

  constructor(parameters: Parameters, streams: StreamSet) {
    this.#parameters = parameters
    this.#streams = streams
  }

  /** The label's value, '' when it is absent. */
  of(name: string): string {
    return this.#dropped.get(name) ?? this.#stored(name)
  }

  drop({ name, matcher }: LabelChoice): void {
    const value = this.of(name)
    const dropped = matcher
      ? `if(${matcherCondition(this.#parameters, value, matcher, true)}, '', CAST(${value}, 'String'))`
      : "''"
    this.#dropped.set(name, dropped)
  }

  condition(filter: LabelFilter): string {
    switch (filter.kind) {
      case 'and':
        return `(${this.condition(filter.left)} AND ${this.condition(filter.right)})`
      case 'or':
        return `(${this.condition(filter.left)} OR ${this.condition(filter.right)})`
      case 'string':
        return matcherCondition(this.#parameters, this.of(filter.matcher.name), filter.matcher, false)
      default:
        throw new TypeError(`a ${filter.kind} filter reached the store: the planner refuses it`)
    }
  }

  #stored(name: string): string {
    if (errorLabels.has(name)) return "''"
    const share = coverage(this.#streams, name)
    if (share === 'none') return this.#metadata(name)
    const own = streamLabel(this.#parameters, this.#streams.scope, name)
    return share === 'all' ? own : firstNotEmpty(own, this.#metadata(name))
  }

  #metadata(name: string): string {
    const own = this.#metadataField(name)
    const base = name.endsWith(hiddenSuffix) ? name.slice(0, -hiddenSuffix.length) : ''
    if (base === '' || coverage(this.#streams, base) === 'none') return own
    const hidden = `if(${streamLabel(this.#parameters, this.#streams.scope, base)} = '', '', CAST(${this.#metadataField(base)}, 'String'))`
    return firstNotEmpty(own, hidden)
  }

  #metadataField(name: string): string {
    return name === levelLabel ? 'level' : `meta[${this.#parameters.string(name)}]`
  }
}

/** Cast, as both branches of a condition need one type and some columns are LowCardinality. */
const firstNotEmpty = (a: string, b: string): string => `if(${a} != '', CAST(${a}, 'String'), CAST(${b}, 'String'))`

/** An entry's labels by origin, after the pipeline's drops. */
export interface EntryLabels {
  readonly stream: Labels
  readonly metadata: Labels
  /** Found or made by stages, errors among them. */
  readonly parsed?: Labels
}

/** Compiles the drops of a pipeline to a function on one row. */
export function entryLabels(
  drops: readonly LabelChoice[],
): (stream: Labels, level: string, meta: Record<string, string>) => EntryLabels {
  const tests = drops.map(({ name, matcher }) => ({ name, matches: matcher && compileMatcher(matcher, true) }))
  const dropFrom = (labels: Labels): Labels => {
    const kept = new Map(labels)
    for (const { name, matches } of tests) {
      const value = kept.get(name)
      if (value !== undefined && (!matches || matches(value))) kept.delete(name)
    }
    return kept
  }
  return (stream, level, meta) => {
    const metadata = metadataOf(stream, level, meta)
    return tests.length === 0 ? { stream, metadata } : { stream: dropFrom(stream), metadata: dropFrom(metadata) }
  }
}

/** Structured metadata as queries see it: what a label of the stream hides is called `<name>_extracted`. */
export function metadataOf(stream: Labels, level: string, meta: Record<string, string>): Labels {
  const entries: [string, string][] = level === '' ? [] : [[levelLabel, level]]
  for (const name of Object.keys(meta)) if (name !== levelLabel) entries.push([name, meta[name]!])
  if (entries.length === 0) return labelsFrom([])
  const own = entries.filter(([name]) => !stream.has(name))
  const taken = new Set(own.map(([name]) => name))
  for (const [name, value] of entries) {
    const shown = `${name}${hiddenSuffix}`
    if (stream.has(name) && !stream.has(shown) && !taken.has(shown)) own.push([shown, value])
  }
  return labelsFrom(own)
}

/** Both origins in one set: what a metric's series is, and what clients see who do not ask for categories. */
export const mergedLabels = ({ stream, metadata, parsed = noLabels }: EntryLabels): Labels =>
  labelsFrom([...metadata, ...stream, ...parsed])
