/**
 * The language of `where`: comparisons of labels, attributes and the line, joined with `and`, `or`, `not` and parentheses. Comparisons
 * mean what they mean in LogQL: `=~` must match a whole label or attribute, but may match anywhere in `line`. Pure.
 */

export type Comparison = '==' | '!=' | '=~' | '!~' | 'contains'

/** A condition as it was written, as a tree. */
export type Expression =
  | {
      readonly kind: 'compare'
      readonly name: string
      readonly op: Comparison
      readonly value: string
      readonly at: number
    }
  | { readonly kind: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'not'; readonly inner: Expression }

/** Where an expression is wrong, and what was expected there. */
export class ExpressionError extends Error {
  constructor(text: string, at: number, expected: string) {
    const found = at >= text.length ? 'the end' : `"${text.slice(at, at + 20)}"`
    super(`${expected}, but at character ${at + 1} there is ${found}`)
    this.name = 'ExpressionError'
  }
}

interface Token {
  readonly kind: 'name' | 'string' | 'operator' | 'end'
  readonly text: string
  /** Position of its first character. */
  readonly at: number
}

const operators = ['==', '!=', '=~', '!~', '(', ')'] as const
/** A condition nested deeper than people write must not exhaust the stack. */
const maxDepth = 100
const maxLength = 10_000

/** Throws {@link ExpressionError}. */
export function parseExpression(text: string): Expression {
  if (text.length > maxLength)
    throw new ExpressionError(text, maxLength, `an expression has ${maxLength} characters at most`)
  return new Parser(text).parse()
}

class Parser {
  readonly #text: string
  readonly #tokens: Token[]
  #next = 0
  #depth = 0

  constructor(text: string) {
    this.#text = text
    this.#tokens = tokensOf(text)
  }

  parse(): Expression {
    const expression = this.#or()
    if (this.#peek().kind !== 'end') this.#fail('"and", "or" or the end is expected')
    return expression
  }

  #or(): Expression {
    let left = this.#and()
    while (this.#take('name', 'or')) left = { kind: 'or', left, right: this.#and() }
    return left
  }

  #and(): Expression {
    let left = this.#not()
    while (this.#take('name', 'and')) left = { kind: 'and', left, right: this.#not() }
    return left
  }

  #not(): Expression {
    if (++this.#depth > maxDepth) this.#fail(`at most ${maxDepth} levels of parentheses and "not" are allowed`)
    const expression = this.#take('name', 'not')
      ? ({ kind: 'not', inner: this.#not() } as const)
      : this.#take('operator', '(')
        ? this.#closed(this.#or())
        : this.#comparison()
    this.#depth--
    return expression
  }

  #closed(inner: Expression): Expression {
    if (!this.#take('operator', ')')) this.#fail('")" is expected')
    return inner
  }

  #comparison(): Expression {
    const name = this.#peek()
    if (name.kind !== 'name' || keywords.has(name.text))
      this.#fail('the name of a label or attribute, "line", "stream", "not" or "(" is expected')
    this.#next++
    const op = this.#peek()
    if (!comparisons.has(op.text) || op.kind === 'string') this.#fail('one of == != =~ !~ contains is expected')
    this.#next++
    const value = this.#peek()
    if (value.kind !== 'string') this.#fail('a text in quotes is expected')
    this.#next++
    return { kind: 'compare', name: name.text, op: op.text as Comparison, value: value.text, at: value.at }
  }

  #peek(): Token {
    return this.#tokens[this.#next]!
  }

  #take(kind: Token['kind'], text: string): boolean {
    const token = this.#peek()
    if (token.kind !== kind || token.text !== text) return false
    this.#next++
    return true
  }

  #fail(expected: string): never {
    throw new ExpressionError(this.#text, this.#peek().at, expected)
  }
}

const keywords = new Set(['and', 'or', 'not', 'contains'])
const comparisons = new Set<string>(['==', '!=', '=~', '!~', 'contains'])

function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  const pattern =
    /\s*(?:([A-Za-z_][A-Za-z0-9_./-]*)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)|(==|!=|=~|!~|[()]))/sy
  for (let at = 0; ; ) {
    const start = at + /^\s*/.exec(text.slice(at))![0].length
    if (start === text.length) return [...tokens, { kind: 'end', text: '', at: start }]
    pattern.lastIndex = start
    const match = pattern.exec(text)
    if (match === null) {
      const quoted = /^["'`]/.test(text.slice(start))
      throw new ExpressionError(
        text,
        start,
        quoted ? 'a closing quote is missing' : `a name, a text in quotes or one of ${operators.join(' ')} is expected`,
      )
    }
    const [, name, string, operator] = match
    if (name !== undefined) tokens.push({ kind: 'name', text: name, at: start })
    else if (string !== undefined) tokens.push({ kind: 'string', text: unquote(string), at: start })
    else tokens.push({ kind: 'operator', text: operator!, at: start })
    at = pattern.lastIndex
  }
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\\': '\\', '"': '"', "'": "'" }

/** Backslashes that stand for nothing stay, so that `\d` needs no second one; between backticks all do. */
function unquote(quoted: string): string {
  const inner = quoted.slice(1, -1)
  if (quoted[0] === '`') return inner
  return inner.replace(/\\(.)/gs, (whole, escaped: string) => escapes[escaped] ?? whole)
}
