/** Cuts a Go template into text and the tokens of its actions. */
import { unquote } from '../quote.ts'
import { TemplateError } from './error.ts'
import type { Place } from './nodes.ts'

export type TokenKind =
  | 'text'
  | 'open'
  | 'close'
  | 'field'
  | 'variable'
  | 'identifier'
  | 'string'
  | 'character'
  | 'number'
  | 'dot'
  | 'space'
  | '('
  | ')'
  | '|'
  | ':='
  | '='
  | ','
  | 'end'

export interface Token {
  readonly kind: TokenKind
  /** As written; of `text`, trimmed as its neighbours ask for. */
  readonly text: string
  readonly value: string
  readonly at: Place
}

const word = /[\p{L}_][\p{L}\p{Nd}_]*/uy
const number =
  /[+-]?(?:0[xX][\da-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?[\d_]+)?)/y

export function tokenizeTemplate(source: string): Token[] {
  return new Lexer(source).run()
}

class Lexer {
  readonly #source: string
  readonly #tokens: Token[] = []
  #at = 0

  constructor(source: string) {
    this.#source = source
  }

  run(): Token[] {
    let trimNext = false
    for (;;) {
      const open = this.#source.indexOf('{{', this.#at)
      const end = open === -1 ? this.#source.length : open
      const trimLast = open !== -1 && /^-[ \t\r\n]/.test(this.#source.slice(open + 2, open + 4))
      let text = this.#source.slice(this.#at, end)
      if (trimNext) text = text.replace(/^[ \t\r\n]+/, '')
      if (trimLast) text = text.replace(/[ \t\r\n]+$/, '')
      if (text !== '') this.#push('text', text)
      if (open === -1) break
      this.#at = open
      trimNext = this.#action(trimLast ? open + 3 : open + 2)
    }
    this.#at = this.#source.length
    this.#push('end', '')
    return this.#tokens
  }

  /** Reads an action from behind its opening; returns whether it trims the text after it. */
  #action(start: number): boolean {
    const comment = /^[ \t\r\n]*\/\*/.exec(this.#source.slice(start, start + 8))
    if (comment && (comment[0] === '/*' || this.#source[start - 1] === '-'))
      return this.#comment(start + comment[0].length)
    this.#push('open', '{{')
    this.#at = start
    for (;;) {
      const rest = this.#source.slice(this.#at, this.#at + 4)
      if (rest === '') throw this.#error('unclosed action')
      if (/^[ \t\r\n]-\}\}/.test(rest)) {
        this.#push('close', '}}')
        this.#at += 4
        return true
      }
      if (rest.startsWith('}}')) {
        this.#push('close', '}}')
        this.#at += 2
        return false
      }
      this.#token()
    }
  }

  #comment(start: number): boolean {
    const end = this.#source.indexOf('*/', start)
    if (end === -1) throw this.#error('unclosed comment')
    const close = /^(?:[ \t\r\n]+-)?\}\}/.exec(this.#source.slice(end + 2))
    if (!close) throw this.#error('comment ends before closing delimiter')
    this.#at = end + 2 + close[0].length
    return close[0] !== '}}'
  }

  #token(): unknown {
    const source = this.#source
    const c = source[this.#at]!
    if (/[ \t\r\n]/.test(c)) return this.#take('space', /[ \t\r\n]+(?!-\}\})|[ \t\r\n]/y)
    if (c === '"' || c === '`' || c === "'") return this.#quoted(c)
    if (source.startsWith(':=', this.#at)) return this.#fixed(':=')
    if (c === '(' || c === ')' || c === '|' || c === ',' || c === '=') return this.#fixed(c)
    if (c === '$') return this.#take('variable', /\$[\p{L}\p{Nd}_]*/uy)
    const next = source[this.#at + 1] ?? ''
    if (c === '.' && !/[0-9]/.test(next)) {
      return /[\p{L}_]/u.test(next) ? this.#take('field', /\.[\p{L}\p{Nd}_]+/uy) : this.#fixed('dot', '.')
    }
    if (/[0-9.+-]/.test(c) && this.#matches(number)) return this.#take('number', number)
    if (this.#matches(word)) return this.#take('identifier', word)
    throw this.#error(`unexpected ${JSON.stringify(String.fromCodePoint(source.codePointAt(this.#at)!))} in command`)
  }

  #quoted(mark: string): void {
    let end = this.#at + 1
    while (end < this.#source.length && this.#source[end] !== mark) {
      if (mark !== '`' && this.#source[end] === '\n') break
      end += mark !== '`' && this.#source[end] === '\\' ? 2 : 1
    }
    if (this.#source[end] !== mark) {
      const what = mark === '`' ? 'raw quoted string' : mark === '"' ? 'quoted string' : 'character constant'
      throw this.#error(`unterminated ${what}`)
    }
    const literal = this.#source.slice(this.#at, end + 1)
    const value = mark === "'" ? unquote(`"${literal.slice(1, -1).replace("\\'", "'")}"`) : unquote(literal)
    if (value === undefined) throw this.#error('invalid syntax')
    this.#push(mark === "'" ? 'character' : 'string', literal, value)
    this.#at = end + 1
  }

  #matches(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    return pattern.exec(this.#source)?.[0]
  }

  #take(kind: TokenKind, pattern: RegExp): void {
    const text = this.#matches(pattern)!
    this.#push(kind, text)
    this.#at += text.length
  }

  #fixed(kind: TokenKind, text: string = kind): void {
    this.#push(kind, text)
    this.#at += text.length
  }

  #push(kind: TokenKind, text: string, value = text): void {
    this.#tokens.push({ kind, text, value, at: this.#place() })
  }

  #place(): Place {
    const before = this.#source.slice(0, this.#at)
    const line = before.lastIndexOf('\n')
    return { line: before.split('\n').length, column: Buffer.byteLength(before.slice(line + 1)) }
  }

  #error(message: string): TemplateError {
    return new TemplateError(`${this.#place().line}: ${message}`)
  }
}
