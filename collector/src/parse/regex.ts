import type { ByteRegex } from '../filter/regex.ts'
import type { Parser, TakeField } from './parser.ts'

/** Named groups of a regular expression, which may match anywhere in the line. */
export class RegexParser implements Parser {
  readonly name: string
  readonly #regex: ByteRegex

  constructor(name: string, regex: ByteRegex) {
    this.name = name
    this.#regex = regex
  }

  parse(bytes: Buffer, start: number, end: number, take: TakeField): boolean {
    const groups = this.#regex.groups(bytes.toString('utf8', start, end))
    if (groups === undefined) return false
    for (const name in groups) take(name, groups[name]!)
    return true
  }
}
