/** Cuts the text of a query into tokens. Words are keywords in any case; a function's name is a plain word unless it is called. */
import { conversions, rangeOperators, vectorOperators } from './ast.ts'
import { LogqlError, type Position } from './error.ts'
import { parseBytes, parseGoDuration, parsePrometheusDuration } from './quantity.ts'
import { unquote } from './quote.ts'

/**
 * What kind of token: `identifier`, `string`, `number`, `duration`, `bytes`, `range` (`[5m]`), `flag` (`--strict`), `end`, `other` (a
 * character that no query has), or the keyword, function name or punctuation itself, in lower case; of a conversion, its name and `_conv`.
 */
export type TokenType = string

export interface Token {
  readonly type: TokenType
  /** As written. */
  readonly text: string
  /** Of strings, unquoted. */
  readonly string: string
  /** Of numbers and sizes (bytes). */
  readonly number: number
  /** Of durations and ranges, nanoseconds. */
  readonly duration: bigint
  /** Index of the first character in the query's text. */
  readonly start: number
}

const functions: ReadonlySet<string> = new Set([
  ...rangeOperators,
  ...vectorOperators,
  ...conversions,
  'vector',
  'label_replace',
  'ip',
])

/** Sizes and durations have the types that two of the conversions would have by their names. */
const typeOf = (name: string): TokenType => ((conversions as readonly string[]).includes(name) ? `${name}_conv` : name)

const keywords: ReadonlySet<string> = new Set([
  ...['by', 'without', 'bool', 'offset', 'on', 'ignoring', 'group_left', 'group_right', 'or', 'and', 'unless'],
  ...['json', 'regexp', 'logfmt', 'unpack', 'pattern', 'label_format', 'line_format', 'decolorize', 'drop', 'keep'],
  'unwrap',
])

const punctuation = [
  ...['|=', '|~', '|>', '!=', '!~', '!>', '=~', '==', '>=', '<='],
  ...['{', '}', '(', ')', ',', '.', '|', '=', '>', '<', '+', '-', '*', '/', '%', '^'],
]

/** Longer ones are no duration or size: big numbers are not worth their time. */
const maxQuantityLength = 64

const noNul = 'invalid character NUL'

const word = /[\p{L}_][\p{L}\p{Nd}_]*/uy
const number = /(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y
const blank = /(?:[ \t\r\n]|\/\/[^\n]*|#[^\n]*)+/y
const call = /\s*(?:\(|(?:by|without)\s*\()/iy
const durationTail = /[\d.nuµmshdwy]+/y
const bytesTail = /[\d.BikKMGTP]+/y
const flag = /--[A-Za-z-]+/y

/** Turns indexes in a text into lines and columns; columns count characters, so a surrogate pair is one. */
export class Positions {
  readonly #lines: number[] = [0]
  readonly #pairs: number[] = []

  constructor(text: string) {
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) this.#lines.push(at + 1)
    for (const match of text.matchAll(/[\ud800-\udbff][\udc00-\udfff]/g)) this.#pairs.push(match.index)
  }

  at(index: number): Position {
    const line = countBelow(this.#lines, index + 1)
    const start = this.#lines[line - 1]!
    const pairs = countBelow(this.#pairs, index) - countBelow(this.#pairs, start)
    return { line, column: index - start - pairs + 1 }
  }
}

/** How many of the ascending numbers are less than the limit. */
function countBelow(numbers: readonly number[], limit: number): number {
  let low = 0
  let high = numbers.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (numbers[middle]! < limit) low = middle + 1
    else high = middle
  }
  return low
}

/** Whether each escape of a literal is whole and one of Go's; what it stands for can still be none. */
function hasEscapes(literal: string): boolean {
  const rest = literal.replace(/\\(?:[abfnrtv\\"]|[0-7]{3}|x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8})/g, '')
  return !rest.includes('\\')
}

/** Gives one token after the other, so that what is wrong further on does not hide what is wrong before. */
export class Lexer {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  /** The next token; at the end of the text, `end`, as often as it is asked. Throws LogqlError. */
  next(): Token {
    this.#skipBlank()
    if (this.#text[this.#at] === '\0') throw this.#error(noNul)
    if (this.#at >= this.#text.length) return this.#token('end', '')
    const character = this.#text[this.#at]!
    if (character === '"' || character === '`') return this.#string(character)
    if (character === '[') return this.#range()
    if (/[0-9.]/.test(character)) {
      const token = this.#number()
      if (token) return token
    }
    if (character === '-') {
      const token = this.#minus()
      if (token) return token
    }
    const name = this.#peek(word)
    if (name !== undefined) return this.#word(name)
    const mark = punctuation.find((candidate) => this.#text.startsWith(candidate, this.#at))
    if (mark !== undefined) return this.#token(mark, mark)
    return this.#token('other', String.fromCodePoint(this.#text.codePointAt(this.#at)!))
  }

  #word(name: string): Token {
    const lower = name.toLowerCase()
    if (functions.has(lower))
      return this.#token(this.#isCall(this.#at + name.length) ? typeOf(lower) : 'identifier', name)
    return this.#token(keywords.has(lower) ? lower : 'identifier', name)
  }

  #isCall(after: number): boolean {
    call.lastIndex = after
    return call.test(this.#text)
  }

  #number(): Token | undefined {
    const digits = this.#peek(number)
    if (digits === undefined) return undefined
    const measured = this.#measured(digits)
    if (measured) return measured
    const value = Number(digits.replaceAll('_', ''))
    if (!Number.isFinite(value)) throw this.#error(`unable to parse literal as a float: ${digits}: value out of range`)
    return this.#token('number', digits, { number: value })
  }

  /** A number with a unit. Tried in the order in which Loki does, as `5m` could be read both ways. */
  #measured(digits: string): Token | undefined {
    const duration = this.#tail(digits, durationTail)
    const nanoseconds = duration && (parsePrometheusDuration(duration) ?? parseGoDuration(duration))
    if (duration && typeof nanoseconds === 'bigint') return this.#token('duration', duration, { duration: nanoseconds })
    const size = digits === '-' ? undefined : this.#tail(digits, bytesTail)
    const bytes = size && parseBytes(size)
    return size && typeof bytes === 'number' ? this.#token('bytes', size, { number: bytes }) : undefined
  }

  #tail(digits: string, pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at + digits.length
    const match = pattern.exec(this.#text)
    return match && match[0].length < maxQuantityLength ? digits + match[0] : undefined
  }

  /** A parser flag or a negative duration; any other minus is an operator or the sign of a literal. */
  #minus(): Token | undefined {
    const name = this.#peek(flag)
    if (name === '--strict' || name === '--keep-empty') return this.#token('flag', name)
    // A duration of `-0` is zero with a sign: left to be a literal.
    return this.#text.startsWith('-0', this.#at) ? undefined : this.#measured('-')
  }

  #string(mark: string): Token {
    let end = this.#at + 1
    while (end < this.#text.length && this.#text[end] !== mark) {
      if (mark === '"' && this.#text[end] === '\n') break
      end += mark === '"' && this.#text[end] === '\\' ? 2 : 1
    }
    if (this.#text[end] !== mark) throw this.#error('literal not terminated')
    const literal = this.#text.slice(this.#at, end + 1)
    if (!literal.isWellFormed()) throw this.#error('invalid UTF-8 rune')
    if (literal.includes('\0')) throw this.#error(noNul)
    const value = unquote(literal)
    if (value === undefined) throw this.#error(hasEscapes(literal) ? 'invalid syntax' : 'invalid char escape')
    return this.#token('string', literal, { string: value })
  }

  #range(): Token {
    const end = this.#text.indexOf(']', this.#at)
    if (end === -1) throw this.#rangeError("missing closing ']' in duration")
    const inner = this.#text.slice(this.#at + 1, end)
    const duration = inner.length < maxQuantityLength ? parsePrometheusDuration(inner) : undefined
    if (duration === undefined) throw this.#rangeError(durationProblem(inner))
    return this.#token('range', this.#text.slice(this.#at, end + 1), { duration })
  }

  #peek(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    return pattern.exec(this.#text)?.[0]
  }

  #skipBlank(): void {
    for (;;) {
      this.#at += this.#peek(blank)?.length ?? 0
      if (!this.#text.startsWith('/*', this.#at)) return
      const end = this.#text.indexOf('*/', this.#at + 2)
      if (end === -1) throw this.#error('comment not terminated')
      this.#at = end + 2
    }
  }

  #token(type: TokenType, text: string, value: Partial<Pick<Token, 'string' | 'number' | 'duration'>> = {}): Token {
    const start = this.#at
    this.#at += text.length
    return { type, text, string: '', number: 0, duration: 0n, ...value, start }
  }

  #error(message: string): LogqlError {
    return new LogqlError(message, new Positions(this.#text).at(this.#at))
  }

  #rangeError(message: string): LogqlError {
    return new LogqlError(message, withoutLine(new Positions(this.#text).at(this.#at)))
  }
}

/** Loki's lexer forgets the line where it reads on by itself: in ranges, durations, sizes and flags. Its errors there say line 0. */
export const withoutLine = ({ column }: Position): Position => ({ line: 0, column })

const rangeUnits = ['y', 'w', 'd', 'h', 'm', 's', 'ms']

/** What is wrong with a duration, as Prometheus' parser says it. */
export function durationProblem(text: string): string {
  if (text === '') return 'empty duration string'
  const unknown = [...text.matchAll(/(?<=\d)[^\d]+/g)].find(([unit]) => !rangeUnits.includes(unit))
  return /^\d/.test(text) && unknown
    ? `unknown unit ${JSON.stringify(unknown[0])} in duration ${JSON.stringify(text)}`
    : `not a valid duration string: ${JSON.stringify(text)}`
}
