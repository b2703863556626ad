import { parseDuration } from '@tributary/protocol/units.ts'

/** A point in time as people write it: RFC 3339, seconds or nanoseconds since 1970, or a duration ago (`1h`). Nanoseconds since 1970. */
export function parseTime(text: string, now: number): bigint {
  if (/^\d{1,10}$/.test(text)) return BigInt(text) * 1_000_000_000n
  if (/^\d{11,}$/.test(text)) return BigInt(text)
  const ago = parseDuration(text)
  if (ago !== undefined) return BigInt(Math.round(now - ago)) * 1_000_000n
  const ms = Date.parse(text)
  if (Number.isNaN(ms))
    throw new Error(
      `"${text}" is not a time: write 2026-01-31T10:00:00Z, seconds since 1970, or a duration ago such as 1h`,
    )
  return BigInt(ms) * 1_000_000n
}

/** What --from, --to and --since say together. */
export function parseRange(
  options: { since?: string; from?: string; to?: string },
  now: number,
): { start: bigint; end: bigint } {
  const end = options.to === undefined ? BigInt(now) * 1_000_000n : parseTime(options.to, now)
  if (options.from !== undefined) return { start: parseTime(options.from, now), end }
  const since = parseDuration(options.since ?? '1h')
  if (since === undefined)
    throw new Error(`--since: "${options.since}" is not a duration: write numbers and units, such as 15m or 1h30m`)
  return { start: end - BigInt(Math.round(since)) * 1_000_000n, end }
}

/** `2026-01-31T10:00:00.123456789Z` from decimal nanoseconds. */
export function formatNanoseconds(timestamp: string): string {
  const digits = timestamp.padStart(10, '0')
  const seconds = Number(digits.slice(0, -9))
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${digits.slice(-9)}Z`
}
