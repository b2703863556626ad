import { byteClass, type Found, type SecretPattern } from './pattern.ts'

const cardByte = byteClass(/[0-9 -]/)
const digit = byteClass(/[0-9]/)
const letter = byteClass(/[A-Za-z]/)
const minDigits = 13
const maxDigits = 19
/** Digits of the groups that numbers of cards are written in. */
const groupings = [
  [4, 4, 4, 4],
  [4, 4, 4, 4, 3],
  [4, 6, 5],
  [4, 6, 4],
] as const

/**
 * Numbers of payment cards whose check digit is right (Luhn): 13 to 19 digits in a row, or in the usual groups with one blank or dash
 * between two, the first digit 2 to 6 as networks have it. Among other numbers that look so, one in ten has the right check digit by
 * chance. Digits behind a decimal point are none.
 */
export class CreditCardPattern implements SecretPattern {
  readonly name = 'creditCard'

  begin(): void {}

  find(bytes: Buffer, start: number, end: number, found: Found): number {
    // No number fits between two bytes of other kinds less than 13 apart: only every 13th byte must be looked at.
    for (let p = start + minDigits - 1; p < end; ) {
      let from = p
      while (from > p - minDigits && cardByte[bytes[from]!] === 1) from--
      if (from > p - minDigits) p = from + minDigits
      else p = examine(bytes, from + 1, start, end, found) + minDigits - 1
    }
    return end
  }
}

/** Examines the run of digits, blanks and dashes that includes `at`. Returns the position behind it. */
function examine(bytes: Buffer, at: number, start: number, end: number, found: Found): number {
  let p = at
  while (p > start && cardByte[bytes[p - 1]!] === 1) p--
  while (p < end && cardByte[bytes[p]!] === 1) {
    if (digit[bytes[p]!] === 0) {
      p++
      continue
    }
    const to = cardEnd(bytes, p, start, end)
    if (to !== -1) found(p, to)
    p = to === -1 ? behindDigits(bytes, p, end) : to
  }
  return p
}

/** Where the number that begins at `at`, the first digit of a group, ends; -1 when it is none. */
function cardEnd(bytes: Buffer, at: number, start: number, end: number): number {
  if (bytes[at]! < 0x32 || bytes[at]! > 0x36 || !isAlone(bytes, at - 1, at - 2, start, end)) return -1
  const group = behindDigits(bytes, at, end)
  if (group - at >= minDigits) return group - at <= maxDigits && isCard(bytes, at, group, end) ? group : -1
  for (const lengths of groupings) {
    const to = behindGroups(bytes, at, end, lengths)
    if (to !== -1 && isCard(bytes, at, to, end)) return to
  }
  return -1
}

function behindGroups(bytes: Buffer, at: number, end: number, lengths: readonly number[]): number {
  let p = at
  for (const length of lengths) {
    // All groups are apart in the same way.
    if (p !== at && bytes[p++] !== bytes[at + lengths[0]!]) return -1
    const to = behindDigits(bytes, p, end)
    if (to - p !== length) return -1
    p = to
  }
  return p
}

function behindDigits(bytes: Buffer, at: number, end: number): number {
  let p = at
  while (p < end && digit[bytes[p]!] === 1) p++
  return p
}

/** Neither in a word nor next to a decimal point: `next` lies beside the number, `beyond` behind that. */
function isAlone(bytes: Buffer, next: number, beyond: number, start: number, end: number): boolean {
  if (next < start || next >= end) return true
  if (letter[bytes[next]!] === 1) return false
  return bytes[next] !== 0x2e || beyond < start || beyond >= end || digit[bytes[beyond]!] === 0
}

function isCard(bytes: Buffer, from: number, to: number, end: number): boolean {
  if (!isAlone(bytes, to, to + 1, from, end)) return false
  let digits = 0
  let sum = 0
  for (let p = to - 1; p >= from; p--) {
    const value = bytes[p]! - 0x30
    if (value < 0 || value > 9) continue
    sum += digits++ % 2 === 0 ? value : value < 5 ? value * 2 : value * 2 - 9
  }
  return sum % 10 === 0
}
