/** Tokens that begin with bytes of their own: bearer tokens, AWS keys, JSON web tokens. The bytes are looked for, then the rest is checked. */
import { Needle } from '../needle.ts'
import { behindRun, byteClass, type Found, type SecretPattern } from './pattern.ts'

// The search goes from one first byte to the next: what begins with a rare byte is found faster.

/** Looks at a hit: where the secret begins and ends, or undefined when it is none. */
type Check = (bytes: Buffer, hit: number, start: number, end: number) => readonly [from: number, to: number] | undefined

class TokenPattern implements SecretPattern {
  readonly name: string
  readonly #needles: readonly Needle[]
  readonly #check: Check

  constructor(name: string, beginnings: readonly string[], check: Check) {
    this.name = name
    this.#needles = beginnings.map((text) => new Needle(text))
    this.#check = check
  }

  begin(chunk: Buffer): void {
    for (const needle of this.#needles) needle.begin(chunk)
  }

  next(start: number): number {
    let first = Number.MAX_SAFE_INTEGER
    for (let i = 0; i < this.#needles.length; i++) first = Math.min(first, this.#needles[i]!.next(start))
    return first
  }

  find(bytes: Buffer, start: number, end: number, found: Found): number {
    for (let i = 0; i < this.#needles.length; i++) {
      const needle = this.#needles[i]!
      for (let at = start; at < end; ) {
        const hit = needle.find(bytes, at, end)
        if (hit === -1) break
        const secret = this.#check(bytes, hit, start, end)
        if (secret !== undefined) found(secret[0], secret[1])
        at = secret === undefined ? hit + needle.length : Math.max(hit + needle.length, secret[1])
      }
    }
    return end
  }
}

const word = byteClass(/[A-Za-z0-9_]/)
const tokenByte = byteClass(/[A-Za-z0-9._~+/=-]/)
const blankByte = byteClass(/[ \t]/)
const base64Url = byteClass(/[A-Za-z0-9_-]/)
const keyByte = byteClass(/[A-Z0-9]/)
const secretByte = byteClass(/[A-Za-z0-9/+]/)
const betweenByte = byteClass(/["'\\:=\s>]/)

/** `Bearer <token>`, as in an Authorization header; the word stays. */
export function bearerPattern(): SecretPattern {
  // A word like this followed by few letters is prose.
  const shortest = 8
  return new TokenPattern('bearer', ['Bearer', 'bearer', 'BEARER'], (bytes, hit, start, end) => {
    if (hit > start && word[bytes[hit - 1]!] === 1) return undefined
    const behind = hit + 'Bearer'.length
    const from = behindRun(bytes, behind, end, blankByte)
    if (from === behind) return undefined
    let to = behindRun(bytes, from, end, tokenByte)
    while (isEscapedSlash(bytes, to, end)) to = behindRun(bytes, to + 2, end, tokenByte)
    return to - from >= shortest ? [from, to] : undefined
  })
}

/** Header, payload and signature in base64url, the first two JSON objects. The signature may be missing. */
export function jwtPattern(): SecretPattern {
  // All begin with `eyJ`, of which the last byte is the rarest.
  return new TokenPattern('jwt', ['J'], (bytes, hit, start, end) => {
    const from = hit - 2
    if (from < start || bytes[from] !== 0x65 || bytes[from + 1] !== 0x79) return undefined
    if (from > start && base64Url[bytes[from - 1]!] === 1) return undefined
    const header = behindRun(bytes, from, end, base64Url)
    if (header - from < 10 || bytes[header] !== 0x2e || bytes[header + 1] !== 0x65 || bytes[header + 2] !== 0x79)
      return undefined
    const payload = behindRun(bytes, header + 1, end, base64Url)
    if (payload >= end || bytes[payload] !== 0x2e) return undefined
    return [from, behindRun(bytes, payload + 1, end, base64Url)]
  })
}

const idLength = 20
const secretLength = 40

/** Access key ids, and the secret behind a name such as `aws_secret_access_key`. */
export function awsPatterns(): SecretPattern[] {
  const ids = new TokenPattern('aws', ['AKIA', 'ASIA'], (bytes, hit, start, end) => {
    // A byte more tells that it is longer: a run as long as the line would be walked through from each hit in it.
    const to = behindRun(bytes, hit, Math.min(end, hit + idLength + 1), keyByte)
    const alone = (hit === start || word[bytes[hit - 1]!] === 0) && (to === end || word[bytes[to]!] === 0)
    return alone && to - hit === idLength ? [hit, to] : undefined
  })
  const secrets = new TokenPattern('aws', ['key', 'Key', 'KEY'], (bytes, hit, start, end) => {
    if (!isSecretName(bytes, hit, start)) return undefined
    const name = hit + 'key'.length
    const from = behindRun(bytes, name, Math.min(end, name + 8), betweenByte)
    let to = from
    let length = 0
    for (; length <= secretLength && to < end; length++) {
      if (secretByte[bytes[to]!] === 1) to++
      else if (isEscapedSlash(bytes, to, end)) to += 2
      else break
    }
    return from > name && length === secretLength ? [from, to] : undefined
  })
  return [ids, secrets]
}

/** As PHP and others write a slash into JSON. */
function isEscapedSlash(bytes: Buffer, at: number, end: number): boolean {
  return at + 1 < end && bytes[at] === 0x5c && bytes[at + 1] === 0x2f
}

/** `secret` or `secret access`, in any case, with or without `_` or `-` between, ends at `at`. */
function isSecretName(bytes: Buffer, at: number, start: number): boolean {
  const access = beforeWord(bytes, at, start, 'access')
  return beforeWord(bytes, access === -1 ? at : access, start, 'secret') !== -1
}

function beforeWord(bytes: Buffer, at: number, start: number, lower: string): number {
  const joined = bytes[at - 1] === 0x5f || bytes[at - 1] === 0x2d
  const from = at - lower.length - (joined ? 1 : 0)
  if (from < start) return -1
  for (let i = 0; i < lower.length; i++) if ((bytes[from + i]! | 0x20) !== lower.charCodeAt(i)) return -1
  return from
}
