/** Reading position in a query's tokens: what the parts of the parser share. */
import { conversions, rangeOperators, vectorOperators } from './ast.ts'
import { LogqlError, type Position } from './error.ts'
import { Positions, type Token, type TokenType, tokenize, withoutLine } from './lexer.ts'

/** Bounds the height of the tree, so that nothing that walks it can exhaust the stack. Queries people write have a few dozen. */
const maxOperations = 1000

/** How errors name tokens that have no text of their own. Functions have the names of Loki's constants, keywords their own. */
const names: Record<TokenType, string> = {
  ...Object.fromEntries(
    [...rangeOperators, ...vectorOperators, 'vector', 'label_replace'].map((name) => [name, name.toUpperCase()]),
  ),
  ...Object.fromEntries(conversions.map((name) => [name, `${name.toUpperCase()}_CONV`])),
  identifier: 'IDENTIFIER',
  string: 'STRING',
  number: 'NUMBER',
  duration: 'DURATION',
  bytes: 'BYTES',
  range: 'RANGE',
  flag: 'FUNCTION_FLAG',
  end: '$end',
}

const maxNamed = 4

const withoutOwnLine: ReadonlySet<TokenType> = new Set(['range', 'duration', 'bytes', 'flag'])

export class Tokens {
  readonly #tokens: readonly Token[]
  readonly #positions: Positions
  #next = 0
  #operations = 0

  constructor(text: string) {
    this.#tokens = tokenize(text)
    this.#positions = new Positions(text)
  }

  /** The next token, not consumed. */
  get current(): Token {
    return this.#tokens[this.#next]!
  }

  /** Type of the token behind the next one. */
  get after(): TokenType | undefined {
    return this.#tokens[this.#next + 1]?.type
  }

  get position(): Position {
    return this.#positions.at(this.current.start)
  }

  is(...types: TokenType[]): boolean {
    return types.includes(this.current.type)
  }

  /** Consumes the next token; the end is never passed. */
  take(): Token {
    const token = this.current
    if (token.type !== 'end') this.#next++
    return token
  }

  /** Gives the last token back. */
  back(): this {
    this.#next--
    return this
  }

  accept(...types: TokenType[]): Token | undefined {
    return this.is(...types) ? this.take() : undefined
  }

  expect(...types: TokenType[]): Token {
    return this.accept(...types) ?? this.unexpected(...types)
  }

  unexpected(...expected: TokenType[]): never {
    const wanted = expected.map((type) => names[type] ?? type)
    // Of many Loki names none.
    const list = wanted.length > 0 && wanted.length <= maxNamed ? `, expecting ${wanted.join(' or ')}` : ''
    throw new LogqlError(
      `syntax error: unexpected ${names[this.current.type] ?? this.current.type}${list}`,
      withoutOwnLine.has(this.current.type) ? withoutLine(this.position) : this.position,
    )
  }

  /** Called once for each operator and each opening bracket. */
  countOperation(): void {
    if (++this.#operations > maxOperations)
      throw new LogqlError(`query has more than ${maxOperations} operators and brackets`, this.position)
  }
}
