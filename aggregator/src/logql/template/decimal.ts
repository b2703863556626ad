/** Decimal arithmetic on floats, as the template functions `addf`, `subf`, `mulf` and `divf` do it: 0.1 + 0.2 is 0.3. */
import { TemplateError } from './error.ts'
import { printValue } from './value.ts'

export interface Decimal {
  readonly digits: bigint
  /** Of them, so many stand behind the point. */
  readonly scale: number
}

/** Throws TemplateError for what is not finite. */
export function decimalOf(value: number): Decimal {
  if (!Number.isFinite(value)) throw new TemplateError(`Cannot create a Decimal from ${printValue(value)}`)
  const match = /^(-?\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(value))!
  const fraction = match[2] ?? ''
  const scale = fraction.length - Number(match[3] ?? 0)
  const digits = BigInt(match[1]! + fraction)
  return scale >= 0 ? { digits, scale } : { digits: digits * 10n ** BigInt(-scale), scale: 0 }
}

export function numberOf({ digits, scale }: Decimal): number {
  return Number(`${digits}e${-scale}`)
}

function aligned(a: Decimal, b: Decimal): [bigint, bigint, number] {
  const scale = Math.max(a.scale, b.scale)
  return [a.digits * 10n ** BigInt(scale - a.scale), b.digits * 10n ** BigInt(scale - b.scale), scale]
}

export function add(a: Decimal, b: Decimal): Decimal {
  const [left, right, scale] = aligned(a, b)
  return { digits: left + right, scale }
}

export function subtract(a: Decimal, b: Decimal): Decimal {
  return add(a, { digits: -b.digits, scale: b.scale })
}

export const multiply = (a: Decimal, b: Decimal): Decimal => ({ digits: a.digits * b.digits, scale: a.scale + b.scale })

const quotientDigits = 16

/** To sixteen digits behind the point, halves away from zero; undefined when divided by zero. */
export function divide(a: Decimal, b: Decimal): Decimal | undefined {
  if (b.digits === 0n) return undefined
  const [left, right] = aligned(a, b)
  const scaled = left * 10n ** BigInt(quotientDigits)
  const half = (right < 0n ? -right : right) / 2n
  const rounded = ((scaled < 0n ? -scaled : scaled) + half) / (right < 0n ? -right : right)
  return { digits: scaled < 0n !== right < 0n ? -rounded : rounded, scale: quotientDigits }
}
