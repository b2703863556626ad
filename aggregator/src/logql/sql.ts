/** Pieces that every statement is made of. Values become parameters; the text holds only what is written in this folder. */
import type { Matcher } from './ast.ts'
import { textBytes } from './quote.ts'
import type { Statement } from './rows.ts'
import type { TenantScope } from './tenant-scope.ts'

/** Stream labels that have a column of their own in `logs`; the others are in its `labels` map. */
export const wideLabels: ReadonlySet<string> = new Set([
  'cluster',
  'namespace',
  'pod',
  'container',
  'node',
  'app',
  'service_name',
  'stream',
])

/** The structured metadata that has a column of its own, `level`. */
export const levelLabel = 'detected_level'

/** Collects the parameters of one statement. */
export class Parameters {
  readonly #values: Record<string, unknown> = {}
  #count = 0
  #scope: TenantScope | undefined

  /** Binds a value and returns its placeholder, such as `{p3:String}`. */
  bind(type: string, value: unknown): string {
    const name = `p${this.#count++}`
    this.#values[name] = value
    return `{${name}:${type}}`
  }

  /** Text that stands for bytes which are not UTF-8 (quote.ts) is bound as hexadecimal digits: parameters are text. */
  string(value: string): string {
    if (value.isWellFormed()) return this.bind('String', value)
    return `unhex(${this.bind('String', textBytes(value).toString('hex'))})`
  }

  int(value: bigint): string {
    return this.bind('Int64', value.toString())
  }

  time(nanoseconds: bigint): string {
    return `fromUnixTimestamp64Nano(${this.int(nanoseconds)}, 'UTC')`
  }

  /** Called by {@link TenantScope.condition} alone. */
  restrictTo(scope: TenantScope): void {
    this.#scope = scope
  }

  statement(...lines: string[]): Statement {
    return { sql: lines.filter((line) => line !== '').join('\n'), params: this.#values, scope: this.#scope }
  }
}

/** What DateTime64(9) can hold, 1900 to 2262, nanoseconds. */
const minTime = -2_208_988_800_000_000_000n
const maxTime = (1n << 63n) - 1n

/** The bucket in the sort key is a DateTime: 1970 to 2106. Outside of it the predicate would cut off what it should not. */
const minBucketed = 0n
const maxBucketed = 4_294_000_000_000_000_000n

export function clampTime(nanoseconds: bigint): bigint {
  return nanoseconds < minTime ? minTime : nanoseconds > maxTime ? maxTime : nanoseconds
}

/** A stretch as long as this is cut out of the sort key by its five minutes alone, nanoseconds: what of the first and the last is too much is little. */
const longStretch = 3_600_000_000_000n

/**
 * Rows with first <= ts <= last. The five-minute bucket leads the sort key and is written out, exactly as it stands in the schema: a
 * condition on `ts` alone does not use it. It is a hint, of which no row is asked: the times say it all.
 *
 * In a long stretch the engine is not to see that `ts` ends the sort key: it would weigh all seven columns of the key for each granule, some
 * 2 µs, where a binary search for the buckets finds nearly the same.
 */
export function timeConditions(parameters: Parameters, first: bigint, last: bigint): string[] {
  const from = parameters.time(clampTime(first))
  const to = parameters.time(clampTime(last))
  const isBucketed = (time: bigint) => time >= minBucketed && time < maxBucketed
  const bucket = (time: string) => `toStartOfFiveMinutes(${time})`
  const hints = [
    ...(isBucketed(first) ? [`${bucket('ts')} >= ${bucket(from)}`] : []),
    ...(isBucketed(last) ? [`${bucket('ts')} <= ${bucket(to)}`] : []),
  ]
  const time = hints.length === 2 && last - first >= longStretch ? 'identity(ts)' : 'ts'
  const hint = hints.length > 0 ? [`indexHint(${all(hints)})`] : []
  return [`${time} >= ${from}`, `${time} <= ${to}`, ...hint]
}

/** A value against a matcher: the whole of it has to match. In a selector the dot matches newlines too. */
export function matcherCondition(parameters: Parameters, value: string, matcher: Matcher, dotAll: boolean): string {
  if (matcher.op === '=') return `${value} = ${parameters.string(matcher.value)}`
  if (matcher.op === '!=') return `${value} != ${parameters.string(matcher.value)}`
  const regex = dotAll ? `^(?s:${matcher.value})$` : `(?-s)^(?:${matcher.value})$`
  return `${matcher.op === '!~' ? 'NOT ' : ''}match(${value}, ${parameters.string(regex)})`
}

export const all = (conditions: readonly string[]): string => conditions.map((item) => `(${item})`).join(' AND ')
