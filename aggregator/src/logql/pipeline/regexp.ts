/** `| regexp`: the named groups of the first match become labels; without a match nothing does. */
import { Regex } from '../regex-match.ts'
import { labelName } from './label-names.ts'
import type { CompiledStage } from './stage.ts'

export function regexpParser(pattern: string): CompiledStage {
  const regex = new Regex(pattern)
  const names = regex.names.map(labelName)
  return (entry) => {
    if (entry.parsesNothing) return true
    const match = regex.first(entry.line)
    if (match === undefined) return true
    for (const [i, name] of names.entries()) {
      const free = name === '' ? undefined : entry.nameToParse(name)
      if (free !== undefined) entry.set(free, match.groups[i + 1] ?? '')
    }
    return true
  }
}
