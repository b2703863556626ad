/** Takes secrets out of lines. A line without any is looked at and left where it is. */
import type { FilterConfig } from '../config.ts'
import type { CompileRegex } from '../regex.ts'
import { CreditCardPattern } from './credit-card.ts'
import { EmailPattern } from './email.ts'
import type { BuiltInPattern } from './names.ts'
import { byteClass, type SecretPattern } from './pattern.ts'
import { awsPatterns, bearerPattern, jwtPattern } from './tokens.ts'

export type RedactConfig = NonNullable<FilterConfig['redact']>

const builtIn: Readonly<Record<BuiltInPattern, () => SecretPattern[]>> = {
  bearer: () => [bearerPattern()],
  aws: awsPatterns,
  jwt: () => [jwtPattern()],
  creditCard: () => [new CreditCardPattern()],
  email: () => [new EmailPattern()],
}

/** A part of a line that goes. */
interface Cut {
  readonly from: number
  readonly to: number
  readonly pattern: number
}

/** A changed line. */
export interface Redacted {
  readonly bytes: Buffer
  readonly end: number
}

export class Redactor {
  readonly #patterns: readonly SecretPattern[]
  /** The first of them know where the next secret may be: most lines lie before it, and are not looked at for any of these. */
  readonly #marked: number
  #chunk: Buffer | undefined
  #clearTo = 0
  readonly #replacements: readonly Buffer[]
  readonly #maxLine: number
  readonly #marker: Buffer
  readonly #onFound: (rule: string) => void
  readonly #onWithheld: () => void
  #cuts: Cut[] = []
  #pattern = 0
  #out: Buffer = Buffer.alloc(0)

  constructor(
    { patterns, custom, replacement, maxLineBytes }: RedactConfig,
    compileRegex: CompileRegex,
    count: { found(rule: string): void; withheld(): void },
  ) {
    const own = Object.entries(custom).map(([name, pattern]) => customPattern(name, pattern, compileRegex))
    const all = [...[...new Set(patterns)].flatMap((name) => builtIn[name]()), ...own]
    const marked = all.filter(({ next }) => next !== undefined)
    this.#marked = marked.length
    this.#patterns = [...marked, ...all.filter(({ next }) => next === undefined)]
    this.#replacements = this.#patterns.map(({ name }) => Buffer.from(replacement.replaceAll('{name}', () => name)))
    this.#maxLine = maxLineBytes
    this.#marker = Buffer.from(`[withheld: not examined beyond ${maxLineBytes} bytes]`)
    this.#onFound = count.found
    this.#onWithheld = count.withheld
  }

  begin(chunk: Buffer): void {
    this.#chunk = chunk
    this.#clearTo = 0
    for (let i = 0; i < this.#patterns.length; i++) this.#patterns[i]!.begin(chunk)
  }

  /**
   * The line `bytes[start, end)` without secrets, or undefined when it has none. Valid until the next one. What lies beyond the size that
   * is examined is replaced by a marker: nothing passes unexamined.
   */
  redact(bytes: Buffer, start: number, end: number): Redacted | undefined {
    const stop = end - start <= this.#maxLine ? end : wholeWords(bytes, start, start + this.#maxLine)
    this.#cuts.length = 0
    const clear = bytes === this.#chunk && stop <= this.#clearTo
    for (let i = clear ? this.#marked : 0; i < this.#patterns.length; i++) {
      this.#pattern = i
      this.#patterns[i]!.find(bytes, start, stop, this.#found)
    }
    if (bytes === this.#chunk && !clear) this.#clearTo = this.#next(stop)
    if (this.#cuts.length === 0 && stop === end) return undefined
    if (stop < end) this.#onWithheld()
    return this.#rewrite(bytes, start, stop, stop < end)
  }

  /** Up to where the chunk has nothing that the marked patterns look for. */
  #next(start: number): number {
    let first = Number.MAX_SAFE_INTEGER
    for (let i = 0; i < this.#marked; i++) first = Math.min(first, this.#patterns[i]!.next!(start))
    return first
  }

  readonly #found = (from: number, to: number): void => {
    this.#cuts.push({ from, to, pattern: this.#pattern })
  }

  #rewrite(bytes: Buffer, start: number, end: number, marked: boolean): Redacted {
    const cuts = apart(this.#cuts)
    const added = cuts.reduce((sum, { pattern }) => sum + this.#replacements[pattern]!.length, this.#marker.length)
    if (this.#out.length < end - start + added) this.#out = Buffer.allocUnsafeSlow(2 * (end - start + added))
    const out = this.#out
    let at = 0
    let from = start
    for (const cut of cuts) {
      at += bytes.copy(out, at, from, cut.from)
      at += this.#replacements[cut.pattern]!.copy(out, at)
      from = cut.to
      this.#onFound(this.#patterns[cut.pattern]!.name)
    }
    at += bytes.copy(out, at, from, end)
    if (marked) at += this.#marker.copy(out, at)
    return { bytes: out, end: at }
  }
}

/** What a secret without blanks can't have in it. */
const breaks = byteClass(/[\s"'`,;(){}[\]<>|]/)
const cardByte = byteClass(/[0-9 -]/)

/** Where the last word before `end` begins, and digits in groups before it: a secret that `end` lies in would not be recognized. */
function wholeWords(bytes: Buffer, start: number, end: number): number {
  let p = end
  while (p > start && breaks[bytes[p - 1]!] === 0) p--
  while (p > start && cardByte[bytes[p - 1]!] === 1) p--
  return p
}

/** In the order of the line, without overlaps: parts that overlap become one, under the name of the one that begins first. */
function apart(cuts: Cut[]): Cut[] {
  cuts.sort((a, b) => a.from - b.from || b.to - a.to || a.pattern - b.pattern)
  const merged: Cut[] = []
  for (const cut of cuts) {
    const last = merged.at(-1)
    if (last === undefined || cut.from >= last.to) merged.push(cut)
    else if (cut.to > last.to) merged[merged.length - 1] = { ...last, to: cut.to }
  }
  return merged
}

function customPattern(name: string, pattern: string, compileRegex: CompileRegex): SecretPattern {
  const regex = compileRegex(pattern)
  return {
    name,
    begin: (chunk) => regex.begin(chunk),
    find(bytes, start, end, found) {
      const matches = regex.find(bytes, start, end)
      for (let i = 0; i < matches.length; i += 2) found(matches[i]!, matches[i + 1]!)
    },
  }
}
