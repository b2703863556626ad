/**
 * Values of a template: a Go int is a bigint, a float64 a number; a slice is an array, a map a Map. `undefined` is what a command
 * without a value has, null is nil.
 */
import { GoTime } from './time.ts'

export type TemplateValue =
  | string
  | bigint
  | number
  | boolean
  | null
  | GoTime
  | TemplateValue[]
  | Map<string, TemplateValue>

/** What `if` and `with` take for false: zero, empty, nil. */
export function isTrue(value: TemplateValue): boolean {
  if (value instanceof Map) return value.size > 0
  if (Array.isArray(value)) return value.length > 0
  if (value instanceof GoTime) return true
  return value !== null && value !== '' && value !== 0 && value !== 0n && value !== false
}

/** As Go's fmt prints it with %v. */
export function printValue(value: TemplateValue): string {
  if (value === null) return '<no value>'
  return printInner(value)
}

function printInner(value: TemplateValue): string {
  if (typeof value === 'string') return value
  if (value === null) return '<nil>'
  if (typeof value === 'number') return printFloat(value)
  if (Array.isArray(value)) return `[${value.map(printInner).join(' ')}]`
  if (value instanceof Map)
    return `map[${sortedEntries(value)
      .map(([k, v]) => `${k}:${printInner(v)}`)
      .join(' ')}]`
  return value instanceof GoTime ? value.toString() : String(value)
}

export const sortedEntries = (map: Map<string, TemplateValue>): [string, TemplateValue][] =>
  [...map].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))

/** %v of a float64: shortest digits, an exponent below 1e-4 and from 1e6 on. */
export function printFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  if (Object.is(value, -0)) return '-0'
  const size = Math.abs(value)
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return withExponent(value.toExponential())
  return String(value)
}

/** Go writes two digits of the exponent at least. */
export const withExponent = (text: string): string => text.replace(/e([+-])(\d)$/, 'e$10$2')

/** How Go names the value's type. */
export function typeName(value: TemplateValue): string {
  if (typeof value === 'string') return 'string'
  if (typeof value === 'bigint') return 'int'
  if (typeof value === 'number') return 'float64'
  if (typeof value === 'boolean') return 'bool'
  if (value === null) return 'nil'
  if (value instanceof GoTime) return 'time.Time'
  return Array.isArray(value) ? '[]interface {}' : 'map[string]interface {}'
}
