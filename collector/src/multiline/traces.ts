/** Stack traces of several languages at once. The first that takes a line for a beginning has it. */
import { colon } from './bytes.ts'
import type { languages as allLanguages } from './config.ts'
import type { RecordDetector } from './detector.ts'
import { go } from './go.ts'
import type { LanguageDetector } from './language.ts'
import { php } from './php.ts'
import { python } from './python.ts'
import { ruby } from './ruby.ts'
import { throwables } from './throwable.ts'

export type Language = (typeof allLanguages)[number]

const emptyLine = 256
/** How far into a line its first colons are looked at, bytes: before an exception stand time, level and logger. */
const colonReach = 256
/** A state is the language's own in the low bits, and which language in those above. */
const stateBits = 4
const stateMask = (1 << stateBits) - 1

export function tracesOf(languages: readonly Language[]): RecordDetector {
  const has = (language: Language) => languages.includes(language)
  const detectors: LanguageDetector[] = []
  if (has('python')) detectors.push(python)
  if (has('go')) detectors.push(go)
  if (has('php')) detectors.push(php)
  if (has('ruby')) detectors.push(ruby)
  if (has('java') || has('node') || has('dotnet'))
    detectors.push(throwables({ java: has('java'), node: has('node'), dotnet: has('dotnet') }))
  const beforeColon = new Uint8Array(256)
  for (const byte of Buffer.from(detectors.map((one) => one.beforeColon).join(''))) beforeColon[byte] = 1
  const stateOf = (language: number, own: number) => ((language + 1) << stateBits) | own
  return {
    mayContinue: tableOf(detectors),
    begin(bytes, start, end) {
      const last = withoutReturn(bytes, start, end)
      for (let i = 0; i < detectors.length; i++) {
        const own = detectors[i]!.begin(bytes, start, last)
        if (own !== 0) return stateOf(i, own)
      }
      const reach = Math.min(last, start + colonReach)
      for (let p = start + 1; p < reach; p++) {
        if (bytes[p] !== colon || beforeColon[bytes[p - 1]!] === 0) continue
        for (let i = 0; i < detectors.length; i++) {
          const own = detectors[i]!.beginAtColon(bytes, start, p, last)
          if (own !== 0) return stateOf(i, own)
        }
      }
      return 0
    },
    next(state, bytes, start, end) {
      const language = state >> stateBits
      const own = detectors[language - 1]!.next(state & stateMask, bytes, start, withoutReturn(bytes, start, end))
      return own === 0 ? 0 : (language << stateBits) | own
    },
  }
}

function tableOf(detectors: readonly LanguageDetector[]): Uint8Array {
  const table = new Uint8Array(emptyLine + 1)
  for (const { second } of detectors) {
    for (const text of second) table[text === '' ? emptyLine : text.charCodeAt(0)] = 1
  }
  // An empty line of a program that ends its lines in CR LF.
  table[0x0d] = table[emptyLine]!
  return table
}

function withoutReturn(bytes: Buffer, start: number, end: number): number {
  return end > start && bytes[end - 1] === 0x0d ? end - 1 : end
}
