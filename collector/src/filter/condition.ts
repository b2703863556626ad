/**
 * What of an expression is left to ask of each record of one log. Labels are the same for all of its records, and so is structured
 * metadata unless a parser or a module may give a record another value: what they decide is decided here, once. Pure.
 */
import { stderr } from '@tributary/protocol/records.ts'
import type { Comparison, Expression } from './expression.ts'
import { Needle } from './needle.ts'
import type { RecordView } from './record-view.ts'
import type { CompileRegex } from './regex.ts'

export interface Ground {
  readonly labels: Readonly<Record<string, string>>
  /** Structured metadata at this place in the chain. */
  readonly metadata: Readonly<Record<string, string>>
  /** A stage before this place may give records attributes of their own. */
  readonly ownAttributes: boolean
  readonly compileRegex: CompileRegex
}

export interface Condition {
  /** To be called before the records of each chunk. */
  begin(chunk: Buffer): void
  test(record: RecordView): boolean
}

/** True or false when it is the same for all records. */
export function conditionOf(expression: Expression, ground: Ground): Condition | boolean {
  if (expression.kind === 'compare') return compare(expression, ground)
  if (expression.kind === 'not') return negate(conditionOf(expression.inner, ground))
  const left = conditionOf(expression.left, ground)
  const isAnd = expression.kind === 'and'
  if (typeof left === 'boolean') return left === isAnd ? conditionOf(expression.right, ground) : left
  const right = conditionOf(expression.right, ground)
  if (typeof right === 'boolean') return right === isAnd ? left : right
  return {
    begin(chunk) {
      left.begin(chunk)
      right.begin(chunk)
    },
    test: isAnd
      ? (record) => left.test(record) && right.test(record)
      : (record) => left.test(record) || right.test(record),
  }
}

function negate(inner: Condition | boolean): Condition | boolean {
  if (typeof inner === 'boolean') return !inner
  return { begin: (chunk) => inner.begin(chunk), test: (record) => !inner.test(record) }
}

type Compare = Extract<Expression, { kind: 'compare' }>
const negated: Partial<Record<Comparison, Comparison>> = { '!=': '==', '!~': '=~' }

function compare({ name, op, value, ...rest }: Compare, ground: Ground): Condition | boolean {
  const positive = negated[op]
  if (positive !== undefined) return negate(compare({ name, op: positive, value, ...rest }, ground))
  if (name === 'line') return lineCondition(op, value, ground.compileRegex)
  const test = textTest(op, value, ground.compileRegex)
  if (name === 'stream') return byStream(test('stdout'), test('stderr'))
  const label = valueIn(ground.labels, name)
  if (label !== undefined) return test(label)
  const always = test(valueIn(ground.metadata, name) ?? '')
  if (!ground.ownAttributes) return always
  return {
    begin: () => undefined,
    test(record) {
      const own = record.attribute(name)
      return own === undefined ? always : test(own)
    },
  }
}

function valueIn(values: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined
}

function byStream(stdout: boolean, ofStderr: boolean): Condition | boolean {
  if (stdout === ofStderr) return stdout
  return { begin: () => undefined, test: ({ stream }) => (stream === stderr) === ofStderr }
}

function textTest(op: Comparison, value: string, compileRegex: CompileRegex): (text: string) => boolean {
  if (op === '==') return (text) => text === value
  if (op === 'contains') return (text) => text.includes(value)
  const regex = compileRegex(value)
  return (text) => regex.testWhole(text)
}

function lineCondition(op: Comparison, value: string, compileRegex: CompileRegex): Condition | boolean {
  if (op === '=~') {
    const regex = compileRegex(value)
    return {
      begin: (chunk) => regex.begin(chunk),
      test: ({ bytes, lineStart, lineEnd }) => regex.test(bytes, lineStart, lineEnd),
    }
  }
  const wanted = Buffer.from(value)
  if (op === '==') {
    return {
      begin: () => undefined,
      test: ({ bytes, lineStart, lineEnd }) =>
        lineEnd - lineStart === wanted.length && wanted.compare(bytes, lineStart, lineEnd) === 0,
    }
  }
  if (wanted.length === 0) return true
  const needle = new Needle(wanted)
  return {
    begin: (chunk) => needle.begin(chunk),
    test: ({ bytes, lineStart, lineEnd }) => needle.find(bytes, lineStart, lineEnd) !== -1,
  }
}

/** Regular expressions of an expression, each with the position of its text. */
export function regexesOf(expression: Expression): { pattern: string; at: number }[] {
  if (expression.kind === 'not') return regexesOf(expression.inner)
  if (expression.kind !== 'compare') return [...regexesOf(expression.left), ...regexesOf(expression.right)]
  const { op, value, at } = expression
  return op === '=~' || op === '!~' ? [{ pattern: value, at }] : []
}
