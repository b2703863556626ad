/** Executes a template on the labels of an entry. */
import { builtins } from './builtins.ts'
import { TemplateError } from './error.ts'
import { functions } from './functions.ts'
import type { Command, Node, Operand, Pipe, Place, Template } from './nodes.ts'
import { callFunction, limited } from './signature.ts'
import { GoTime } from './time.ts'
import { timeMethods } from './time-methods.ts'
import { isTrue, printValue, sortedEntries, type TemplateValue, typeName } from './value.ts'

export interface TemplateData {
  /** Of the entry; an absent one is ''. */
  readonly labels: ReadonlyMap<string, string>
  readonly line: string
  /** Nanoseconds. */
  readonly time: bigint
}

/** Nodes and iterations that one execution may take: a template can loop. */
const maxSteps = 100_000
const maxCalls = 500

/**
 * Returns the text. Throws {@link TemplateError} with the whole of Go's text.
 *
 * @param name of the template in errors: `line` or `label`
 */
export function executeTemplate(name: string, template: Template, data: TemplateData): string {
  const execution = new Execution(name, template, data)
  execution.run()
  return execution.out
}

type Signal = 'break' | 'continue' | undefined
/** What can have fields behind it. */
type Chain = Extract<Operand, { names: readonly string[] }>

class Execution {
  out = ''
  readonly #name: string
  readonly #template: Template
  readonly #data: TemplateData
  #variables: { name: string; value: TemplateValue }[] = []
  #steps = 0
  #calls = 0

  constructor(name: string, template: Template, data: TemplateData) {
    this.#name = name
    this.#template = template
    this.#data = data
  }

  run(): void {
    const root = this.#data.labels as Map<string, TemplateValue>
    this.#variables = [{ name: '', value: root }]
    this.#walk(this.#template.body, root)
  }

  #walk(nodes: readonly Node[], dot: TemplateValue): Signal {
    for (const node of nodes) {
      const signal = this.#node(node, dot)
      if (signal !== undefined) return signal
    }
    return undefined
  }

  #node(node: Node, dot: TemplateValue): Signal {
    if (++this.#steps > maxSteps) throw new TemplateError(`template: ${this.#name}: the template takes too many steps`)
    switch (node.kind) {
      case 'text':
        this.#write(node.text)
        return undefined
      case 'action': {
        const value = this.#pipe(node.pipe, dot)
        if (node.pipe.variables.length === 0) this.#write(printValue(value))
        return undefined
      }
      case 'if':
      case 'with': {
        const scope = this.#variables.length
        const value = this.#pipe(node.pipe, dot)
        const inner = node.kind === 'with' && isTrue(value) ? value : dot
        const signal = this.#walk(isTrue(value) ? node.body : node.otherwise, inner)
        this.#variables.length = scope
        return signal
      }
      case 'range':
        return this.#range(node, dot)
      case 'template':
        this.#call(node, dot)
        return undefined
      default:
        return node.kind
    }
  }

  #range(node: Extract<Node, { kind: 'range' }>, dot: TemplateValue): Signal {
    const scope = this.#variables.length
    const value = this.#command(node.pipe, dot)
    const items = this.#items(value, node.pipe)
    const { variables, assigns } = node.pipe
    for (const [key, item] of items) {
      if (++this.#steps > maxSteps) this.#fail(node.pipe.commands[0]!, 'the template takes too many steps')
      const [first, second] = variables
      const named =
        second === undefined
          ? [[first, item]]
          : [
              [first, key],
              [second, item],
            ]
      for (const [name, each] of named as [string | undefined, TemplateValue][])
        if (name !== undefined) assigns ? this.#assign(name, each) : this.#variables.push({ name, value: each })
      const signal = this.#walk(node.body, item)
      this.#variables.length = scope
      if (signal === 'break') break
    }
    if (items.length === 0) {
      const signal = this.#walk(node.otherwise, dot)
      this.#variables.length = scope
      return signal
    }
    return undefined
  }

  #items(value: TemplateValue, pipe: Pipe): [TemplateValue, TemplateValue][] {
    if (value === null) return []
    if (Array.isArray(value)) return value.map((item, i) => [BigInt(i), item])
    if (value instanceof Map) return sortedEntries(value)
    if (typeof value === 'bigint' && value <= BigInt(maxSteps))
      return Array.from({ length: Math.max(0, Number(value)) }, (_, i) => [BigInt(i), BigInt(i)])
    return this.#fail(pipe.commands[0]!, `range can't iterate over ${printValue(value)}`)
  }

  #call({ name, pipe, at }: Extract<Node, { kind: 'template' }>, dot: TemplateValue): void {
    const nodes = this.#template.named.get(name)
    const value = pipe ? this.#pipe(pipe, dot) : null
    if (!nodes) throw this.#error(at, `{{template "${name}"}}`, `template ${JSON.stringify(name)} not defined`)
    if (++this.#calls > maxCalls) throw this.#error(at, `{{template "${name}"}}`, 'exceeded maximum template depth')
    const outer = this.#variables
    this.#variables = [{ name: '', value }]
    this.#walk(nodes, value)
    this.#variables = outer
    this.#calls--
  }

  #pipe(pipe: Pipe, dot: TemplateValue): TemplateValue {
    const value = this.#command(pipe, dot)
    for (const name of pipe.variables) pipe.assigns ? this.#assign(name, value) : this.#variables.push({ name, value })
    return value
  }

  #assign(name: string, value: TemplateValue): void {
    this.#variables.findLast((variable) => variable.name === name)!.value = value
  }

  /** The value of a pipeline: each command's is the last argument of the next. */
  #command(pipe: Pipe, dot: TemplateValue): TemplateValue {
    let value: TemplateValue | undefined
    for (const command of pipe.commands) value = this.#one(command, dot, value)
    return value ?? null
  }

  #one(command: Command, dot: TemplateValue, last: TemplateValue | undefined): TemplateValue {
    const [first, ...rest] = command.operands as [Operand, ...Operand[]]
    if (first.kind === 'function') return this.#invoke(command, first.name, rest, dot, last)
    if (first.kind === 'field' || first.kind === 'variable' || first.kind === 'pipe') {
      const args = () => [
        ...rest.map((operand) => this.#operand(operand, dot, command)),
        ...(last === undefined ? [] : [last]),
      ]
      return this.#chain(command, first, dot, args)
    }
    if (rest.length > 0 || last !== undefined) {
      if (first.kind === 'nil') this.#fail(command, 'nil is not a command')
      this.#fail(command, `can't give argument to non-function ${first.text}`)
    }
    if (first.kind === 'nil') this.#fail(command, 'nil is not a command')
    return this.#operand(first, dot, command)
  }

  #base(operand: Chain, dot: TemplateValue): TemplateValue {
    if (operand.kind === 'variable') return this.#variables.findLast(({ name }) => name === operand.name)!.value
    return operand.kind === 'pipe' ? this.#scoped(operand.pipe, dot) : dot
  }

  #scoped(pipe: Pipe, dot: TemplateValue): TemplateValue {
    return this.#pipe(pipe, dot)
  }

  #operand(operand: Operand, dot: TemplateValue, command: Command): TemplateValue {
    switch (operand.kind) {
      case 'dot':
        return dot
      case 'nil':
        return null
      case 'boolean':
      case 'string':
      case 'number':
        return operand.value
      case 'function':
        return this.#invoke(command, operand.name, [], dot, undefined)
      default:
        return this.#chain(command, operand, dot, () => [])
    }
  }

  /** Walks along fields; the arguments belong to the last one, should it be a method. */
  #chain(command: Command, operand: Chain, dot: TemplateValue, args: () => TemplateValue[]): TemplateValue {
    const { names } = operand
    let value = this.#base(operand, dot)
    for (const [i, name] of names.entries()) {
      const given = i === names.length - 1 ? args() : []
      if (value instanceof GoTime) {
        const method = timeMethods[name]
        if (!method) this.#fail(command, `can't evaluate field ${name} in type time.Time`)
        value = this.#guard(command, () => callFunction(name, method, [value, ...given], []))
        continue
      }
      if (given.length > 0) this.#fail(command, `${name} is not a method but has arguments`)
      if (value === null) {
        // Fields of a pipeline's nil are nil, those of a nil within something are an error.
        if (i === 0 && operand.kind !== 'field') return null
        this.#fail(command, `nil pointer evaluating interface {}.${name}`)
      }
      if (!(value instanceof Map)) this.#fail(command, `can't evaluate field ${name} in type ${typeName(value)}`)
      // A label that the entry lacks is '', another map's missing key nil.
      value = value.get(name) ?? (value === this.#data.labels ? '' : null)
    }
    if (names.length === 0 && args().length > 0)
      this.#fail(command, `can't give argument to non-function ${command.operands[0]!.text}`)
    return value
  }

  #invoke(
    command: Command,
    name: string,
    operands: readonly Operand[],
    dot: TemplateValue,
    last: TemplateValue | undefined,
  ): TemplateValue {
    if (name === 'and' || name === 'or') return this.#choose(command, name, operands, dot, last)
    const values = operands.map((operand) => this.#operand(operand, dot, command))
    const literal = operands.map(({ kind }) => kind === 'number')
    if (last !== undefined) values.push(last)
    if (name === '__line__') return this.#data.line
    if (name === '__timestamp__') return new GoTime(this.#data.time)
    if (name === 'index' && values[0] === this.#data.labels && values.length === 2 && typeof values[1] === 'string')
      return this.#data.labels.get(values[1]) ?? ''
    return this.#guard(command, () => callFunction(name, builtins[name] ?? functions[name]!, values, literal))
  }

  /** The first argument that decides; those behind it are not looked at. */
  #choose(
    command: Command,
    name: 'and' | 'or',
    operands: readonly Operand[],
    dot: TemplateValue,
    last: TemplateValue | undefined,
  ): TemplateValue {
    if (operands.length === 0 && last === undefined)
      this.#fail(command, `wrong number of args for ${name}: want at least 1 got 0`)
    let value: TemplateValue = null
    for (const operand of operands) {
      value = this.#operand(operand, dot, command)
      if (isTrue(value) === (name === 'or')) return value
    }
    return last ?? value
  }

  #guard<T>(command: Command, work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (error instanceof TemplateError) this.#fail(command, error.message)
      throw error
    }
  }

  #write(text: string): void {
    this.out += text
    limited(this.out)
  }

  #fail(command: Command, message: string): never {
    throw this.#error(
      command.at,
      command.operands[0]!.kind === 'function' ? command.text : command.operands[0]!.text,
      message,
    )
  }

  #error(at: Place, text: string, message: string): TemplateError {
    return new TemplateError(
      `template: ${this.#name}:${at.line}:${at.column}: executing ${JSON.stringify(this.#name)} at <${text}>: ${message}`,
    )
  }
}
