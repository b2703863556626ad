/**
 * String literals as Go writes them: double quotes with escapes, or backticks without. A literal can name bytes that are not
 * UTF-8 (`"\xff"`); such a byte is kept as the lone surrogate U+DC00 + byte, so that nothing is lost and it can be recognised.
 */

const simple: Record<string, string> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
}

/** The value of a literal with its quotes; undefined when an escape is wrong. */
export function unquote(literal: string): string | undefined {
  const body = literal.slice(1, -1)
  // Go drops carriage returns from raw strings.
  if (literal.startsWith('`')) return body.replaceAll('\r', '')
  if (!body.includes('\\')) return body
  const bytes: Buffer[] = []
  for (let at = 0; at < body.length; ) {
    if (body[at] !== '\\') {
      const next = body.indexOf('\\', at)
      const end = next === -1 ? body.length : next
      bytes.push(Buffer.from(body.slice(at, end)))
      at = end
      continue
    }
    const escaped = readEscape(body, at + 1)
    if (!escaped) return undefined
    bytes.push(escaped.bytes)
    at = escaped.end
  }
  return decodeBytes(Buffer.concat(bytes))
}

function readEscape(body: string, at: number): { bytes: Buffer; end: number } | undefined {
  const letter = body[at] ?? ''
  const plain = simple[letter]
  if (plain !== undefined) return { bytes: Buffer.from(plain), end: at + 1 }
  const octal = /^[0-3][0-7]{2}/.exec(body.slice(at, at + 3))
  if (octal) return { bytes: Buffer.from([Number.parseInt(octal[0], 8)]), end: at + 3 }
  const digits = letter === 'x' ? 2 : letter === 'u' ? 4 : letter === 'U' ? 8 : 0
  const hex = body.slice(at + 1, at + 1 + digits)
  if (digits === 0 || hex.length !== digits || !/^[0-9a-fA-F]+$/.test(hex)) return undefined
  const value = Number.parseInt(hex, 16)
  const end = at + 1 + digits
  if (letter === 'x') return { bytes: Buffer.from([value]), end }
  if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return undefined
  return { bytes: Buffer.from(String.fromCodePoint(value)), end }
}

export function decodeBytes(bytes: Buffer): string {
  const text = bytes.toString('utf8')
  if (!text.includes('\ufffd')) return text
  let out = ''
  for (let at = 0; at < bytes.length; ) {
    const length = runeLength(bytes, at)
    out += length === 0 ? String.fromCharCode(0xdc00 + bytes[at]!) : bytes.subarray(at, at + length).toString('utf8')
    at += Math.max(1, length)
  }
  return out
}

/** Length of the character at `at` in bytes, 0 when it is not UTF-8. */
function runeLength(bytes: Buffer, at: number): number {
  const first = bytes[at]!
  const length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0
  if (length === 0 || at + length > bytes.length) return 0
  const decoded = bytes.subarray(at, at + length).toString('utf8')
  return Buffer.byteLength(decoded) === length && (decoded !== '\ufffd' || first === 0xef) && !/\ufffd./u.test(decoded)
    ? length
    : 0
}

/** The bytes that a text of {@link decodeBytes} stands for. */
export function textBytes(text: string): Buffer {
  const pieces = text.split(/([\udc80-\udcff])/u)
  return Buffer.concat(
    pieces.map((piece) => (piece.isWellFormed() ? Buffer.from(piece) : Buffer.from([piece.charCodeAt(0) - 0xdc00]))),
  )
}

/** Whether the literal named bytes that are not UTF-8. */
export const hasRawBytes = (value: string): boolean => !value.isWellFormed()

/** The value as a double-quoted literal that {@link unquote} reads back. */
export function quote(value: string): string {
  let out = ''
  for (const character of value) {
    const code = character.codePointAt(0)!
    if (character === '"' || character === '\\') out += `\\${character}`
    else if (character === '\n') out += '\\n'
    else if (character === '\t') out += '\\t'
    else if (code < 0x20 || code === 0x7f) out += `\\x${code.toString(16).padStart(2, '0')}`
    else if (code >= 0xdc00 && code <= 0xdfff) out += `\\x${(code - 0xdc00).toString(16).padStart(2, '0')}`
    else out += character
  }
  return `"${out}"`
}
