/** `| json a="b.c[0]"`: what stands at a path becomes a label. A path that leads nowhere gives an empty one. */
import type { Extraction } from '../ast.ts'
import { blockEnd, JsonValue, jsonErrors, nextToken, stringEnd, unescapeJson } from './json-text.ts'
import { labelText } from './lines.ts'
import type { CompiledStage } from './stage.ts'
import { extractedSuffix } from './working-entry.ts'

/** A member's name, or an element's index. */
export type PathStep = string | number

const step = /\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\.?([A-Za-z_][A-Za-z0-9_-]*)/y

/** Reads `b.c[0]["d e"]`; undefined when it is no path. */
export function parseJsonPath(path: string): PathStep[] | undefined {
  const steps: PathStep[] = []
  for (let at = 0; at < path.length; at = step.lastIndex) {
    step.lastIndex = at
    const match = step.exec(path)
    if (!match) return undefined
    const [whole, index, quoted, name] = match
    if (name !== undefined && whole.startsWith('.') !== at > 0) return undefined
    if (index !== undefined) steps.push(Number(index))
    else if (quoted !== undefined) steps.push(quoted.replace(/\\(.)/g, '$1'))
    else steps.push(name!)
  }
  return steps.length === 0 ? undefined : steps
}

export function jsonPathParser(extractions: readonly Extraction[]): CompiledStage {
  const names = extractions.map(({ name }) => name)
  const paths = extractions.map(({ path }) => parseJsonPath(path)!)
  return (entry) => {
    const { line } = entry
    if (line === '' || entry.parsesNothing) return true
    if (!/^["{[]/.test(line)) {
      entry.failParsing('JSONParserErr', '')
      return true
    }
    let found = 0
    findPaths(line, 0, line.length, paths, {
      found(path, value) {
        found++
        const name = names[path]!
        entry.set(entry.clashes(name) ? name + extractedSuffix : name, valueText(line, value))
      },
      failed: (problem) => entry.failParsing('JSONParserErr', problem),
    })
    if (found < names.length) for (const name of names) if (entry.get(name) === undefined) entry.set(name, '')
    return true
  }
}

function valueText(text: string, value: JsonValue): string {
  const raw = text.slice(value.start, value.end)
  if (value.type === 'null') return ''
  return value.type === 'object' ? raw : labelText(unescapeJson(raw) ?? '')
}

interface Findings {
  /** The value is valid during the call. */
  found(path: number, value: JsonValue): void
  /** What stands at a path is no value. */
  failed(problem: string): void
}

/**
 * Goes through `[start, end)` from the left until each path was met once. What stands before and behind is not judged: only how deep it is
 * and what the keys on the way are called counts, so that a line that is cut off or has a wrong value still gives what is in it.
 */
function findPaths(text: string, start: number, end: number, paths: readonly PathStep[][], findings: Findings): void {
  const search = new PathSearch(text, end, paths, findings)
  search.run(start)
}

class PathSearch {
  readonly #text: string
  readonly #end: number
  readonly #paths: readonly PathStep[][]
  readonly #findings: Findings
  readonly #deepest: number
  readonly #met: boolean[]
  /** The keys that led here, by level. */
  readonly #keys: string[] = []
  readonly #value = new JsonValue()
  #left: number
  #level = 0

  constructor(text: string, end: number, paths: readonly PathStep[][], findings: Findings) {
    this.#text = text
    this.#end = end
    this.#paths = paths
    this.#findings = findings
    this.#deepest = Math.max(...paths.map(({ length }) => length))
    this.#met = paths.map(() => false)
    this.#left = paths.length
  }

  run(start: number): void {
    for (let at = start; at !== -1 && at < this.#end; ) at = this.#step(at)
  }

  /** Where it goes on; -1 where it does not. */
  #step(at: number): number {
    switch (this.#text.charCodeAt(at)) {
      case 0x22: // "
        return this.#string(at)
      case 0x7b: // {
        this.#level++
        return at + 1
      case 0x7d: // }
      case 0x5d: // ]
        this.#level--
        return at + 1
      case 0x5b: // [
        return this.#array(at)
      default:
        return at + 1
    }
  }

  #string(at: number): number {
    const text = this.#text
    const close = stringEnd(text, at + 1, this.#end)
    const next = close === -1 ? -1 : nextToken(text, close + 1, this.#end)
    if (next === -1 || text.charCodeAt(next) !== 0x3a) return next
    const raw = text.slice(at + 1, close)
    const key = unescapeJson(raw)
    if (key === undefined) return -1
    if (this.#level > this.#deepest) return next + 1
    if (this.#level < 1) {
      this.#findings.failed(jsonErrors.json)
      return -1
    }
    this.#keys[this.#level - 1] = key
    this.#member(key, next + 1)
    return this.#left === 0 ? -1 : next + 1
  }

  /** The value of a key that a path ends with. */
  #member(key: string, at: number): void {
    for (let i = 0; i < this.#paths.length; i++) {
      const path = this.#paths[i]!
      if (path.length !== this.#level || this.#met[i] || path.at(-1) !== key || !this.#leadsHere(path)) continue
      this.#meet(i)
      const problem = this.#value.read(this.#text, at, this.#end)
      if (problem === '') this.#findings.found(i, this.#value)
      else this.#findings.failed(problem)
    }
  }

  #array(at: number): number {
    if (this.#level < 0) {
      this.#findings.failed(jsonErrors.json)
      return -1
    }
    const level = this.#level
    const wanted: number[] = []
    for (let i = 0; i < this.#paths.length; i++)
      if (typeof this.#paths[i]![level] === 'number' && !this.#met[i] && this.#leadsHere(this.#paths[i]!))
        wanted.push(i)
    // Keys within other arrays are none that a path names.
    if (wanted.length === 0) return blockEnd(this.#text, at, this.#end, 0x5b, 0x5d)
    this.#level++
    const next = this.#elements(at, (index, value) => {
      for (const i of wanted) if (this.#paths[i]![level] === index) this.#element(i, level + 1, value)
    })
    return this.#left === 0 ? -1 : next
  }

  /** What is left of a path is looked for in an element. */
  #element(path: number, level: number, value: JsonValue): void {
    this.#meet(path)
    const rest = this.#paths[path]!.slice(level)
    if (rest.length === 0) this.#findings.found(path, value)
    else if (value.type === 'object' || value.type === 'array')
      findPaths(this.#text, value.start, value.end, [rest], {
        found: (_, inner) => this.#findings.found(path, inner),
        failed: (problem) => this.#findings.failed(problem),
      })
  }

  #meet(path: number): void {
    this.#met[path] = true
    this.#left--
  }

  /** Whether the keys so far are those that the path begins with. */
  #leadsHere(path: readonly PathStep[]): boolean {
    for (let i = 0; i < this.#level; i++) if (path[i] !== this.#keys[i]) return false
    return true
  }

  /** Calls `visit` with the elements of the array at `at`, as far as they are some; returns where the array ends or is broken. */
  #elements(at: number, visit: (index: number, value: JsonValue) => void): number {
    const [text, end] = [this.#text, this.#end]
    const value = new JsonValue()
    let next = nextToken(text, at + 1, end)
    for (let index = 0; next !== -1 && text.charCodeAt(next) !== 0x5d; index++) {
      if (value.read(text, next, end) !== '') return next
      const behind = value.next
      visit(index, value)
      next = nextToken(text, behind, end)
      if (next === -1 || text.charCodeAt(next) === 0x5d) return next
      if (text.charCodeAt(next) !== 0x2c) return next
      next = nextToken(text, next + 1, end)
    }
    return next
  }
}
