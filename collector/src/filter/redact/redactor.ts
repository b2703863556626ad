/** Takes secrets out of lines. A line without any is looked at and left where it is. */
import type { FilterConfig } from '../config.ts'
import type { ByteRegex, CompileRegex } from '../regex.ts'
import { TimeBudget } from '../time-budget.ts'
import { CreditCardPattern } from './credit-card.ts'
import { EmailPattern } from './email.ts'
import type { BuiltInPattern } from './names.ts'
import { byteClass, type Found, type SecretPattern } from './pattern.ts'
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
  readonly #tooLong: Buffer
  readonly #tooSlow: Buffer
  readonly #time: TimeBudget
  readonly #onFound: (rule: string) => void
  readonly #onWithheld: () => void
  #cuts: Cut[] = []
  #pattern = 0
  #out: Buffer = Buffer.alloc(0)

  constructor(
    { patterns, custom, replacement, maxLineBytes, maxLineTime }: RedactConfig,
    compileRegex: CompileRegex,
    count: { found(rule: string): void; withheld(): void },
  ) {
    const time = new TimeBudget(maxLineTime)
    const own = Object.entries(custom).map(([name, pattern]) => customPattern(name, compileRegex(pattern), time))
    const all = [...[...new Set(patterns)].flatMap((name) => builtIn[name]()), ...own]
    const marked = all.filter(({ next }) => next !== undefined)
    this.#marked = marked.length
    this.#patterns = [...marked, ...all.filter(({ next }) => next === undefined)]
    this.#replacements = this.#patterns.map(({ name }) => Buffer.from(replacement.replaceAll('{name}', () => name)))
    this.#maxLine = maxLineBytes
    this.#tooLong = Buffer.from(`[withheld: not examined beyond ${maxLineBytes} bytes]`)
    this.#tooSlow = Buffer.from(`[withheld: not examined within ${maxLineTime} ms]`)
    this.#time = time
    this.#onFound = count.found
    this.#onWithheld = count.withheld
  }

  begin(chunk: Buffer): void {
    this.#chunk = chunk
    this.#clearTo = 0
    for (let i = 0; i < this.#patterns.length; i++) this.#patterns[i]!.begin(chunk)
  }

  /**
   * The line `bytes[start, end)` without secrets, or undefined when it has none. Valid until the next one. What lies beyond the size or the
   * time that is examined is replaced by a marker: nothing passes unexamined.
   */
  redact(bytes: Buffer, start: number, end: number): Redacted | undefined {
    const stop = end - start <= this.#maxLine ? end : wholeWords(bytes, start, start + this.#maxLine)
    this.#cuts.length = 0
    this.#time.renew()
    let examined = stop
    const clear = bytes === this.#chunk && stop <= this.#clearTo
    for (let i = clear ? this.#marked : 0; i < this.#patterns.length; i++) {
      this.#pattern = i
      examined = Math.min(examined, this.#patterns[i]!.find(bytes, start, stop, this.#found))
    }
    if (bytes === this.#chunk && !clear) this.#clearTo = this.#next(stop)
    if (this.#cuts.length === 0 && examined === end) return undefined
    if (examined < end) this.#onWithheld()
    const marker = examined < stop ? this.#tooSlow : examined < end ? this.#tooLong : undefined
    return this.#rewrite(bytes, start, examined, marker)
  }

  /** Up to where the chunk has nothing that the marked patterns look for. */
  #next(start: number): number {
    let first = Number.MAX_SAFE_INTEGER
    for (let i = 0; i < this.#marked; i++) first = Math.min(first, this.#patterns[i]!.next!(start))
    return first
  }

  readonly #found: Found = (from, to) => {
    this.#cuts.push({ from, to, pattern: this.#pattern })
  }

  #rewrite(bytes: Buffer, start: number, end: number, marker: Buffer | undefined): Redacted {
    // Another pattern may have found some behind the place where the time was over, or over it.
    const cuts = apart(this.#cuts.filter(({ from }) => from < end))
    const added = cuts.reduce((sum, { pattern }) => sum + this.#replacements[pattern]!.length, marker?.length ?? 0)
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
    at += bytes.copy(out, at, from, Math.max(from, end))
    if (marker) at += marker.copy(out, at)
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

function customPattern(name: string, regex: ByteRegex, time: TimeBudget): SecretPattern {
  return {
    name,
    begin: (chunk) => regex.begin(chunk),
    find: (bytes, start, end, found) => regex.find(bytes, start, end, found, time),
  }
}
