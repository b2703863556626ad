/** fmt.Sprintf, as far as values of templates go. */
import { quote } from '../quote.ts'
import { printFloat, printValue, type TemplateValue, typeName, withExponent } from './value.ts'

const verb = /%([-+# 0]*)(\*|\d+)?(?:\.(\*|\d+)?)?(?:\[\d+\])?([a-zA-Z%])/g
/** A width or precision beyond this is not worth the memory. */
const maxWidth = 1_000_000

export function sprintf(format: string, values: readonly TemplateValue[]): string {
  let used = 0
  const out = format.replace(
    verb,
    (whole, flags: string, width: string | undefined, precision: string | undefined, letter: string) => {
      if (letter === '%') return '%'
      const star = (text: string | undefined) => (text === '*' ? Number(values[used++] ?? 0) : Number(text ?? 0))
      const wanted = star(width)
      const digits = whole.includes('.') ? star(precision) : undefined
      if (Math.abs(wanted) > maxWidth || (digits ?? 0) > maxWidth) return `%!${letter}(BADWIDTH)`
      if (used >= values.length) return `%!${letter}(MISSING)`
      const left = flags.includes('-') || wanted < 0
      const value = values[used++]!
      const text = formatted(letter, flags, digits, value)
      return pad(text, Math.abs(wanted), left, flags.includes('0') && !left && typeof value !== 'string')
    },
  )
  if (used >= values.length) return out
  const extra = values.slice(used).map((value) => `${typeName(value)}=${printValue(value)}`)
  return `${out}%!(EXTRA ${extra.join(', ')})`
}

function pad(text: string, width: number, left: boolean, zeros: boolean): string {
  const missing = width - [...text].length
  if (missing <= 0) return text
  if (left) return text + ' '.repeat(missing)
  if (!zeros) return ' '.repeat(missing) + text
  const sign = /^[+-]/.test(text) ? text[0]! : ''
  return sign + '0'.repeat(missing) + text.slice(sign.length)
}

function formatted(letter: string, flags: string, digits: number | undefined, value: TemplateValue): string {
  const plus = flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : ''
  if (letter === 'v') {
    if (value === null) return '<nil>'
    if (typeof value === 'string' && flags.includes('#')) return quote(value)
    return typeof value === 'number' && digits !== undefined ? signed(plus, general(value, digits)) : printValue(value)
  }
  if (letter === 'T') return typeName(value)
  if (typeof value === 'string' || letter === 's' || letter === 'q') return text(letter, flags, digits, value)
  if (typeof value === 'bigint') return integer(letter, flags, plus, value)
  if (typeof value === 'number') return float(letter, plus, digits, value)
  if (typeof value === 'boolean' && letter === 't') return String(value)
  return wrong(letter, value)
}

const wrong = (letter: string, value: TemplateValue): string =>
  value === null ? `%!${letter}(<nil>)` : `%!${letter}(${typeName(value)}=${printValue(value)})`

function text(letter: string, flags: string, digits: number | undefined, value: TemplateValue): string {
  const whole = typeof value === 'string' ? value : printValue(value)
  const plain = typeof value === 'string' || typeof value === 'object'
  if (letter === 's' && (plain || value === null)) return value === null ? '%!s(<nil>)' : cut(whole, digits)
  if (letter === 'q' && typeof value === 'bigint') return `'${String.fromCodePoint(Number(value) % 0x110000)}'`
  if (letter === 'q' && plain)
    return flags.includes('#') && !whole.includes('`') ? `\`${cut(whole, digits)}\`` : quote(cut(whole, digits))
  if ((letter === 'x' || letter === 'X') && typeof value === 'string') {
    const hex = Buffer.from(cut(whole, digits)).toString('hex')
    return letter === 'X' ? hex.toUpperCase() : hex
  }
  return wrong(letter, value)
}

const cut = (text: string, digits: number | undefined): string =>
  digits === undefined ? text : [...text].slice(0, digits).join('')

const signed = (plus: string, text: string): string => (/^[-+]/.test(text) ? text : plus + text)

function integer(letter: string, flags: string, plus: string, value: bigint): string {
  const radix = { d: 10, b: 2, o: 8, O: 8, x: 16, X: 16 }[letter]
  if (radix !== undefined) {
    const digits = (value < 0n ? -value : value).toString(radix)
    const prefix =
      letter === 'O' ? '0o' : flags.includes('#') ? ({ x: '0x', X: '0X', o: '0', b: '0b' }[letter] ?? '') : ''
    const body = prefix + (letter === 'X' ? digits.toUpperCase() : digits)
    return value < 0n ? `-${body}` : plus + body
  }
  if (letter === 'c') return String.fromCodePoint(Number(value) % 0x110000)
  if (letter === 'U') return `U+${value.toString(16).toUpperCase().padStart(4, '0')}`
  return wrong(letter, value)
}

function float(letter: string, plus: string, digits: number | undefined, value: number): string {
  if (!'eEfFgG'.includes(letter)) return wrong(letter, value)
  if (!Number.isFinite(value)) return signed(plus, printFloat(value))
  const precision = Math.min(digits ?? 6, 100)
  if (letter === 'f' || letter === 'F') return signed(plus, fixed(value, precision))
  const shown = letter.toLowerCase() === 'e' ? withExponent(value.toExponential(precision)) : general(value, digits)
  return signed(plus, letter === 'E' || letter === 'G' ? shown.toUpperCase() : shown)
}

/** toFixed has exponents from 1e21 on. */
function fixed(value: number, precision: number): string {
  if (Math.abs(value) < 1e21) return Object.is(value, -0) ? `-${(0).toFixed(precision)}` : value.toFixed(precision)
  return BigInt(value).toString() + (precision > 0 ? `.${'0'.repeat(precision)}` : '')
}

/** %g: digits in all, without zeros at the end. */
function general(value: number, digits: number | undefined): string {
  if (digits === undefined) return printFloat(value)
  const precision = Math.min(Math.max(digits, 1), 100)
  const exponent = value === 0 ? 0 : Number(/e(.+)$/.exec(value.toExponential(precision - 1))![1])
  if (exponent < -4 || exponent >= precision)
    return withExponent(value.toExponential(precision - 1).replace(/\.?0+e/, 'e'))
  const text = value.toFixed(Math.min(100, Math.max(0, precision - 1 - exponent)))
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}
