/** Methods of a time that templates can call, such as `__timestamp__.Unix`. The time itself is the first argument. */
import { fn, type TemplateFunction } from './signature.ts'
import { GoTime, utc, zoneOf } from './time.ts'

const part = (layout: string): TemplateFunction => fn('t', (time: GoTime) => BigInt(time.format(layout).trim()))
const epoch = (unit: bigint): TemplateFunction => fn('t', (time: GoTime) => floor(time.nanoseconds, unit))

function floor(value: bigint, unit: bigint): bigint {
  return value / unit - (value % unit < 0n ? 1n : 0n)
}

export const timeMethods: Readonly<Record<string, TemplateFunction>> = {
  Format: fn('ts', (time: GoTime, layout: string) => time.format(layout)),
  String: fn('t', (time: GoTime) => time.toString()),
  UTC: fn('t', (time: GoTime) => new GoTime(time.nanoseconds, utc)),
  Local: fn('t', (time: GoTime) => new GoTime(time.nanoseconds, zoneOf('Local'))),
  Unix: epoch(1_000_000_000n),
  UnixMilli: epoch(1_000_000n),
  UnixMicro: epoch(1000n),
  UnixNano: epoch(1n),
  Year: part('2006'),
  Month: fn('t', (time: GoTime) => time.format('January')),
  Day: part('2'),
  Hour: part('15'),
  Minute: part('4'),
  Second: part('5'),
  Nanosecond: fn('t', (time: GoTime) => ((time.nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n),
  YearDay: part('002'),
  Weekday: fn('t', (time: GoTime) => time.format('Monday')),
}
