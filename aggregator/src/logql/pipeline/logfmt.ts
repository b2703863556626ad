/** `| logfmt`, with and without names of its own. */
import type { Extraction } from '../ast.ts'
import { labelName } from './label-names.ts'
import { hasInvalid, labelText } from './lines.ts'
import { LogfmtScanner } from './logfmt-text.ts'
import type { CompiledStage } from './stage.ts'
import { extractedSuffix } from './working-entry.ts'

/** @param strict stops at what is broken, and says so */
export function logfmtParser(strict: boolean, keepEmpty: boolean): CompiledStage {
  const scanner = new LogfmtScanner()
  return (entry) => {
    if (entry.parsesNothing) return true
    scanner.begin(entry.line)
    while (!scanner.ended) {
      if (!scanner.next()) {
        if (strict) break
        continue
      }
      const name = labelName(scanner.key)
      if (name === '') continue
      const free = entry.nameToParse(name)
      if (free === undefined) continue
      const value = labelText(scanner.value)
      if (value === '' && !keepEmpty) continue
      entry.set(free, value)
      if (!entry.passes(free)) return false
      if (entry.complete) break
    }
    if (strict && scanner.error !== '') entry.failParsing('LogfmtParserErr', scanner.error)
    return true
  }
}

/** The labels are there, empty, also where the line lacks their keys. */
export function logfmtPathParser(extractions: readonly Extraction[], strict: boolean): CompiledStage {
  const scanner = new LogfmtScanner()
  const names = Map.groupBy(extractions, ({ path }) => labelName(path))
  return (entry) => {
    if (entry.parsesNothing) return true
    for (const { name } of extractions) if (!entry.clashes(name)) entry.set(name, '')
    scanner.begin(entry.line)
    while (!scanner.ended) {
      if (!scanner.next()) {
        if (strict) break
        continue
      }
      const value = hasInvalid(scanner.value) ? '' : scanner.value
      for (const { name } of names.get(labelName(scanner.key)) ?? []) {
        if (!entry.clashes(name)) entry.set(name, value)
        else if (!entry.wasParsed(name + extractedSuffix)) entry.set(name + extractedSuffix, value)
      }
    }
    if (strict && scanner.error !== '') entry.failParsing('LogfmtParserErr', scanner.error)
    return true
  }
}
