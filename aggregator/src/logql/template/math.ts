/** Arithmetic of templates: whole numbers of 64 bits, and decimals. Texts are read as numbers. */
import { parseGoFloat } from '../go-parse.ts'
import { add, type Decimal, decimalOf, divide, multiply, numberOf, subtract } from './decimal.ts'
import { TemplateError } from './error.ts'
import { fn, type TemplateFunction } from './signature.ts'
import type { TemplateValue } from './value.ts'

const smallest = -(2n ** 63n)

/** Text that is no number is 0; other numbers are cut. What 64 bits do not hold is the smallest number that they do, as on amd64. */
function toInt(value: TemplateValue): bigint {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number') return Math.abs(value) < 2 ** 63 ? BigInt(Math.trunc(value)) : smallest
  if (typeof value === 'boolean') return value ? 1n : 0n
  if (typeof value !== 'string') return 0n
  const [, whole] = /^([-+]?\d*)\.\d*$/.exec(value) ?? []
  const text = whole ?? value
  const match = /^([+-]?)(0[xX][\da-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|\d[\d_]*)$/.exec(text)
  if (!match) return 0n
  const digits = match[2]!.replaceAll('_', '')
  const octal = /^0\d/.test(digits) ? `0o${digits.slice(1)}` : digits
  const size = /^0o[0-7]*[89]/.test(octal) ? 0n : BigInt(octal)
  const signed = match[1] === '-' ? -size : size
  return signed === wrap(signed) ? signed : 0n
}

const wrap = (value: bigint): bigint => BigInt.asIntN(64, value)

function toFloat(value: TemplateValue): number {
  if (typeof value === 'number') return value
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value)
  if (typeof value !== 'string') return 0
  try {
    return parseGoFloat(value)
  } catch {
    // As in Go, text that is no number counts as 0.
    return 0
  }
}

const whole = (combine: (a: bigint, b: bigint) => bigint): TemplateFunction =>
  fn('aa*', (first: TemplateValue, ...rest: TemplateValue[]) =>
    rest.map(toInt).reduce((a, b) => wrap(combine(a, b)), toInt(first)),
  )

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b)
const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b)

const nonZero = (value: bigint): bigint => {
  if (value === 0n) throw new TemplateError('runtime error: integer divide by zero')
  return value
}

const decimals = (combine: (a: Decimal, b: Decimal) => Decimal): TemplateFunction =>
  fn('aa*', (first: TemplateValue, ...rest: TemplateValue[]) =>
    numberOf(rest.reduce<Decimal>((a, b) => combine(a, decimalOf(toFloat(b))), decimalOf(toFloat(first)))),
  )

function quotient(a: Decimal, b: Decimal): Decimal {
  const result = divide(a, b)
  if (result === undefined) throw new TemplateError('decimal division by 0')
  return result
}

/** Halves upwards; to so many digits behind the point. */
function round(value: TemplateValue, digits: bigint, half = 0.5): number {
  const number = toFloat(value)
  const power = 10 ** Number(digits)
  const scaled = number * power
  const fraction = scaled - Math.trunc(scaled)
  return (fraction >= half ? Math.ceil(scaled) : Math.floor(scaled)) / power
}

const extreme = (choose: (a: number, b: number) => number): TemplateFunction =>
  fn('aa*', (first: TemplateValue, ...rest: TemplateValue[]) =>
    rest.map(toFloat).reduce((a, b) => choose(a, b), toFloat(first)),
  )

export const mathFunctions: Readonly<Record<string, TemplateFunction>> = {
  int: fn('a', toInt),
  add: fn('a*', (...values: TemplateValue[]) => values.map(toInt).reduce((a, b) => wrap(a + b), 0n)),
  sub: fn('aa', (a: TemplateValue, b: TemplateValue) => wrap(toInt(a) - toInt(b))),
  mul: whole((a, b) => a * b),
  div: fn('aa', (a: TemplateValue, b: TemplateValue) => wrap(toInt(a) / nonZero(toInt(b)))),
  mod: fn('aa', (a: TemplateValue, b: TemplateValue) => toInt(a) % nonZero(toInt(b))),
  max: whole(larger),
  min: whole(smaller),
  addf: fn('a*', (...values: TemplateValue[]) =>
    numberOf(values.reduce<Decimal>((sum, value) => add(sum, decimalOf(toFloat(value))), { digits: 0n, scale: 0 })),
  ),
  subf: decimals(subtract),
  mulf: decimals(multiply),
  divf: decimals(quotient),
  maxf: extreme(Math.max),
  minf: extreme(Math.min),
  ceil: fn('a', (value: TemplateValue) => Math.ceil(toFloat(value))),
  floor: fn('a', (value: TemplateValue) => Math.floor(toFloat(value))),
  round: fn('aif*', round),
}
