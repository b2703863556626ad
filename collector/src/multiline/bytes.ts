/** Comparing bytes in place. A literal is an array of bytes, made once. */

export const space = 0x20
export const tab = 0x09
export const colon = 0x3a

export type Literal = Uint8Array

export function literal(text: string): Literal {
  return Uint8Array.from(Buffer.from(text, 'latin1'))
}

export function startsWith(b: Buffer, at: number, end: number, text: Literal): boolean {
  if (end - at < text.length) return false
  for (let i = 0; i < text.length; i++) if (b[at + i] !== text[i]) return false
  return true
}

export function endsWith(b: Buffer, start: number, end: number, text: Literal): boolean {
  return end - start >= text.length && startsWith(b, end - text.length, end, text)
}

export function behindBlanks(b: Buffer, at: number, end: number): number {
  let p = at
  while (p < end && (b[p] === space || b[p] === tab)) p++
  return p
}

export function isBlank(byte: number | undefined): boolean {
  return byte === space || byte === tab
}

export function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}

export function isUpper(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x41 && byte <= 0x5a
}

/** A letter, digit, underscore or dollar sign. */
export function isWord(byte: number | undefined): boolean {
  if (byte === undefined) return false
  const lower = byte | 0x20
  return (lower >= 0x61 && lower <= 0x7a) || isDigit(byte) || byte === 0x5f || byte === 0x24
}
