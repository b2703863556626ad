/** Matching in process: by JavaScript's engine where that is safe and gives the same, else by RE2. */
import { RE2JS } from 're2js'
import { compileRegex } from './regex.ts'
import { type JsRegex, jsRegex } from './regex-js.ts'

/** One match: where, and what its groups hold, the whole first. A group that took no part is undefined. */
export interface RegexMatch {
  readonly start: number
  readonly end: number
  readonly groups: readonly (string | undefined)[]
}

export interface RegexOptions {
  /** The dot matches newlines too. */
  readonly dotAll?: boolean
  /** The whole text has to match. */
  readonly anchored?: boolean
}

export class Regex {
  readonly #re2: RE2JS
  readonly #anchored: boolean
  readonly #js: JsRegex | undefined
  /** Names of the groups, in order; '' for those without. */
  readonly names: readonly string[]

  /** Throws LogqlError when it is not a regular expression. */
  constructor(pattern: string, { dotAll = false, anchored = false }: RegexOptions = {}) {
    this.#re2 = compileRegex(pattern, dotAll ? RE2JS.DOTALL : 0)
    this.#anchored = anchored
    this.#js = jsRegex(pattern, dotAll, anchored)
    const names = new Array<string>(this.#re2.groupCount()).fill('')
    for (const [name, index] of Object.entries(this.#re2.namedGroups())) names[index - 1] = name
    this.names = names
  }

  test(text: string): boolean {
    const js = this.#js
    if (js !== undefined && text.length <= js.maxLength) {
      js.regex.lastIndex = 0
      return js.regex.test(text)
    }
    return this.#anchored ? this.#re2.testExact(text) : this.#re2.test(text)
  }

  first(text: string): RegexMatch | undefined {
    for (const match of this.all(text)) return match
    return undefined
  }

  /** All matches from left to right; an empty one right behind another does not count. */
  *all(text: string): Generator<RegexMatch> {
    let last = -1
    for (const match of this.#everyMatch(text)) {
      if (match.start === match.end && match.start === last) continue
      last = match.end
      yield match
    }
  }

  *#everyMatch(text: string): Generator<RegexMatch> {
    const js = this.#js
    if (js !== undefined && text.length <= js.maxLength) {
      for (const match of text.matchAll(js.regex))
        yield { start: match.index, end: match.index + match[0].length, groups: match }
      return
    }
    const matcher = this.#re2.matcher(text)
    const groups = () => Array.from({ length: this.names.length + 1 }, (_, i) => matcher.group(i) ?? undefined)
    while (this.#anchored ? matcher.matches() : matcher.find()) {
      yield { start: matcher.start(), end: matcher.end(), groups: groups() }
      if (this.#anchored) return
    }
  }

  replace(text: string, replacement: (match: RegexMatch) => string): string {
    let out = ''
    let at = 0
    for (const match of this.all(text)) {
      out += text.slice(at, match.start) + replacement(match)
      at = match.end
    }
    return out + text.slice(at)
  }

  /** Go's Expand: `$1`, `$name`, `${name}`, `$$`. A name is as long as it can be; an unknown one is empty. */
  expand(template: string, match: RegexMatch): string {
    return template.replace(
      /\$(?:\$|\{(\w+)\}|(\w+))/g,
      (whole, braced: string | undefined, bare: string | undefined) => {
        if (whole === '$$') return '$'
        const name = (braced ?? bare)!
        const index = /^\d+$/.test(name) ? Number(name) : this.names.indexOf(name) + 1
        if (index === 0 && name !== '0') return ''
        return match.groups[index] ?? ''
      },
    )
  }
}
