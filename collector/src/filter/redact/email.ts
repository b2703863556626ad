import { Needle } from '../needle.ts'
import { behindRun, byteClass, type Found, type SecretPattern } from './pattern.ts'

const localByte = byteClass(/[A-Za-z0-9._%+-]/)
const domainByte = byteClass(/[A-Za-z0-9.-]/)
const letter = byteClass(/[A-Za-z]/)
/** Longest part before the @ by its standard, and longest name of a host. */
const maxLocal = 64
const maxDomain = 253

/** `name@host.tld`, or `"any name"@host.tld`. What has no dot behind the @, or digits where a top-level domain would be, is none. */
export class EmailPattern implements SecretPattern {
  readonly name = 'email'
  readonly #at = new Needle('@')

  begin(chunk: Buffer): void {
    this.#at.begin(chunk)
  }

  next(start: number): number {
    return this.#at.next(start)
  }

  find(bytes: Buffer, start: number, end: number, found: Found): number {
    for (let from = start; from < end; ) {
      const at = this.#at.find(bytes, from, end)
      if (at === -1) break
      const first = Math.max(from, at - maxLocal)
      let local = bytes[at - 1] === quote ? quotedStart(bytes, first, at) : at
      while (local > first && localByte[bytes[local - 1]!] === 1) local--
      const domain = domainEnd(bytes, at + 1, Math.min(end, at + 1 + maxDomain))
      if (local < at && domain !== -1) found(local, domain)
      from = Math.max(at + 1, domain)
    }
    return end
  }
}

const quote = 0x22
const backslash = 0x5c
const inName = byteClass(/[A-Za-z0-9]/)
/** What stands before a quoted name. Behind a letter the quote ends something, such as a key of JSON. */
const beforeQuote = byteClass(/[\s<>,;:=([{]/)

/** Where the quoted name begins whose last quote is before `at`; `at` when there is none. In JSON its quotes are escaped. */
function quotedStart(bytes: Buffer, first: number, at: number): number {
  const escaped = at - 2 >= first && bytes[at - 2] === backslash
  let named = false
  for (let p = at - 2 - Number(escaped); p >= first; p--) {
    named ||= inName[bytes[p]!] === 1
    if (bytes[p] !== quote) continue
    const isEscaped = p > first && bytes[p - 1] === backslash
    if (isEscaped && !escaped) continue
    const start = p - Number(escaped)
    const apart = start === first || beforeQuote[bytes[start - 1]!] === 1 || bytes[start - 1] === quote
    return isEscaped === escaped && named && apart ? start : at
  }
  return at
}

/** Where a host with a dot and a top-level domain of letters ends; -1 when there is none. A dot at its end is the sentence's. */
function domainEnd(bytes: Buffer, start: number, end: number): number {
  let to = behindRun(bytes, start, end, domainByte)
  while (to > start && letter[bytes[to - 1]!] === 0) to--
  let top = to
  while (top > start && letter[bytes[top - 1]!] === 1) top--
  const host = top - 1
  return to - top >= 2 && host > start && bytes[host] === 0x2e && bytes[host - 1] !== 0x2e ? to : -1
}
