/**
 * What the store can leave out ahead of stages that are done here: lines which a later filter cannot let pass, whatever the stages between
 * find in them. Each condition holds for more lines than the filter does, never for fewer, and the filter is asked again here.
 */
import type { LabelFilter, Stage } from './ast.ts'
import { containsCondition } from './needles.ts'
import { jsonNumberRegex, lastWord, logfmtNumberRegex } from './number-needles.ts'
import { textTest } from './pipeline/label-filter.ts'
import { parsePattern } from './pipeline/pattern.ts'
import { extractedSuffix } from './pipeline/working-entry.ts'
import { errorLabels, type LabelExpressions } from './row-labels.ts'
import { changesLine, isParser, type Parser, type Split } from './split.ts'
import { matcherCondition, type Parameters } from './sql.ts'

/** A condition that lines meet which contain a text. */
type Contains = (text: string) => string

/** A condition that every line meets. */
const always = '1'

/**
 * @param labels behind the stages that the store does
 * @param longestWord no line that is asked has a longer word, bytes
 */
export function prefilterConditions(
  parameters: Parameters,
  { rest }: Split,
  labels: LabelExpressions,
  longestWord: number,
): string[] {
  const contains = (text: string) => containsCondition(parameters, text, longestWord)
  const conditions: string[] = []
  const parsers: Parser[] = []
  const changed = new Set<string>()
  for (const stage of rest) {
    if (stage.kind === 'line') conditions.push(patternCondition(parameters, stage, contains))
    else if (stage.kind === 'label')
      conditions.push(new Filter(parameters, labels, parsers, changed, contains).condition(stage.filter))
    else if (isParser(stage)) parsers.push(stage)
    else if (stage.kind === 'label_format' || stage.kind === 'keep') break
    // The pushed ones are in the expressions; of the others what they leave is not known to the store.
    else if (stage.kind === 'drop') for (const { name } of stage.choices) changed.add(name)
    // What parsers behind it find is not in the line as it is stored.
    if (changesLine(stage)) break
  }
  return conditions.filter((condition) => condition !== always)
}

/** `|>`: the texts of the pattern stand in the line, in their order. */
function patternCondition(parameters: Parameters, stage: Extract<Stage, { kind: 'line' }>, contains: Contains): string {
  if (stage.op !== '|>' || stage.alternatives.some(({ value }) => value === '')) return always
  const found = stage.alternatives.map(({ value }) => {
    const parts = parsePattern(value)
    const like = parts.map((part) => ('text' in part ? part.text.replace(/[\\%_]/g, '\\$&') : '%')).join('')
    const texts = parts.filter((part) => 'text' in part).map((part) => contains(part.text))
    return `(${[...texts, `line LIKE ${parameters.string(like)}`].join(' AND ')})`
  })
  return `(${found.join(' OR ')})`
}

class Filter {
  readonly #parameters: Parameters
  readonly #labels: LabelExpressions
  readonly #parsers: readonly Parser[]
  readonly #changed: ReadonlySet<string>
  readonly #containsByIndex: Contains

  constructor(
    parameters: Parameters,
    labels: LabelExpressions,
    parsers: readonly Parser[],
    changed: ReadonlySet<string>,
    containsByIndex: Contains,
  ) {
    this.#parameters = parameters
    this.#labels = labels
    this.#parsers = parsers
    this.#changed = changed
    this.#containsByIndex = containsByIndex
  }

  condition(filter: LabelFilter): string {
    if ('left' in filter) {
      const [left, right] = [this.condition(filter.left), this.condition(filter.right)]
      if (filter.kind === 'and') return [left, right].filter((side) => side !== always).join(' AND ') || always
      return left === always || right === always ? always : `((${left}) OR (${right}))`
    }
    const name = filter.kind === 'string' ? filter.matcher.name : filter.name
    if (errorLabels.has(name) || this.#changed.has(name)) return always
    // A parser gives such a name to what the store's labels hide, and hides in turn what the store has under it.
    if (name.endsWith(extractedSuffix) && this.#parsers.length > 0) return always
    // An entry with an error passes it.
    if (filter.kind === 'ip') return always
    const stored = this.#labels.of(name)
    if (filter.kind !== 'string') return this.#either(`${stored} != ''`, this.#keyCondition(name, filter))
    const accepts = matcherCondition(this.#parameters, stored, filter.matcher, false)
    // Absent, it is as if it were empty.
    if (textTest(filter.matcher, false)('')) return this.#either(accepts, always, stored)
    const { op, value } = filter.matcher
    const parsed = this.#keyCondition(name)
    const literal = op === '=' && parsed !== '0' ? this.#valueCondition(value) : always
    const both = [parsed, literal].filter((side) => side !== always).join(' AND ') || always
    return this.#either(accepts, both, stored)
  }

  /** Either the store knows the label and decides, or a parser has to find it. */
  #either(known: string, unknown: string, stored?: string): string {
    if (unknown === '0') return known
    if (unknown === always) return stored === undefined ? always : `(${known} OR ${stored} = '')`
    return `(${known} OR (${unknown}))`
  }

  /** Lines in which a parser can find a label of that name; with `filter`, one that it lets pass. */
  #keyCondition(name: string, filter?: LabelFilter): string {
    if (this.#parsers.length === 0) return '0'
    const found = this.#parsers.map((parser) => this.#keyOf(parser, name, filter))
    return found.includes(always) ? always : found.map((condition) => `(${condition})`).join(' OR ')
  }

  /** Of a key all characters but letters and digits can have been others, and JSON can spell any of them by its number. */
  #keyOf(parser: Parser, name: string, filter?: LabelFilter): string {
    if ((parser.kind !== 'json' && parser.kind !== 'logfmt') || parser.extractions.length > 0) return always
    const words = name.split('_')
    const longest = words.reduce((a, b) => (b.length > a.length ? b : a))
    if (longest === '') return always
    const number = filter?.kind === 'number' ? this.#numberCondition(parser, filter) : undefined
    // The expression has a word of its own, by which the store looks for it.
    const key = number !== undefined && longest === lastWord(name) ? [] : [this.#containsByIndex(longest)]
    const found = [...key, ...(number === undefined ? [] : [number])].join(' AND ')
    return parser.kind === 'json' ? `(${found}) OR ${this.#contains('\\u')}` : found
  }

  /** Lines in which the value can be a number that the filter lets pass, or no number. Bytes that are not UTF-8 match nothing. */
  #numberCondition(parser: Parser, { name, op, value }: Extract<LabelFilter, { kind: 'number' }>): string | undefined {
    const word = lastWord(name)
    if (!/^[A-Za-z0-9]+$/.test(word)) return undefined
    const regex =
      parser.kind === 'logfmt' ? logfmtNumberRegex(word, op, value, parser.keepEmpty) : jsonNumberRegex(word, op, value)
    if (regex === undefined) return undefined
    return `(match(line, ${this.#parameters.string(regex)}) OR NOT isValidUTF8(line))`
  }

  /** Lines in which a parser can find the value: it stands there as it is, unless it is escaped. */
  #valueCondition(value: string): string {
    const pieces = value.split(' ')
    const longest = pieces.reduce((a, b) => (b.length > a.length ? b : a))
    if (longest === '') return always
    return `(${this.#containsByIndex(longest)} OR ${this.#contains('\\')})`
  }

  #contains(text: string): string {
    return `position(line, ${this.#parameters.string(text)}) > 0`
  }
}
