/** The values of annotations that say what is done with a pod's lines. Pure. */
import { languages } from '../multiline/config.ts'
import type { RateLimit, StreamPolicy } from './log-policy.ts'

/** Names that the configuration defines and annotations may use. */
export interface KnownNames {
  readonly parsers: Iterable<string>
  /** Start patterns of `multiline.patterns`. */
  readonly patterns: Iterable<string>
}

/** A value, or what it should have been: completes "write …". */
export type Parsed<T> = { readonly value: T } | { readonly cure: string }

/** What can be said of a stream, by the last part of the annotation's name, and how its value is read. */
export interface ValueReader {
  readonly key: keyof StreamPolicy
  read(text: string, known: KnownNames): Parsed<StreamPolicy[keyof StreamPolicy]>
}

export const valueReaders: Readonly<Record<string, ValueReader>> = {
  exclude: { key: 'exclude', read: readBoolean },
  parser: { key: 'parser', read: readParser },
  multiline: { key: 'multiline', read: readMultiline },
  sample: { key: 'sample', read: readShare },
  'rate-limit': { key: 'rateLimit', read: readRateLimit },
}

/** Of Fluent Bit's, those with the same meaning. */
export const fluentBitReaders: Readonly<Record<string, ValueReader>> = {
  exclude: { key: 'exclude', read: readBoolean },
  parser: { key: 'parser', read: readFluentBitParser },
}

function readBoolean(text: string): Parsed<boolean> {
  const word = text.trim().toLowerCase()
  if (['true', 'on', 'yes'].includes(word)) return { value: true }
  if (['false', 'off', 'no'].includes(word)) return { value: false }
  return { cure: '"true" or "false"' }
}

function readParser(text: string, { parsers }: KnownNames): Parsed<string | undefined> {
  const name = text.trim()
  if (name === 'off') return { value: undefined }
  return oneOf(name, [...parsers, 'off'])
}

/** Parsers of the parsers.conf that comes with Fluent Bit, where ours reads the same under another name. */
const fluentBitParsers: Readonly<Record<string, string>> = { docker: 'json' }

function readFluentBitParser(text: string, { parsers }: KnownNames): Parsed<string | undefined> {
  const name = text.trim()
  const known = [...parsers]
  return oneOf(known.includes(name) ? name : (fluentBitParsers[name] ?? name), known)
}

function readMultiline(text: string, { patterns }: KnownNames): Parsed<string> {
  return oneOf(text.trim(), ['auto', 'off', ...languages, ...patterns])
}

function oneOf(name: string, names: readonly string[]): Parsed<string> {
  return names.includes(name) ? { value: name } : { cure: `one of ${names.join(', ')}` }
}

function readShare(text: string): Parsed<number> {
  const [, digits, percent] = /^(\d+(?:\.\d+)?)\s*(%?)$/.exec(text.trim()) ?? []
  const share = Number(digits) / (percent === '%' ? 100 : 1)
  return share <= 1 ? { value: share } : { cure: 'a share from 0 to 1, such as "0.1", or per cent, such as "10%"' }
}

const secondsPer: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 }

/** `100/s`, or with its burst `100/s,burst=500`; without one, the burst is what a second allows, at least one line. */
function readRateLimit(text: string): Parsed<RateLimit | undefined> {
  if (text.trim() === 'off') return { value: undefined }
  const [, count, unit, burst] = /^(\d+(?:\.\d+)?)\s*\/\s*([smh])(?:\s*,\s*burst\s*=\s*(\d+))?$/.exec(text.trim()) ?? []
  const linesPerSecond = Number(count) / secondsPer[unit ?? '']!
  const lines = burst === undefined ? Math.max(1, Math.ceil(linesPerSecond)) : Number(burst)
  if (!(linesPerSecond > 0) || !(lines >= 1) || !Number.isFinite(linesPerSecond))
    return { cure: 'lines a second, minute or hour, such as "100/s" or "100/s,burst=500", or "off"' }
  return { value: { linesPerSecond, burst: lines } }
}
