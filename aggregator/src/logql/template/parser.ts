/** Parses a Go template: text in, tree out, or a {@link TemplateError} in Go's words. */
import { TemplateError } from './error.ts'
import { isFunction } from './function-names.ts'
import { type Token, type TokenKind, tokenizeTemplate } from './lexer.ts'
import type { Command, Node, Operand, Pipe, Template } from './nodes.ts'
import { parseTemplateNumber } from './number.ts'

/** Bounds the height of the tree, so that nothing that walks it can exhaust the stack. */
const maxDepth = 200
const maxParsed = 100
const parsed = new Map<string, Template>()

/** Templates of one query are asked for several times: by the validator, the hints and the stages. */
export function parseTemplate(source: string): Template {
  const known = parsed.get(source)
  if (known) return known
  const template = new Parser(source).template()
  if (parsed.size >= maxParsed) parsed.clear()
  parsed.set(source, template)
  return template
}

class Parser {
  readonly #tokens: readonly Token[]
  #next = 0
  #depth = 0
  #loops = 0
  readonly #named = new Map<string, readonly Node[]>()
  #variables: string[] = ['']

  constructor(source: string) {
    this.#tokens = tokenizeTemplate(source)
  }

  template(): Template {
    const { nodes, end } = this.#list([])
    if (end !== 'EOF') this.#fail(`unexpected {{${end}}}`)
    return { body: nodes, named: this.#named }
  }

  get #current(): Token {
    return this.#tokens[this.#next]!
  }

  /** Nodes up to the keyword that ends them, which is consumed with its action unless it is `else`. */
  #list(enders: readonly string[]): { nodes: Node[]; end: string } {
    if (++this.#depth > maxDepth) this.#fail('max depth exceeded')
    const nodes: Node[] = []
    for (;;) {
      const token = this.#current
      this.#next++
      if (token.kind === 'end') {
        if (enders.length > 0) this.#fail('unexpected EOF')
        this.#depth--
        return { nodes, end: 'EOF' }
      }
      if (token.kind === 'text') {
        nodes.push({ kind: 'text', text: token.text })
        continue
      }
      this.#skipSpace()
      const keyword = this.#current.kind === 'identifier' ? this.#current.text : ''
      if (keyword === 'end' || keyword === 'else') {
        if (!enders.includes(keyword)) this.#fail(`unexpected {{${keyword}}}`)
        this.#next++
        if (keyword === 'end') this.#close('end')
        this.#depth--
        return { nodes, end: keyword }
      }
      const node = this.#action(keyword)
      if (node) nodes.push(node)
    }
  }

  #action(keyword: string): Node | undefined {
    switch (keyword) {
      case 'if':
      case 'with':
      case 'range':
        this.#next++
        return this.#branch(keyword)
      case 'define':
        this.#next++
        this.#define()
        return undefined
      case 'block':
        this.#next++
        return this.#block()
      case 'template':
        this.#next++
        return this.#call()
      case 'break':
      case 'continue':
        if (this.#tokens[this.#next + 1]!.kind === 'close' || this.#tokens[this.#next + 2]?.kind === 'close') {
          if (this.#loops === 0) this.#fail(`{{${keyword}}} outside {{range}}`)
          this.#next++
          this.#close(keyword)
          return { kind: keyword }
        }
    }
    const pipe = this.#pipe('command', 'close')
    return { kind: 'action', pipe }
  }

  #branch(keyword: 'if' | 'with' | 'range'): Node {
    const scope = this.#variables.length
    const pipe = this.#pipe(keyword, 'close', keyword === 'range')
    if (keyword === 'range') this.#loops++
    const { nodes: body, end } = this.#list(['end', 'else'])
    if (keyword === 'range') this.#loops--
    let otherwise: Node[] = []
    if (end === 'else') otherwise = this.#otherwise(keyword)
    this.#variables.length = scope
    return { kind: keyword, pipe, body, otherwise }
  }

  #otherwise(keyword: string): Node[] {
    this.#skipSpace()
    const next = this.#current
    if (next.kind === 'identifier' && next.text === keyword && keyword !== 'range') {
      this.#next++
      if (++this.#depth > maxDepth) this.#fail('max depth exceeded')
      const node = this.#branch(keyword as 'if' | 'with')
      this.#depth--
      return [node]
    }
    this.#close('else')
    const { nodes, end } = this.#list(['end', 'else'])
    if (end === 'else') this.#fail(`expected end; found {{else}}`)
    return nodes
  }

  #define(): void {
    const name = this.#name('define clause')
    this.#close('define clause')
    const outer = this.#variables
    this.#variables = ['']
    this.#named.set(name, this.#list(['end']).nodes)
    this.#variables = outer
  }

  #block(): Node {
    const { at } = this.#current
    const name = this.#name('block clause')
    const pipe = this.#pipe('block clause', 'close')
    const outer = this.#variables
    this.#variables = ['']
    this.#named.set(name, this.#list(['end']).nodes)
    this.#variables = outer
    return { kind: 'template', name, pipe, at }
  }

  #call(): Node {
    const { at } = this.#current
    const name = this.#name('template clause')
    this.#skipSpace()
    if (this.#current.kind === 'close') {
      this.#next++
      return { kind: 'template', name, pipe: undefined, at }
    }
    return { kind: 'template', name, pipe: this.#pipe('template clause', 'close'), at }
  }

  #name(context: string): string {
    this.#skipSpace()
    const token = this.#current
    if (token.kind !== 'string') this.#unexpected(token, context)
    this.#next++
    return token.value
  }

  #close(context: string): void {
    this.#skipSpace()
    if (this.#current.kind !== 'close') this.#unexpected(this.#current, context)
    this.#next++
  }

  #pipe(context: string, closer: TokenKind, ofRange = false): Pipe {
    if (++this.#depth > maxDepth) this.#fail('max depth exceeded')
    this.#skipSpace()
    const { at } = this.#current
    const { variables, assigns } = this.#declaration(context, ofRange)
    const commands: Command[] = []
    for (;;) {
      this.#skipSpace()
      const token = this.#current
      if (token.kind === closer) {
        this.#next++
        break
      }
      if (token.kind === 'close') this.#fail('unclosed left paren')
      if (token.kind === 'end') this.#fail(closer === ')' ? 'unclosed left paren' : 'unclosed action')
      if (token.kind === ')') this.#fail('unexpected right paren')
      commands.push(this.#command(context, closer))
    }
    if (commands.length === 0) this.#fail(`missing value for ${context}`)
    for (const [i, command] of commands.entries()) {
      const first = command.operands[0]!
      if (i > 0 && ['boolean', 'dot', 'nil', 'number', 'string'].includes(first.kind))
        this.#fail(`non executable command in pipeline stage ${i + 1}`)
    }
    if (!assigns) this.#variables.push(...variables)
    this.#depth--
    return { variables, assigns, commands, at }
  }

  #declaration(context: string, ofRange: boolean): { variables: string[]; assigns: boolean } {
    const begin = this.#next
    const variables: string[] = []
    for (let token = this.#current; token.kind === 'variable'; token = this.#current) {
      variables.push(token.text.slice(1))
      this.#next++
      this.#skipSpace()
      const kind: TokenKind = this.#current.kind
      if (kind === ':=' || kind === '=') {
        this.#next++
        const assigns = kind === '='
        if (assigns) for (const name of variables) this.#known(`$${name}`)
        return { variables, assigns }
      }
      if (kind !== ',') break
      if (!ofRange || variables.length > 1) this.#fail(`too many declarations in ${context}`)
      this.#next++
      this.#skipSpace()
    }
    this.#next = begin
    return { variables: [], assigns: false }
  }

  #command(context: string, closer: TokenKind): Command {
    const { at } = this.#current
    const operands: Operand[] = []
    for (;;) {
      this.#skipSpace()
      const operand = this.#operand()
      if (operand) operands.push(operand)
      const token = this.#current
      if (token.kind === 'space') continue
      if (token.kind === '|') {
        this.#next++
        this.#skipSpace()
        if (this.#current.kind === closer || this.#current.kind === '|') this.#fail(`missing value for ${context}`)
        break
      }
      if (token.kind === closer || token.kind === ')' || token.kind === 'close' || token.kind === 'end') break
      this.#unexpected(token, 'operand')
    }
    if (operands.length === 0) this.#fail('empty command')
    return { operands, text: operands.map(({ text }) => text).join(' '), at }
  }

  #operand(): Operand | undefined {
    const token = this.#current
    const names = (): string[] => {
      const chain: string[] = []
      while (this.#current.kind === 'field') {
        chain.push(this.#current.text.slice(1))
        this.#next++
      }
      return chain
    }
    switch (token.kind) {
      case 'field': {
        const chain = names()
        return { kind: 'field', names: chain, text: `.${chain.join('.')}` }
      }
      case 'variable': {
        this.#known(token.text)
        this.#next++
        const chain = names()
        return { kind: 'variable', name: token.text.slice(1), names: chain, text: [token.text, ...chain].join('.') }
      }
      case '(': {
        this.#next++
        const pipe = this.#pipe('parenthesized pipeline', ')')
        const chain = names()
        return { kind: 'pipe', pipe, names: chain, text: `(${pipe.commands.map(({ text }) => text).join(' | ')})` }
      }
      case 'dot':
        this.#next++
        return { kind: 'dot', text: '.' }
      case 'string':
        this.#next++
        return { kind: 'string', value: token.value, text: token.text }
      case 'character':
      case 'number': {
        this.#next++
        const value =
          token.kind === 'character' ? BigInt(token.value.codePointAt(0) ?? 0) : parseTemplateNumber(token.text)
        if (value === undefined) this.#fail(`bad number syntax: ${JSON.stringify(token.text)}`)
        return { kind: 'number', value, text: token.text }
      }
      case 'identifier':
        this.#next++
        return this.#identifier(token.text, names)
      default:
        return undefined
    }
  }

  #identifier(name: string, names: () => string[]): Operand {
    if (name === 'true' || name === 'false') return { kind: 'boolean', value: name === 'true', text: name }
    if (name === 'nil') return { kind: 'nil', text: name }
    if (!isFunction(name)) this.#fail(`function ${JSON.stringify(name)} not defined`)
    const chain = names()
    const call: Operand = { kind: 'function', name, text: name }
    if (chain.length === 0) return call
    const { at } = this.#current
    const pipe: Pipe = { variables: [], assigns: false, commands: [{ operands: [call], text: name, at }], at }
    return { kind: 'pipe', pipe, names: chain, text: [name, ...chain].join('.') }
  }

  #known(variable: string): void {
    if (!this.#variables.includes(variable.slice(1))) this.#fail(`undefined variable ${JSON.stringify(variable)}`)
  }

  #skipSpace(): void {
    if (this.#current.kind === 'space') this.#next++
  }

  #unexpected(token: Token, context: string): never {
    if (token.kind === 'end') this.#fail('unexpected EOF')
    const shown = token.kind === 'close' ? '"}}"' : token.kind === 'space' ? '" "' : `<${token.text}>`
    return this.#fail(`unexpected ${shown} in ${context}`)
  }

  #fail(message: string): never {
    const token = this.#tokens[Math.min(this.#next, this.#tokens.length - 1)]!
    throw new TemplateError(`${token.at.line}: ${message}`)
  }
}
