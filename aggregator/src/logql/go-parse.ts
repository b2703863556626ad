/** Numbers, durations and sizes as Go's parsers read them at evaluation, with the texts of their errors: they become `__error_details__`. */
import { parseGoDuration } from './quantity.ts'
import { quote } from './quote.ts'

/** A value that could not be read, with Go's text. */
export class GoParseError extends Error {}

const plain = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/
const underscored = /^[+-]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:[eE][+-]?\d+(?:_\d+)*)?$/
const hex = /^([+-]?)0[xX]_?([\da-fA-F]+(?:_[\da-fA-F]+)*)?(?:\.([\da-fA-F]*))?[pP]([+-]?\d+)$/
const special = /^([+-]?)(?:(nan)|inf|infinity)$/i

/** strconv.ParseFloat(text, 64). Throws {@link GoParseError}. */
export function parseGoFloat(text: string): number {
  const number = plain.test(text) ? Number(text) : parseOddFloat(text)
  if (number === undefined) throw new GoParseError(`strconv.ParseFloat: parsing ${quote(text)}: invalid syntax`)
  if (!Number.isFinite(number) && !special.test(text))
    throw new GoParseError(`strconv.ParseFloat: parsing ${quote(text)}: value out of range`)
  return number
}

function parseOddFloat(text: string): number | undefined {
  const named = special.exec(text)
  if (named) {
    if (named[2] !== undefined) return named[1] === '' ? Number.NaN : undefined
    return named[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  }
  if (underscored.test(text)) return Number(text.replaceAll('_', ''))
  const match = hex.exec(text)
  if (!match || (!match[2] && !match[3])) return undefined
  const whole = (match[2] ?? '').replaceAll('_', '')
  const fraction = match[3] ?? ''
  const mantissa = Number(BigInt(`0x${whole}${fraction}`))
  const value = mantissa * 2 ** (Number(match[4]) - 4 * fraction.length)
  return match[1] === '-' ? -value : value
}

/** time.ParseDuration, nanoseconds. Throws {@link GoParseError}. */
export function parseGoDurationStrictly(text: string): bigint {
  const duration = parseGoDuration(text)
  if (duration !== undefined) return duration
  const rest = /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))*(?:\d+\.?\d*|\.\d+)([^\d.]*)/.exec(text)
  if (rest && rest[0] !== '') {
    const unit = rest[1]!
    if (unit === '') throw new GoParseError(`time: missing unit in duration ${quoteBytes(text)}`)
    if (!/^(?:ns|us|µs|μs|ms|s|m|h)$/.test(unit))
      throw new GoParseError(`time: unknown unit ${quoteBytes(unit)} in duration ${quoteBytes(text)}`)
  }
  throw new GoParseError(`time: invalid duration ${quoteBytes(text)}`)
}

/** As Go's package time quotes: all but plain ASCII byte by byte. */
function quoteBytes(text: string): string {
  const escaped = text.replaceAll(/["\\]|[^ -\x7f]+/g, (part) => {
    if (part === '"' || part === '\\') return `\\${part}`
    return Buffer.from(part).reduce((written, byte) => `${written}\\x${byte.toString(16).padStart(2, '0')}`, '')
  })
  return `"${escaped}"`
}

const sizes = new Map<string, number>([
  ['', 1],
  ['b', 1],
])
for (const [i, prefix] of ['k', 'm', 'g', 't', 'p', 'e'].entries()) {
  for (const suffix of ['', 'b']) sizes.set(prefix + suffix, 1000 ** (i + 1))
  for (const suffix of ['i', 'ib']) sizes.set(prefix + suffix, 1024 ** (i + 1))
}

/** humanize.ParseBytes: `1.5 KiB`, `42`. Bytes; throws {@link GoParseError}. */
export function parseHumanBytes(text: string): number {
  const digits = /^[\p{Nd}.,]*/u.exec(text)![0]
  const number = parseGoFloat(digits.replaceAll(',', ''))
  const unit = text.slice(digits.length).trim().toLowerCase()
  const factor = sizes.get(unit)
  if (factor === undefined) throw new GoParseError(`unhandled size name: ${unit}`)
  const bytes = number * factor
  if (bytes >= 2 ** 64) throw new GoParseError(`too large: ${text}`)
  return Math.trunc(bytes)
}
