/** Durations and sizes as Go's and Prometheus' parsers read them. */

const ns = 1n
const us = 1_000n
const ms = 1_000_000n
const second = 1_000_000_000n
const minute = 60n * second
const hour = 60n * minute
const day = 24n * hour
const maxInt64 = (1n << 63n) - 1n

const prometheus = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/
const prometheusUnits = [365n * day, 7n * day, day, hour, minute, second, ms]

/** `5m`, `1h30m`, `1y` in nanoseconds: whole numbers, units from large to small, each once. Undefined when it is none. */
export function parsePrometheusDuration(text: string): bigint | undefined {
  if (text === '0') return 0n
  const match = text === '' ? null : prometheus.exec(text)
  if (!match) return undefined
  let total = 0n
  for (const [i, unit] of prometheusUnits.entries()) total += BigInt(match[i + 1] ?? 0) * unit
  return total > maxInt64 ? undefined : total
}

const goUnits: Record<string, bigint> = { ns, us, µs: us, μs: us, ms, s: second, m: minute, h: hour }

/** As Go's time.ParseDuration: signed, fractions, any order, no day. Nanoseconds; undefined when it is none. */
export function parseGoDuration(text: string): bigint | undefined {
  const sign = text.startsWith('-') ? -1n : 1n
  let rest = /^[+-]/.test(text) ? text.slice(1) : text
  if (rest === '0') return 0n
  if (rest === '') return undefined
  let total = 0n
  while (rest !== '') {
    const match = /^(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/.exec(rest)
    if (!match || ((match[1] ?? '') === '' && (match[2] ?? '') === '')) return undefined
    const unit = goUnits[match[3]!]!
    const fraction = match[2] ?? ''
    total += BigInt(match[1] || 0) * unit + (BigInt(fraction || 0) * unit) / 10n ** BigInt(fraction.length)
    if (total > maxInt64) return undefined
    rest = rest.slice(match[0].length)
  }
  return sign * total
}

const sizeUnits: Record<string, number> = { '': 1, b: 1 }
for (const [i, prefix] of ['k', 'm', 'g', 't', 'p', 'e'].entries()) {
  for (const suffix of ['', 'b']) sizeUnits[prefix + suffix] = 1000 ** (i + 1)
  for (const suffix of ['i', 'ib']) sizeUnits[prefix + suffix] = 1024 ** (i + 1)
}

/** `5KB` (1000), `5KiB` (1024), `1.5 gb`, `42`; upper or lower case. Undefined when it is no size. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:[.,\d]*\d)?\.?)\s*([A-Za-z]*)$/.exec(text)
  const unit = match && sizeUnits[match[2]!.toLowerCase()]
  if (!match || !unit) return undefined
  const number = Number(match[1]!.replaceAll(',', ''))
  const bytes = Math.trunc(number * unit)
  return Number.isNaN(number) || bytes >= 2 ** 64 ? undefined : bytes
}

/** A duration in a form that both parsers above accept: `1h30m`, `250ms`; Go's `15ns` where Prometheus has no unit small enough. */
export function formatDuration(nanoseconds: bigint): string {
  if (nanoseconds < 0n) return `-${formatDuration(-nanoseconds)}`
  if (nanoseconds === 0n) return '0s'
  let rest = nanoseconds
  let text = ''
  for (const [unit, name] of [
    [hour, 'h'],
    [minute, 'm'],
    [second, 's'],
    [ms, 'ms'],
    [ns, 'ns'],
  ] as const) {
    if (rest / unit > 0n) text += `${rest / unit}${name}`
    rest %= unit
  }
  return text
}
