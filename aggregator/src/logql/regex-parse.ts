/**
 * Reads the part of RE2's syntax that JavaScript's engine can match with the same result. What is not of that part is undefined: named
 * classes, flags within, (?m), \Q…\E, \p{…} and the like.
 */

/** Which characters one place can match: a bit for each ASCII character, and one for all others together. */
export interface CharacterSet {
  readonly ascii: bigint
  readonly other: boolean
}

export type RegexNode =
  | { readonly kind: 'set'; readonly source: string; readonly set: CharacterSet }
  /** `^` `$` `\b` `\B` */
  | { readonly kind: 'assertion'; readonly source: string; readonly end: boolean }
  | { readonly kind: 'group'; readonly open: string; readonly alternatives: readonly (readonly RegexNode[])[] }
  | {
      readonly kind: 'repeat'
      readonly source: string
      readonly min: number
      readonly max: number
      readonly inner: RegexNode
    }

export interface ParsedRegex {
  readonly alternatives: readonly (readonly RegexNode[])[]
  readonly ignoreCase: boolean
  /** Of each group in order; '' when it has none. */
  readonly names: readonly string[]
}

const everything = (1n << 128n) - 1n
const bit = (code: number): bigint => 1n << BigInt(code)
const bitsOf = (text: string): bigint => [...text].reduce((bits, c) => bits | bit(c.charCodeAt(0)), 0n)
const digits = bitsOf('0123456789')
const words = digits | bitsOf('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_')
const blanks = bitsOf('\t\n\f\r ')

/** Escapes of one character each that both know, or that are a set. Sets of `\w` differ when case is ignored. */
const sets: Record<string, { source: string; ascii: bigint; other: boolean }> = {
  d: { source: '\\d', ascii: digits, other: false },
  D: { source: '\\D', ascii: everything & ~digits, other: true },
  w: { source: '\\w', ascii: words, other: false },
  W: { source: '\\W', ascii: everything & ~words, other: true },
  s: { source: '[\\t\\n\\f\\r ]', ascii: blanks, other: false },
  S: { source: '[^\\t\\n\\f\\r ]', ascii: everything & ~blanks, other: true },
}
const controls: Record<string, string> = { n: '\n', t: '\t', r: '\r', f: '\f', v: '\v', a: '\x07' }

class Unsupported extends Error {}

export function parseRegex(pattern: string, dotAll: boolean): ParsedRegex | undefined {
  try {
    return new Reader(pattern, dotAll).read()
  } catch (error) {
    if (error instanceof Unsupported) return undefined
    throw error
  }
}

const unsupported = (): never => {
  throw new Unsupported()
}

class Reader {
  readonly #text: string
  #at = 0
  #ignoreCase = false
  #dotAll: boolean
  readonly #names: string[] = []

  constructor(text: string, dotAll: boolean) {
    this.#text = text
    this.#dotAll = dotAll
  }

  read(): ParsedRegex {
    const flags = /^\(\?([is]+)\)/.exec(this.#text)
    if (flags) {
      this.#ignoreCase = flags[1]!.includes('i')
      this.#dotAll ||= flags[1]!.includes('s')
      this.#at = flags[0].length
    }
    const alternatives = this.#alternatives()
    if (this.#at < this.#text.length) unsupported()
    return { alternatives, ignoreCase: this.#ignoreCase, names: this.#names }
  }

  #alternatives(): RegexNode[][] {
    const alternatives: RegexNode[][] = [[]]
    while (this.#at < this.#text.length && this.#text[this.#at] !== ')') {
      if (this.#text[this.#at] === '|') {
        this.#at++
        alternatives.push([])
      } else alternatives.at(-1)!.push(this.#repeated(this.#atom()))
    }
    return alternatives
  }

  #repeated(inner: RegexNode): RegexNode {
    const match = /^(?:[*+?]|\{(\d+)(,(\d*))?\})\??/.exec(this.#text.slice(this.#at, this.#at + 16))
    if (!match) return inner
    if (inner.kind === 'assertion') unsupported()
    this.#at += match[0].length
    if (/[*+?]/.test(this.#text[this.#at] ?? '')) unsupported()
    const [min, max] = limits(match)
    return { kind: 'repeat', source: match[0], min, max, inner }
  }

  #atom(): RegexNode {
    const c = String.fromCodePoint(this.#text.codePointAt(this.#at)!)
    this.#at += c.length
    switch (c) {
      case '(':
        return this.#group()
      case '[':
        return this.#class()
      case '.':
        return this.#dotAll
          ? { kind: 'set', source: '[^]', set: { ascii: everything, other: true } }
          : { kind: 'set', source: '[^\\n]', set: { ascii: everything & ~bit(10), other: true } }
      case '^':
      case '$':
        return { kind: 'assertion', source: c, end: c === '$' }
      case '\\':
        return this.#escape()
      case '*':
      case '+':
      case '?':
        return unsupported()
      default:
        return this.#literal(c)
    }
  }

  #group(): RegexNode {
    const rest = this.#text.slice(this.#at)
    const named = /^\?P?<([A-Za-z_]\w*)>/.exec(rest)
    const open = named ? `(?<${named[1]}>` : rest.startsWith('?:') ? '(?:' : '('
    if (open === '(' && rest.startsWith('?')) unsupported()
    this.#at += named ? named[0].length : open.length - 1
    if (open !== '(?:') this.#names.push(named?.[1] ?? '')
    const alternatives = this.#alternatives()
    if (this.#text[this.#at] !== ')') unsupported()
    this.#at++
    return { kind: 'group', open, alternatives }
  }

  #escape(): RegexNode {
    const c = this.#text[this.#at] ?? unsupported()
    const set = sets[c]
    if (set) {
      if (this.#ignoreCase && (c === 'w' || c === 'W')) unsupported()
      this.#at++
      return { kind: 'set', source: set.source, set }
    }
    if (c === 'b' || c === 'B') {
      if (this.#ignoreCase) unsupported()
      this.#at++
      return { kind: 'assertion', source: `\\${c}`, end: false }
    }
    if (c === 'A' || c === 'z') {
      this.#at++
      return { kind: 'assertion', source: c === 'A' ? '^' : '$', end: c === 'z' }
    }
    return this.#literal(this.#escapedCharacter())
  }

  /** What a backslash makes of what follows, when it is one character. */
  #escapedCharacter(): string {
    const hex = /^x(?:([\da-fA-F]{2})|\{([\da-fA-F]{1,6})\})/.exec(this.#text.slice(this.#at, this.#at + 9))
    if (hex) {
      this.#at += hex[0].length
      const code = Number.parseInt(hex[1] ?? hex[2]!, 16)
      return code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? unsupported() : String.fromCodePoint(code)
    }
    const c = this.#text[this.#at] ?? unsupported()
    const control = controls[c]
    if (control === undefined && /[A-Za-z0-9]/.test(c)) unsupported()
    if (c.charCodeAt(0) > 0x7f) unsupported()
    this.#at++
    return control ?? c
  }

  #literal(c: string): RegexNode {
    return { kind: 'set', source: escaped(c), set: withCases([c.codePointAt(0)!, c.codePointAt(0)!], this.#ignoreCase) }
  }

  #class(): RegexNode {
    const negated = this.#text[this.#at] === '^'
    if (negated) this.#at++
    let source = ''
    let ascii = 0n
    let other = false
    for (let first = true; first || this.#text[this.#at] !== ']'; first = false) {
      const item = this.#classItem()
      source += item.source
      ascii |= item.set.ascii
      other ||= item.set.other
    }
    this.#at++
    const set = negated ? { ascii: everything & ~ascii, other: true } : { ascii, other }
    return { kind: 'set', source: `[${negated ? '^' : ''}${source}]`, set }
  }

  #classItem(): { source: string; set: CharacterSet } {
    const next = this.#text[this.#at + 1] ?? ''
    if (this.#text[this.#at] === '\\' && sets[next]) {
      if (next === 'S' || (this.#ignoreCase && next !== 'd' && next !== 's')) unsupported()
      this.#at += 2
      return { source: next === 's' ? '\\t\\n\\f\\r ' : `\\${next}`, set: sets[next]! }
    }
    const first = this.#classCharacter()
    let last = first
    if (this.#text[this.#at] === '-' && this.#text[this.#at + 1] !== ']' && this.#at + 1 < this.#text.length) {
      this.#at++
      if (this.#text[this.#at] === '\\' && sets[this.#text[this.#at + 1] ?? '']) unsupported()
      last = this.#classCharacter()
    }
    const range = [first.codePointAt(0)!, last.codePointAt(0)!] as const
    if (range[0] > range[1]) unsupported()
    const source = first === last ? escaped(first) : `${escaped(first)}-${escaped(last)}`
    return { source, set: withCases(range, this.#ignoreCase) }
  }

  #classCharacter(): string {
    if (this.#at >= this.#text.length || this.#text.startsWith('[:', this.#at)) unsupported()
    const c = String.fromCodePoint(this.#text.codePointAt(this.#at)!)
    this.#at += c.length
    return c === '\\' ? this.#escapedCharacter() : c
  }
}

function limits(match: RegExpExecArray): [number, number] {
  const [text, least, range, most] = match
  if (text.startsWith('*')) return [0, Number.POSITIVE_INFINITY]
  if (text.startsWith('+')) return [1, Number.POSITIVE_INFINITY]
  if (text.startsWith('?')) return [0, 1]
  const min = Number(least)
  if (range === undefined) return [min, min]
  return [min, most === '' ? Number.POSITIVE_INFINITY : Number(most)]
}

/** Safe in and outside of brackets, as the flag `u` wants it. */
function escaped(c: string): string {
  const code = c.codePointAt(0)!
  return /[\w ]/.test(c) || code > 0x7f ? c : `\\x${code.toString(16).padStart(2, '0')}`
}

function withCases([from, to]: readonly [number, number], ignoreCase: boolean): CharacterSet {
  let ascii = 0n
  for (let code = from; code <= to && code < 128; code++) {
    ascii |= bit(code)
    const c = String.fromCharCode(code)
    if (ignoreCase) ascii |= bitsOf(c.toLowerCase() + c.toUpperCase())
  }
  // The long s and the sign of Kelvin are other cases of ASCII letters, and the other way round.
  if (ignoreCase && to > 127) ascii |= bitsOf('kKsS')
  return { ascii, other: to > 127 || (ignoreCase && (ascii & bitsOf('ksKS')) !== 0n) }
}
