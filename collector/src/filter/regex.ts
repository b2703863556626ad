/** RE2's regular expressions, on bytes. The engine is loaded by the first that is compiled: most configurations have none. */
import type { RE2JS } from 're2js'
import { Needle } from './needle.ts'
import { requiredLiteral } from './required-literal.ts'
import type { TimeBudget } from './time-budget.ts'

export interface ByteRegex {
  /** To be called before the records of each chunk. */
  begin(chunk: Buffer): void
  /** Whether it matches anywhere in `bytes[start, end)`. */
  test(bytes: Buffer, start: number, end: number): boolean
  /** Whether it matches all of a text. */
  testWhole(text: string): boolean
  /** Hands over where it matches in `bytes[start, end)`, ascending, and returns how far that is known: to the end, unless the time is over before. */
  find(bytes: Buffer, start: number, end: number, found: (from: number, to: number) => void, time: TimeBudget): number
  /** Named groups of the first match, in a text. Undefined when it does not match. */
  groups(text: string): Readonly<Record<string, string>> | undefined
}

export type CompileRegex = (pattern: string) => ByteRegex

/** Throws an Error with RE2's own words when a pattern is not one. */
export async function regexCompiler(): Promise<CompileRegex> {
  const { RE2JS } = await import('re2js')
  const known = new Map<string, RE2JS>()
  return (pattern) => {
    let regex = known.get(pattern)
    if (regex === undefined) {
      regex = RE2JS.compile(pattern)
      known.set(pattern, regex)
    }
    return new Re2Regex(regex, requiredLiteral(pattern))
  }
}

class Re2Regex implements ByteRegex {
  readonly #regex: RE2JS
  /** Bytes without which nothing matches: a look for them costs far less. */
  readonly #needle: Needle | undefined

  constructor(regex: RE2JS, literal: string | undefined) {
    this.#regex = regex
    this.#needle = literal === undefined ? undefined : new Needle(literal)
  }

  begin(chunk: Buffer): void {
    this.#needle?.begin(chunk)
  }

  test(bytes: Buffer, start: number, end: number): boolean {
    if (this.#needle !== undefined && this.#needle.find(bytes, start, end) === -1) return false
    return this.#regex.test(bytes.toString('utf8', start, end))
  }

  testWhole(text: string): boolean {
    return this.#regex.testExact(text)
  }

  find(bytes: Buffer, start: number, end: number, found: (from: number, to: number) => void, time: TimeBudget): number {
    if (this.#needle !== undefined && this.#needle.find(bytes, start, end) === -1) return end
    const matcher = this.#regex.matcher(bytes.subarray(start, end))
    while (matcher.find()) {
      if (matcher.end() > matcher.start()) found(start + matcher.start(), start + matcher.end())
      if (time.over) return start + matcher.end()
    }
    return end
  }

  groups(text: string): Readonly<Record<string, string>> | undefined {
    const matcher = this.#regex.matcher(text)
    if (!matcher.find()) return undefined
    const found: Record<string, string> = {}
    for (const name of Object.keys(this.#regex.namedGroups())) {
      const value = matcher.group(name)
      if (value !== null) found[name] = value
    }
    return found
  }
}
