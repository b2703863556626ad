/** The functions that every Go template has, but for `and` and `or`, which do not look at all of their arguments. */
import { TemplateError } from './error.ts'
import { sprintf } from './printf.ts'
import { fn, limited, type TemplateFunction } from './signature.ts'
import { GoTime } from './time.ts'
import { isTrue, printValue, type TemplateValue, typeName } from './value.ts'

function sprint(values: readonly TemplateValue[]): string {
  let out = ''
  for (const [i, value] of values.entries()) {
    if (i > 0 && typeof value !== 'string' && typeof values[i - 1] !== 'string') out += ' '
    out += value === null ? '<nil>' : printValue(value)
  }
  return limited(out)
}

function compare(a: TemplateValue, b: TemplateValue): number {
  if (typeof a !== typeof b) throw new TemplateError('incompatible types for comparison')
  if (typeof a !== 'string' && typeof a !== 'number' && typeof a !== 'bigint')
    throw new TemplateError('invalid type for comparison')
  const other = b as typeof a
  return a < other ? -1 : a > other ? 1 : a === other ? 0 : Number.NaN
}

function equal(a: TemplateValue, b: TemplateValue): boolean {
  if (a === null || b === null) return a === b
  if (typeof a !== typeof b) throw new TemplateError('incompatible types for comparison')
  if (a instanceof GoTime && b instanceof GoTime) return a.nanoseconds === b.nanoseconds
  if (typeof a === 'object') throw new TemplateError('non-comparable type')
  return a === b
}

function length(value: TemplateValue): bigint {
  if (typeof value === 'string') return BigInt(Buffer.byteLength(value))
  if (Array.isArray(value)) return BigInt(value.length)
  if (value instanceof Map) return BigInt(value.size)
  throw new TemplateError(`len of type ${typeName(value)}`)
}

function index(value: TemplateValue, ...keys: TemplateValue[]): TemplateValue {
  let found = value
  for (const key of keys) {
    if (found === null) throw new TemplateError('index of untyped nil')
    if (found instanceof Map) {
      if (typeof key !== 'string') throw new TemplateError(`value has type ${typeName(key)}; should be string`)
      found = found.get(key) ?? null
    } else if (Array.isArray(found) || typeof found === 'string') {
      const size = Number(length(found))
      if (typeof key !== 'bigint') throw new TemplateError(`cannot index slice/array with type ${typeName(key)}`)
      if (key < 0n || key >= BigInt(size)) throw new TemplateError(`index out of range: ${key}`)
      found = typeof found === 'string' ? BigInt(Buffer.from(found)[Number(key)]!) : found[Number(key)]!
    } else throw new TemplateError(`can't index item of type ${typeName(found)}`)
  }
  return found
}

function slice(value: TemplateValue, ...bounds: TemplateValue[]): TemplateValue {
  if (typeof value !== 'string' && !Array.isArray(value))
    throw new TemplateError(`can't slice item of type ${typeName(value)}`)
  const size = Number(length(value))
  const [from = 0n, to = BigInt(size)] = bounds
  if (typeof from !== 'bigint' || typeof to !== 'bigint')
    throw new TemplateError('cannot index slice/array with such a type')
  if (from < 0n || to > BigInt(size) || from > to)
    throw new TemplateError(`index out of range: ${from < 0n || from > to ? from : to}`)
  if (typeof value === 'string') return Buffer.from(value).toString('utf8', Number(from), Number(to))
  return value.slice(Number(from), Number(to))
}

const htmlNames: Record<string, string> = {
  '"': '&#34;',
  "'": '&#39;',
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '\0': '\ufffd',
}
const html = (text: string): string => text.replace(/["'&<>\0]/g, (c) => htmlNames[c]!)

const scriptNames: Record<string, string> = {
  '\\': '\\\\',
  "'": "\\'",
  '"': '\\"',
  '<': '\\u003C',
  '>': '\\u003E',
  '&': '\\u0026',
  '=': '\\u003D',
}
const script = (text: string): string =>
  text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what has to be escaped
    /[\\'"<>&=\0-\x1f]/g,
    (c) => scriptNames[c] ?? `\\u${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`,
  )

const query = (text: string): string =>
  encodeURIComponent(text.toWellFormed())
    .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')

const escaping = (escaped: (text: string) => string): TemplateFunction =>
  fn('a*', (...values: TemplateValue[]) => limited(escaped(sprint(values))))
const ordered = (holds: (order: number) => boolean): TemplateFunction =>
  fn('aa', (a: TemplateValue, b: TemplateValue) => holds(compare(a, b)))

export const builtins: Readonly<Record<string, TemplateFunction>> = {
  not: fn('a', (value: TemplateValue) => !isTrue(value)),
  len: fn('a', length),
  index: fn('aa*', index),
  slice: fn('aa*', slice),
  print: fn('a*', (...values: TemplateValue[]) => sprint(values)),
  println: fn('a*', (...values: TemplateValue[]) =>
    limited(`${values.map((value) => (value === null ? '<nil>' : printValue(value))).join(' ')}\n`),
  ),
  printf: fn('sa*', (format: string, ...values: TemplateValue[]) => limited(sprintf(format, values))),
  html: escaping(html),
  js: escaping(script),
  urlquery: escaping(query),
  eq: fn('aaa*', (first: TemplateValue, ...others: TemplateValue[]) => others.some((other) => equal(first, other))),
  ne: fn('aa', (a: TemplateValue, b: TemplateValue) => !equal(a, b)),
  lt: ordered((order) => order < 0),
  le: ordered((order) => order <= 0),
  gt: ordered((order) => order > 0),
  ge: ordered((order) => order >= 0),
  call: fn('aa*', (value: TemplateValue) => {
    throw new TemplateError(`non-function of type ${typeName(value)}`)
  }),
}
