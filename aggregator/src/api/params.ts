/** Parameters of requests, read with Loki's rules. */
import { durationProblem } from '../logql/lexer.ts'
import { parsePrometheusDuration } from '../logql/quantity.ts'

/** A parameter is wrong; answered as 400 with the message as plain text. */
export class ParameterError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'ParameterError'
  }
}

const second = 1_000_000_000n
const hour = 3600n * second

/** The values of a form and of the URL, the form first. */
export type Parameters = URLSearchParams

/**
 * A time in nanoseconds: with a dot, seconds, to the millisecond; up to ten digits, whole seconds; more digits, nanoseconds; else
 * RFC 3339 with up to nine digits of fraction.
 */
export function parseTime(text: string): bigint {
  if (/^[+-]?\d*\.\d*(?:[eE][+-]?\d+)?$/.test(text) && Number.isFinite(Number(text)) && /\d/.test(text))
    return BigInt(Math.round(Number(text) * 1000)) * 1_000_000n
  if (/^[+-]?\d+$/.test(text)) {
    const value = BigInt(text)
    if (text.length <= 10) return value * second
    if (value === BigInt.asIntN(64, value)) return value
  }
  const time = parseRfc3339(text)
  if (time === undefined) throw new ParameterError(notWhole('ParseInt', text))
  return time
}

/** Clients get what Go says of a text that is no whole number. */
function notWhole(parser: 'Atoi' | 'ParseInt', text: string): string {
  const why = /^[+-]?\d+$/.test(text) ? 'value out of range' : 'invalid syntax'
  return `strconv.${parser}: parsing ${JSON.stringify(text)}: ${why}`
}

/** A whole number as Go's Atoi takes it. */
export function parseCount(text: string): number {
  if (!/^[+-]?\d{1,15}$/.test(text)) throw new ParameterError(notWhole('Atoi', text))
  return Number(text)
}

const rfc3339 = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)$/

function parseRfc3339(text: string): bigint | undefined {
  const match = rfc3339.exec(text)
  if (!match) return undefined
  const milliseconds = Date.parse(`${match[1]}T${match[2]}${match[4]}`)
  // Date.parse takes the 30th of February for the 2nd of March, and hour 24 for the next day.
  const day = new Date(`${match[1]}T00:00:00Z`)
  if (Number.isNaN(milliseconds) || match[2]!.startsWith('24') || !day.toISOString().startsWith(match[1]!))
    return undefined
  return BigInt(milliseconds) * 1_000_000n + BigInt((match[3] ?? '').padEnd(9, '0'))
}

export interface TimeRange {
  /** Nanoseconds. */
  readonly start: bigint
  readonly end: bigint
}

/** `start`, `end` and `since`; an hour until now by default. */
export function readTimeRange(parameters: Parameters, now: bigint): TimeRange {
  const end = readBound(parameters, 'end') ?? now
  const start = readBound(parameters, 'start')
  if (start !== undefined) return { start, end }
  const sinceText = parameters.get('since')
  const since = sinceText ? named('since', () => readSince(sinceText)) : hour
  return { start: (end < now ? end : now) - since, end }
}

/** One end of a range of time, nanoseconds; undefined where the parameter says nothing. */
export function readBound(parameters: Parameters, name: 'start' | 'end'): bigint | undefined {
  const text = parameters.get(name)
  return text ? named(name, () => parseTime(text)) : undefined
}

function named<T>(name: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof ParameterError
      ? new ParameterError(`could not parse '${name}' parameter: ${error.message}`)
      : error
  }
}

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/
/** What Go reads as a number beside those. */
const infinite = /^[+-]?inf(?:inity)?$/i
const notANumber = /^nan$/i

function readSince(text: string): bigint {
  if (!decimal.test(text) && parsePrometheusDuration(text) === undefined)
    throw new ParameterError(durationProblem(text))
  return readDuration(text)
}

/** Seconds as a number, or a duration such as `1h30m`; nanoseconds. */
function readDuration(text: string): bigint {
  // The least there is: whoever asks for it refuses what is negative.
  if (notANumber.test(text)) return -(2n ** 63n)
  if (infinite.test(text) || (decimal.test(text) && Number.isFinite(Number(text)))) {
    const nanoseconds = infinite.test(text) ? Number.POSITIVE_INFINITY : Number(text) * 1e9
    if (Math.abs(nanoseconds) > 9.2e18)
      throw new ParameterError(`cannot parse ${JSON.stringify(text)} to a valid duration. It overflows int64`)
    return BigInt(Math.round(nanoseconds))
  }
  const duration = parsePrometheusDuration(text)
  if (duration === undefined) throw new ParameterError(`cannot parse ${JSON.stringify(text)} to a valid duration`)
  return duration
}

const defaultLimit = 100
/** Loki's max_entries_limit_per_query. */
export const maxEntries = 5000

export function readLimit(parameters: Parameters): number {
  const text = parameters.get('limit')
  if (!text) return defaultLimit
  const limit = parseCount(text)
  if (limit <= 0) throw new ParameterError('limit must be a positive value')
  return limit
}

/** Of a log query. */
export function checkEntryLimit(limit: number): void {
  if (limit <= maxEntries) return
  throw new ParameterError(
    `max entries limit per query exceeded, limit > max_entries_limit_per_query (${limit} > ${maxEntries})`,
  )
}

export function readDirection(parameters: Parameters): 'forward' | 'backward' {
  const text = parameters.get('direction') || 'backward'
  const direction = text.toLowerCase()
  if (direction !== 'forward' && direction !== 'backward') throw new ParameterError(`invalid direction '${text}'`)
  return direction
}

/** As many points as Loki gives. */
const maxPoints = 11_000n

/** The step of a metric query, nanoseconds; by default so that there are about 250 points. */
export function readStep(parameters: Parameters, { start, end }: TimeRange): bigint {
  const text = parameters.get('step')
  const wholeSeconds = (end - start) / second / 250n
  const step = text ? readDuration(text) : (wholeSeconds > 1n ? wholeSeconds : 1n) * second
  if (step <= 0n)
    throw new ParameterError('zero or negative query resolution step widths are not accepted. Try a positive integer')
  if ((end - start) / step > maxPoints) {
    throw new ParameterError(
      'exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter',
    )
  }
  return step
}

export function readInterval(parameters: Parameters): bigint {
  const text = parameters.get('interval')
  const interval = text ? readDuration(text) : 0n
  if (interval < 0n) throw new ParameterError('interval must be >= 0')
  return interval
}

/** `query`, which every query endpoint needs. */
export function readQuery(parameters: Parameters): string {
  return parameters.get('query') ?? ''
}
