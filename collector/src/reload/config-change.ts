/** What a changed configuration file means for a collector that runs: which keys it takes now, and which wait for a restart. Pure. */
import { isDeepStrictEqual } from 'node:util'
import type { CollectorConfig } from '../config.ts'

/**
 * Keys, with all below them, that are taken without a restart. Every other decides where bytes come from or go to, or the size of what
 * was made at the start: a collector that changed it while it runs would be another collector.
 */
export const liveKeys: readonly string[] = [
  'logs.include',
  'logs.exclude',
  'logs.scanInterval',
  'logs.flushInterval',
  'logs.partialTimeout',
  'multiline',
  'parsers',
  'filters',
  'limits',
  'kubernetes.labels',
  'kubernetes.annotations',
  'kubernetes.promote',
  'kubernetes.imageId',
  'kubernetes.metadataTimeout',
  'shutdown',
  'log',
]

export interface ConfigChange {
  /** What the collector goes by now: all that is wanted, but for what waits. */
  readonly config: CollectorConfig
  /** Paths of the keys that changed and are taken. */
  readonly taken: readonly string[]
  /** Paths of the keys that changed and wait for a restart. */
  readonly waiting: readonly string[]
}

export function changeOf(current: CollectorConfig, wanted: CollectorConfig): ConfigChange {
  const paths = changedPaths(current, wanted, [])
  const taken = paths.filter(isLive)
  const waiting = paths.filter((path) => !isLive(path))
  let config = wanted
  for (const path of waiting) config = withValue(config, path, valueAt(current, path))
  return { config, taken, waiting }
}

function isLive(path: string): boolean {
  return liveKeys.some((key) => path === key || path.startsWith(`${key}.`))
}

type Section = Readonly<Record<string, unknown>>

/** Paths where the two differ; a list is one value. */
function changedPaths(a: unknown, b: unknown, path: readonly string[]): string[] {
  if (isSection(a) && isSection(b)) {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)])
    return [...keys].flatMap((key) => changedPaths(a[key], b[key], [...path, key]))
  }
  return isDeepStrictEqual(a, b) ? [] : [path.join('.')]
}

function isSection(value: unknown): value is Section {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

function valueAt(config: CollectorConfig, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (isSection(value) ? value[key] : undefined), config)
}

/** A copy with another value at the path; without the key where the value is undefined. */
function withValue<T>(config: T, path: string, value: unknown): T {
  const [key, ...rest] = path.split('.') as [string, ...string[]]
  const { [key]: old, ...others } = config as Section
  const replaced = rest.length === 0 ? value : withValue(isSection(old) ? old : {}, rest.join('.'), value)
  return (replaced === undefined ? others : { ...others, [key]: replaced }) as T
}
