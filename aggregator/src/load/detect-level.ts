/**
 * The level of a line, found by looking at its first bytes only: no regular expression, no JSON.parse, no string. Loki's values.
 */

/** `detected_level` by number; 0 is none, which queries see as a level of its own. */
export const levels = ['unknown', 'trace', 'debug', 'info', 'warn', 'error', 'critical', 'fatal'] as const

/** How far into a line a level is looked for, in bytes: beyond time, name and the first fields nobody writes it. */
const maxBytes = 200

const words: readonly (readonly [level: number, words: string])[] = [
  [1, 'trace trc trce'],
  [2, 'debug dbg dbug'],
  [3, 'info inf information informational notice'],
  [4, 'warn warning wrn'],
  [5, 'error err eror fail'],
  [6, 'critical crit alert emerg emergency'],
  [7, 'fatal panic'],
]
/** These count after a key, in capitals, as `[info]`, or as `info:` at the start: as words of a sentence they say nothing. */
const weak = new Set([
  'inf',
  'notice',
  'alert',
  'emergency',
  'information',
  'informational',
  'critical',
  'trace',
  'info',
  'fail',
])
const keys = ['level', 'lvl', 'severity', 'loglevel', 'levelname', 'log_level', 'severity_text']

interface Word {
  readonly bytes: Buffer
  readonly level: number
  readonly weak: boolean
}

const key = -1
/** What a word can be, by its first letter in lower case. */
const byFirst: Word[][] = Array.from({ length: 256 }, () => [])
for (const [level, list] of words) {
  for (const word of list.split(' ')) {
    byFirst[word.charCodeAt(0)]!.push({ bytes: Buffer.from(word), level, weak: weak.has(word) })
  }
}
for (const word of keys) byFirst[word.charCodeAt(0)]!.push({ bytes: Buffer.from(word), level: key, weak: false })

/** 0: between words. 1: in a word: a letter, digit or underscore. 2: a letter that one of our words starts with. */
const kind = new Uint8Array(256)
for (let c = 0; c < 26; c++) {
  const interesting = byFirst[97 + c]!.length > 0 ? 2 : 1
  kind[65 + c] = interesting
  kind[97 + c] = interesting
}
kind[95] = 1
for (let c = 48; c < 58; c++) kind[c] = 1

const pinoLevels: Readonly<Record<number, number>> = { 10: 1, 20: 2, 30: 3, 40: 4, 50: 5, 60: 7 }

/** By the letter that klog, the log of Kubernetes itself, begins its lines with: `E0102 15:04:05.000000`. */
const klogLevels = new Uint8Array(256)
for (const [letter, level] of Object.entries({ I: 3, W: 4, E: 5, F: 7 })) klogLevels[letter.charCodeAt(0)] = level

/**
 * The level of the line `bytes[start, end)` as an index into {@link levels}. A value after a key such as `level=` or `"severity":"`
 * wins, then the first word in capitals, then the first word that is a level in any case. Of a record of several lines, such as a stack
 * trace, the first one tells.
 */
export function detectLevel(bytes: Buffer, start: number, end: number): number {
  const stop = Math.min(end, start + maxBytes)
  const klog = start < end ? klogLevels[bytes[start]!]! : 0
  if (klog !== 0 && isKlog(bytes, start + 1, end)) return klog
  let fallback = 0
  let p = start
  while (p < stop) {
    const type = kind[bytes[p]!]!
    if (type === 0) {
      if (bytes[p] === 0x0a) break
      p = bytes[p] === 0x1b ? behindColour(bytes, p + 1, stop) : p + 1
      continue
    }
    if (type === 2) {
      const word = wordAt(bytes, p, end)
      if (word !== undefined) {
        const after = p + word.bytes.length
        if (word.level === key) {
          const level = valueAt(bytes, after, end)
          if (level !== 0) return level
        } else if (bytes[after - 1]! < 97) return word.level
        else if (fallback === 0 && (!word.weak || standsOut(bytes, start, p, after, end))) fallback = word.level
        p = after
        continue
      }
    }
    do p++
    while (p < stop && kind[bytes[p]!] !== 0)
  }
  return fallback
}

/** Month and day behind the letter, and a blank. */
function isKlog(bytes: Buffer, at: number, end: number): boolean {
  if (at + 5 > end || bytes[at + 4] !== 0x20) return false
  for (let i = 0; i < 4; i++) if (!isDigit(bytes[at + i])) return false
  return true
}

/** `[info]`, or `info:` where the line begins. */
function standsOut(bytes: Buffer, start: number, first: number, after: number, end: number): boolean {
  if (after >= end) return false
  return first === start ? bytes[after] === 0x3a : bytes[first - 1] === 0x5b && bytes[after] === 0x5d
}

/** Behind an escape sequence such as `ESC [ 32 m`: its letter is not part of the word that follows. */
function behindColour(bytes: Buffer, at: number, end: number): number {
  if (bytes[at] !== 0x5b) return at
  let p = at + 1
  while (p < end && (isDigit(bytes[p]) || bytes[p] === 0x3b)) p++
  return p < end && bytes[p] === 0x6d ? p + 1 : at
}

/** The word of ours that starts at `at` and ends there as a word. */
function wordAt(bytes: Buffer, at: number, end: number): Word | undefined {
  const candidates = byFirst[bytes[at]! | 0x20]!
  for (let i = 0; i < candidates.length; i++) {
    const word = candidates[i]!
    const text = word.bytes
    const after = at + text.length
    if (after > end) continue
    let k = 1
    while (k < text.length && (bytes[at + k]! | 0x20) === (text[k]! | 0x20)) k++
    if (k === text.length && (after === end || kind[bytes[after]!] === 0)) return word
  }
  return undefined
}

/** The level behind a key: `=info`, `":"info"`, `: 30`. */
function valueAt(bytes: Buffer, at: number, end: number): number {
  let p = at
  let separated = false
  // Quotes, escaped quotes, blanks, one separator.
  for (const limit = Math.min(end, at + 8); p < limit; p++) {
    const c = bytes[p]!
    if (c === 0x3d || c === 0x3a) separated = true
    else if (c !== 0x22 && c !== 0x27 && c !== 0x5c && c !== 0x20) break
  }
  if (!separated || p >= end) return 0
  const c = bytes[p]!
  if (c >= 0x31 && c <= 0x36 && bytes[p + 1] === 0x30 && p + 2 <= end && !isDigit(bytes[p + 2])) {
    return pinoLevels[(c - 0x30) * 10]!
  }
  const word = kind[c] === 2 ? wordAt(bytes, p, end) : undefined
  return word === undefined || word.level === key ? 0 : word.level
}

function isDigit(c: number | undefined): boolean {
  return c !== undefined && c >= 0x30 && c <= 0x39
}

/** The level that a word such as `Warning` names, as an index into {@link levels}; 0 when it names none. */
export function levelNamed(word: string): number {
  const bytes = Buffer.from(word)
  const found = bytes.length > 0 && kind[bytes[0]!] === 2 ? wordAt(bytes, 0, bytes.length) : undefined
  return found === undefined || found.level === key || found.bytes.length !== bytes.length ? 0 : found.level
}

/** By a severity of syslog, 0 (emergency) to 7 (debug); RFC 5424, section 6.2.1. */
const severityLevels = [6, 6, 6, 5, 4, 3, 3, 2] as const

/** The level of a severity of syslog, as an index into {@link levels}; 0 when it is none of the eight. */
export function severityLevel(severity: string | number): number {
  return /^[0-7]$/.test(String(severity)) ? severityLevels[Number(severity)]! : 0
}
