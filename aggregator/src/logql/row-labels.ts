/**
 * The labels of an entry as SQL expressions, for what the store decides. What is decided here sees them in pipeline/working-entry.ts, and
 * both must agree; api/queries.test.ts compares them with a third evaluation.
 *
 * A name belongs to the stream label of that name, then to structured metadata; metadata that a stream label hides is seen as
 * `<name>_extracted`.
 */
import type { LabelChoice, LabelFilter } from './ast.ts'
import { levelLabel, matcherCondition, type Parameters } from './sql.ts'
import { coverage, type StreamSet, streamLabel } from './streams.ts'

const hiddenSuffix = '_extracted'

/** Labels that only failing stages set, none of which is evaluated here: always absent. */
export const errorLabels: ReadonlySet<string> = new Set(['__error__', '__error_details__'])

/** Whether the store can decide it on labels it has: a failed conversion keeps the entry and sets an error, which only text has none of. */
export function isStoredExactly(filter: LabelFilter): boolean {
  return 'left' in filter ? isStoredExactly(filter.left) && isStoredExactly(filter.right) : filter.kind === 'string'
}

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
