/** The syntax tree of a Go text/template. `text` is how the node is named in errors, as it was written. */

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly pipe: Pipe }
  | {
      readonly kind: 'if' | 'with'
      readonly pipe: Pipe
      readonly body: readonly Node[]
      readonly otherwise: readonly Node[]
    }
  | { readonly kind: 'range'; readonly pipe: Pipe; readonly body: readonly Node[]; readonly otherwise: readonly Node[] }
  | { readonly kind: 'template'; readonly name: string; readonly pipe: Pipe | undefined; readonly at: Place }
  | { readonly kind: 'break' | 'continue' }

/** A place in the template: line and column from 1 and 0, as Go counts them. */
export interface Place {
  readonly line: number
  readonly column: number
}

export interface Pipe {
  /** Variables that get the value, without their `$`. */
  readonly variables: readonly string[]
  /** `=` rather than `:=`. */
  readonly assigns: boolean
  readonly commands: readonly Command[]
  readonly at: Place
}

export interface Command {
  readonly operands: readonly Operand[]
  readonly text: string
  readonly at: Place
}

export type Operand =
  | { readonly kind: 'dot'; readonly text: string }
  | { readonly kind: 'nil'; readonly text: string }
  | { readonly kind: 'boolean'; readonly value: boolean; readonly text: string }
  | { readonly kind: 'string'; readonly value: string; readonly text: string }
  /** An integer is a bigint; `asFloat` and whole, it can be either. */
  | { readonly kind: 'number'; readonly value: bigint | number; readonly text: string }
  | { readonly kind: 'field'; readonly names: readonly string[]; readonly text: string }
  | { readonly kind: 'variable'; readonly name: string; readonly names: readonly string[]; readonly text: string }
  | { readonly kind: 'function'; readonly name: string; readonly text: string }
  | { readonly kind: 'pipe'; readonly pipe: Pipe; readonly names: readonly string[]; readonly text: string }

export interface Template {
  readonly body: readonly Node[]
  /** By `define` and `block`. */
  readonly named: ReadonlyMap<string, readonly Node[]>
}
