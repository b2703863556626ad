/**
 * Scans JSON as tolerantly as Loki's parser does: only what is passed is looked at, numbers are whatever begins like one, a comma may end
 * an object. Positions are indexes into the text; -1 says that something has no end.
 */

export type JsonType = 'string' | 'number' | 'boolean' | 'null' | 'object' | 'array'

/** Texts of the errors. */
export const jsonErrors = {
  object: "Value looks like object, but can't find closing '}' symbol",
  array: "Value is array, but can't find closing ']' symbol",
  string: "Value is string, but can't find closing '\"' symbol",
  json: 'Malformed JSON error',
  value: 'Unknown value type',
  escape: 'Encountered an invalid escape sequence in a string',
} as const

const quoteMark = 0x22
const backslash = 0x5c

/** The next character that is no blank, or -1. */
export function nextToken(text: string, at: number, end: number): number {
  for (let p = at; p < end; p++) {
    const c = text.charCodeAt(p)
    if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return p
  }
  return -1
}

/** The closing quote of a string that begins at `at`, behind its opening quote, or -1. */
export function stringEnd(text: string, at: number, end: number): number {
  for (let p = text.indexOf('"', at); p !== -1 && p < end; p = text.indexOf('"', p + 1)) {
    let slashes = 0
    while (p - 1 - slashes >= at && text.charCodeAt(p - 1 - slashes) === backslash) slashes++
    if (slashes % 2 === 0) return p
  }
  return -1
}

/** Behind the bracket that closes the one at `at`, or -1. */
export function blockEnd(text: string, at: number, end: number, open: number, close: number): number {
  let level = 0
  for (let p = at; p < end; p++) {
    const c = text.charCodeAt(p)
    if (c === quoteMark) {
      p = stringEnd(text, p + 1, end)
      if (p === -1) return -1
    } else if (c === open) level++
    else if (c === close && --level === 0) return p + 1
  }
  return -1
}

/** A value, without its quotes if it is a string. One object, used again for each value. */
export class JsonValue {
  type: JsonType = 'null'
  start = 0
  end = 0
  /** Behind the value, its quotes included. */
  next = 0

  /** Reads the value at or behind `at`; returns the text of an error, or ''. */
  read(text: string, at: number, end: number): string {
    const start = nextToken(text, at, end)
    if (start === -1) return jsonErrors.json
    const c = text.charCodeAt(start)
    if (c === quoteMark) {
      const close = stringEnd(text, start + 1, end)
      if (close === -1) return jsonErrors.string
      return this.#found('string', start + 1, close, close + 1)
    }
    if (c === 0x7b) {
      const close = blockEnd(text, start, end, 0x7b, 0x7d)
      return close === -1 ? jsonErrors.object : this.#found('object', start, close, close)
    }
    if (c === 0x5b) {
      const close = blockEnd(text, start, end, 0x5b, 0x5d)
      return close === -1 ? jsonErrors.array : this.#found('array', start, close, close)
    }
    return this.#word(text, start, end, c)
  }

  #word(text: string, start: number, end: number, first: number): string {
    let p = start
    for (; p < end; p++) {
      const c = text.charCodeAt(p)
      if (c === 0x2c || c === 0x7d || c === 0x5d || c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) break
    }
    if ((first >= 0x30 && first <= 0x39) || first === 0x2d) return this.#found('number', start, p, p)
    const word = text.slice(start, p)
    if (word === 'true' || word === 'false') return this.#found('boolean', start, p, p)
    return word === 'null' ? this.#found('null', start, p, p) : jsonErrors.value
  }

  #found(type: JsonType, start: number, end: number, next: number): string {
    this.type = type
    this.start = start
    this.end = end
    this.next = next
    return ''
  }
}

const escapes: Record<string, string> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

/** The string that stands between quotes; undefined when an escape is wrong, such as half of a surrogate pair. */
export function unescapeJson(raw: string): string | undefined {
  if (!raw.includes('\\')) return raw
  let out = ''
  for (let at = 0; at < raw.length; ) {
    const slash = raw.indexOf('\\', at)
    if (slash === -1) return out + raw.slice(at)
    out += raw.slice(at, slash)
    const letter = raw[slash + 1]
    if (letter === 'u') {
      const code = hexCode(raw, slash + 2)
      if (code === undefined) return undefined
      at = slash + 6
      if (code >= 0xd800 && code < 0xe000) {
        const low = raw.startsWith('\\u', at) ? hexCode(raw, at + 2) : undefined
        if (code >= 0xdc00 || low === undefined || low < 0xdc00 || low >= 0xe000) return undefined
        out += String.fromCharCode(code, low)
        at += 6
      } else out += String.fromCharCode(code)
    } else {
      const plain = letter === undefined ? undefined : escapes[letter]
      if (plain === undefined) return undefined
      out += plain
      at = slash + 2
    }
  }
  return out
}

function hexCode(text: string, at: number): number | undefined {
  const digits = text.slice(at, at + 4)
  return /^[\da-fA-F]{4}$/.test(digits) ? Number.parseInt(digits, 16) : undefined
}
