/** The functions of LogQL's templates: those of its own, and those it takes from the sprig library. */
import { GoParseError, parseGoDurationStrictly, parseGoFloat, parseHumanBytes } from '../go-parse.ts'
import { Regex } from '../regex-match.ts'
import { TemplateError } from './error.ts'
import { mathFunctions } from './math.ts'
import { fn, limited, type TemplateFunction } from './signature.ts'
import { textFunctions } from './text.ts'
import { GoTime, parseTime, utc, zeroTime, zoneOf } from './time.ts'
import { isTrue, type TemplateValue } from './value.ts'

const maxRegexes = 200
const regexes = new Map<string, Regex>()

function regex(pattern: string): Regex {
  const known = regexes.get(pattern)
  if (known) return known
  try {
    const compiled = new Regex(pattern)
    if (regexes.size >= maxRegexes) regexes.clear()
    regexes.set(pattern, compiled)
    return compiled
  } catch (error) {
    throw new TemplateError((error as Error).message.replace(/^parse error : /, ''))
  }
}

/** Go's own errors fail the template. */
function parsed<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw error instanceof GoParseError ? new TemplateError(error.message) : error
  }
}

const second = 1_000_000_000n

/** Seconds, milli-, micro- or nanoseconds, or days, told apart by the number of digits. */
const epochUnits: Record<number, bigint> = { 5: 86_400n * second, 10: second, 13: 1_000_000n, 16: 1000n, 19: 1n }

function timeOfEpoch(text: string): GoTime {
  if (!/^[+-]?\d+$/.test(text))
    throw new TemplateError(
      `unable to parse time '${text}': strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`,
    )
  const unit = epochUnits[text.length]
  if (unit === undefined) throw new TemplateError(`unable to parse time '${text}': %!w(<nil>)`)
  return new GoTime(BigInt(text) * unit)
}

/** A time, or seconds since 1970; whatever else it is means now. */
function anyTime(value: TemplateValue): GoTime {
  if (value instanceof GoTime) return value
  return typeof value === 'bigint' ? new GoTime(value * second) : now()
}

const now = (): GoTime => new GoTime(BigInt(Date.now()) * 1_000_000n)

function fromJson(text: string): TemplateValue {
  try {
    return templateValue(JSON.parse(text))
  } catch {
    // As in Go, what is no JSON is nil.
    return null
  }
}

function templateValue(value: unknown): TemplateValue {
  if (Array.isArray(value)) return value.map(templateValue)
  if (value !== null && typeof value === 'object')
    return new Map(Object.entries(value).map(([key, item]) => [key, templateValue(item)]))
  return value as TemplateValue
}

function queryUnescape(text: string): string {
  const wrong = /%(?![\da-fA-F]{2}).{0,2}/s.exec(text)
  if (wrong) throw new TemplateError(`invalid URL escape ${JSON.stringify(wrong[0])}`)
  const bytes = text
    .replaceAll('+', ' ')
    .replace(/(?:%[\da-fA-F]{2})+/g, (escaped) => Buffer.from(escaped.replaceAll('%', ''), 'hex').toString('utf8'))
  return bytes
}

const queryEscape = (text: string): string =>
  encodeURIComponent(text.toWellFormed())
    .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')

export const functions: Readonly<Record<string, TemplateFunction>> = {
  ...textFunctions,
  ...mathFunctions,
  regexReplaceAll: fn('sss', (pattern: string, text: string, replacement: string) => {
    const compiled = regex(pattern)
    return limited(compiled.replace(text, (match) => compiled.expand(replacement, match)))
  }),
  regexReplaceAllLiteral: fn('sss', (pattern: string, text: string, replacement: string) =>
    limited(regex(pattern).replace(text, () => replacement)),
  ),
  count: fn('ss', (pattern: string, text: string) => BigInt([...regex(pattern).all(text)].length)),
  urldecode: fn('s', queryUnescape),
  urlencode: fn('s', queryEscape),
  bytes: fn('s', (text: string) => parsed(() => parseHumanBytes(text))),
  duration: fn('s', (text: string) => parsed(() => Number(parseGoDurationStrictly(text)) / 1e9)),
  duration_seconds: fn('s', (text: string) => parsed(() => Number(parseGoDurationStrictly(text)) / 1e9)),
  unixEpoch: fn('t', (time: GoTime) => String(floor(time.nanoseconds, second))),
  unixEpochMillis: fn('t', (time: GoTime) => String(floor(time.nanoseconds, 1_000_000n))),
  unixEpochNanos: fn('t', (time: GoTime) => String(time.nanoseconds)),
  unixToTime: fn('s', timeOfEpoch),
  toDateInZone: fn('sss', (layout: string, zone: string, text: string) => {
    const place = zoneOf(zone) ?? utc
    return parseTime(layout, text, place) ?? new GoTime(zeroTime)
  }),
  toDate: fn('ss', (layout: string, text: string) => parseTime(layout, text, utc) ?? new GoTime(zeroTime)),
  date: fn('sa', (layout: string, time: TemplateValue) => anyTime(time).format(layout)),
  now: fn('', now),
  fromJson: fn('s', fromJson),
  default: fn('aa*', (fallback: TemplateValue, value: TemplateValue = null) => (isTrue(value) ? value : fallback)),
  float64: fn('a', toFloat),
}

function floor(value: bigint, unit: bigint): bigint {
  const quotient = value / unit
  return value % unit < 0n ? quotient - 1n : quotient
}

/** Whatever is no number is 0. */
export function toFloat(value: TemplateValue): number {
  if (typeof value === 'number') return value
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value)
  if (typeof value !== 'string') return 0
  try {
    return parseGoFloat(value)
  } catch {
    // As in Go, see above.
    return 0
  }
}
