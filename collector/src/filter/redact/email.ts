import { Needle } from '../needle.ts'
import { behindRun, byteClass, type Found, type SecretPattern } from './pattern.ts'

const localByte = byteClass(/[A-Za-z0-9._%+-]/)
const domainByte = byteClass(/[A-Za-z0-9.-]/)
const letter = byteClass(/[A-Za-z]/)
/** Longest part before the @ by its standard, and longest name of a host. */
const maxLocal = 64
const maxDomain = 253

/** `name@host.tld`. What has no dot behind the @, or digits where a top-level domain would be, is none. */
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
      let local = at
      while (local > Math.max(from, at - maxLocal) && localByte[bytes[local - 1]!] === 1) local--
      const domain = domainEnd(bytes, at + 1, Math.min(end, at + 1 + maxDomain))
      if (local < at && domain !== -1) found(local, domain)
      from = Math.max(at + 1, domain)
    }
    return end
  }
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
