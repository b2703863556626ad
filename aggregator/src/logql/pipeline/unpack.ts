/** `| unpack`: undoes Promtail's `pack`. The line is `_entry`, the other strings become labels; without `_entry` nothing happens. */
import { eachMember, keyText, scalarText } from './json.ts'
import { jsonErrors, unescapeJson } from './json-text.ts'
import { labelName } from './label-names.ts'
import type { CompiledStage } from './stage.ts'

const packedLine = '_entry'

export function unpackParser(): CompiledStage {
  return (entry) => {
    const { line } = entry
    if (line === '' || entry.parsesNothing) return true
    if (!line.startsWith('{')) {
      entry.failParsing('JSONParserErr', 'expecting json object(6), but it is not')
      return true
    }
    const labels: [string, string][] = []
    let packed: string | undefined
    const problem = eachMember(line, 0, line.length, (keyStart, keyEnd, escaped, value) => {
      if (value.type !== 'string') return ''
      const key = keyText(line, keyStart, keyEnd, escaped)
      if (key === packedLine) {
        packed = unescapeJson(line.slice(value.start, value.end))
        return packed === undefined ? jsonErrors.escape : ''
      }
      const free = entry.nameToParse(key)
      if (free !== undefined) labels.push([labelName(free), scalarText(line, value)])
      return ''
    })
    if (problem !== '') {
      entry.failParsing('JSONParserErr', problem)
      return true
    }
    if (packed === undefined) return true
    entry.line = packed
    for (const [name, value] of labels) entry.set(name, value)
    return true
  }
}
