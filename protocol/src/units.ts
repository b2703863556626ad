import { z } from 'zod'

const sizeUnits: Record<string, number> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
}
const durationUnits: Record<string, number> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86400e3, w: 604800e3 }

/** `64MiB`, `1.5GB`, `1024` as bytes; undefined when it is not a size. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim())
  const unit = sizeUnits[match?.[2] ?? '?']
  return match && unit !== undefined ? Math.round(Number(match[1]) * unit) : undefined
}

/** `5s`, `1h30m`, `250ms` as milliseconds; undefined when it is not a duration. A bare `0` is a duration too. */
export function parseDuration(text: string): number | undefined {
  if (text.trim() === '0') return 0
  let rest = text.trim()
  let total = 0
  if (rest === '') return undefined
  while (rest !== '') {
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)/.exec(rest)
    if (!match) return undefined
    total += Number(match[1]) * durationUnits[match[2]!]!
    rest = rest.slice(match[0].length)
  }
  return total
}

/** A size in the configuration, such as `64MiB`; a number of bytes once parsed. */
export const size = z.union([z.string(), z.number()]).transform((value, context) => {
  const bytes = typeof value === 'number' ? value : parseSize(value)
  if (bytes === undefined || bytes < 0) {
    context.addIssue({ code: 'custom', message: `"${value}" is not a size: write a number and a unit, such as 64MiB` })
    return z.NEVER
  }
  return bytes
})

const notADuration = (value: unknown) => `"${value}" is not a duration: write numbers and units, such as 5s or 1h30m`

/** A duration in the configuration, such as `5s`; a number of milliseconds once parsed. */
export const duration = z
  // YAML's 0 is a number.
  .union([z.string(), z.literal(0)], { error: ({ input }) => notADuration(input) })
  .transform((value, context) => {
    const ms = parseDuration(String(value))
    if (ms !== undefined) return ms
    context.addIssue({ code: 'custom', message: notADuration(value) })
    return z.NEVER
  })

/** Longest wait of a timer, ms: 24 days. One that is told to wait for longer than 2^31 - 1 ms does not wait at all. */
export const longestWait = 24 * 86400e3

/** How long something is waited for, such as `5s`, as milliseconds for a timer. Anything beyond {@link longestWait} means that. */
export const wait = duration.transform((ms) => Math.min(ms, longestWait))

/** `64 MiB` for 67108864: for people, so rounded to three digits. */
export function formatSize(bytes: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  for (; value >= 1024 && unit < names.length - 1; unit++) value /= 1024
  return `${Number(value.toPrecision(3))} ${names[unit]}`
}
