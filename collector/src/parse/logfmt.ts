import type { Parser } from './parser.ts'

/** `key=value key="a value" flag`. A line without any `key=` is not logfmt; a key without a value has an empty one. */
export const logfmtParser: Parser = {
  name: 'logfmt',
  parse(bytes, start, end, take) {
    if (!hasEquals(bytes, start, end)) return false
    const text = bytes.toString('utf8', start, end)
    let pairs = 0
    for (let at = 0; at < text.length; ) {
      if (text.charCodeAt(at) <= 0x20) {
        at++
        continue
      }
      const keyEnd = behindKey(text, at)
      const key = text.slice(at, keyEnd)
      if (text[keyEnd] !== '=') {
        take(key, '')
        at = Math.max(keyEnd, at + 1)
        continue
      }
      const quoted = text[keyEnd + 1] === '"'
      const valueEnd = quoted ? closingQuote(text, keyEnd + 2) : behindValue(text, keyEnd + 1)
      if (valueEnd === -1 || key === '') return false
      take(key, quoted ? unquote(text.slice(keyEnd + 2, valueEnd)) : text.slice(keyEnd + 1, valueEnd))
      pairs++
      at = quoted ? valueEnd + 1 : valueEnd
    }
    return pairs > 0
  },
}

function hasEquals(bytes: Buffer, start: number, end: number): boolean {
  for (let p = start; p < end; p++) if (bytes[p] === 0x3d) return true
  return false
}

function behindKey(text: string, from: number): number {
  let at = from
  while (at < text.length && text.charCodeAt(at) > 0x20 && text[at] !== '=' && text[at] !== '"') at++
  return at
}

function behindValue(text: string, from: number): number {
  let at = from
  while (at < text.length && text.charCodeAt(at) > 0x20) at++
  return at
}

/** Position of the quote that closes the value, or -1. */
function closingQuote(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '"') return at
  }
  return -1
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }

function unquote(text: string): string {
  if (!text.includes('\\')) return text
  return text.replace(/\\(?:u([0-9A-Fa-f]{4})|(.))/gs, (_, code?: string, c?: string) =>
    code === undefined ? (escapes[c!] ?? c!) : String.fromCharCode(Number.parseInt(code, 16)),
  )
}
