/** Reading position in a query's tokens: what the parts of the parser share. */
import { conversions, rangeOperators, vectorOperators } from './ast.ts'
import { LogqlError, type Position } from './error.ts'
import { Lexer, Positions, type Token, type TokenType, withoutLine } from './lexer.ts'

/** Bounds the height of the tree, so that nothing that walks it can exhaust the stack. Queries people write have a few dozen. */
const maxOperations = 1000

/** How errors name tokens that have no text of their own. Functions have the names of Loki's constants, keywords and `label_replace` their own. */
const names: Record<TokenType, string> = {
  ...Object.fromEntries([...rangeOperators, ...vectorOperators, 'vector'].map((name) => [name, name.toUpperCase()])),
  ...Object.fromEntries(conversions.map((name) => [`${name}_conv`, `${name.toUpperCase()}_CONV`])),
  identifier: 'IDENTIFIER',
  string: 'STRING',
  number: 'NUMBER',
  duration: 'DURATION',
  bytes: 'BYTES',
  range: 'RANGE',
  flag: 'FUNCTION_FLAG',
  // So Loki calls what it does not know.
  other: 'IDENTIFIER',
  end: '$end',
}

const maxNamed = 4

const withoutOwnLine: ReadonlySet<TokenType> = new Set([
  ...['range', 'duration', 'bytes', 'flag'],
  ...['|=', '|~', '|>', '!=', '!~', '!>', '=~', '==', '>=', '<='],
])

export class Tokens {
  readonly #lexer: Lexer
  /** As far as they were asked for. */
  readonly #tokens: Token[] = []
  readonly #positions: Positions
  #next = 0
  #operations = 0

  constructor(text: string) {
    this.#lexer = new Lexer(text)
    this.#positions = new Positions(text)
  }

  /** The next token, not consumed. */
  get current(): Token {
    return this.#token(this.#next)
  }

  /** Type of the token behind the next one. */
  get after(): TokenType {
    return this.#token(this.#next + 1).type
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

  accept(...types: TokenType[]): Token | undefined {
    return this.is(...types) ? this.take() : undefined
  }

  expect(...types: TokenType[]): Token {
    return this.accept(...types) ?? this.unexpected(...types)
  }

  /** A bracket behind an expression that could go on: Loki names nothing that it expected. */
  close(): void {
    if (!this.accept(')')) this.unexpected()
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

  #token(index: number): Token {
    while (this.#tokens.length <= index) this.#tokens.push(this.#lexer.next())
    return this.#tokens[index]!
  }

  /** Called once for each operator and each opening bracket. */
  countOperation(): void {
    if (++this.#operations > maxOperations)
      throw new LogqlError(`query has more than ${maxOperations} operators and brackets`, this.position)
  }
}
