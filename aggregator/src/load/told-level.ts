/** The level that a stream or an entry tells beside its line. */
import { levelNamed, levels } from './detect-level.ts'
import { otlpLevel } from './foreign.ts'
import { labelName } from './labels.ts'

/** Where Loki looks for it, in this order. */
export const levelFields = [
  'level',
  'LEVEL',
  'Level',
  'log.level',
  'severity',
  'SEVERITY',
  'Severity',
  'SeverityText',
  'lvl',
  'LVL',
  'Lvl',
  'severity_text',
  'Severity_Text',
  'SEVERITY_TEXT',
]
const levelNames = levelFields.map(labelName)

/** The level that labels or metadata name; undefined when they name none. */
export function toldLevel(texts: Readonly<Record<string, string | undefined>>): string | undefined {
  const number = texts['severity_number']
  if (number !== undefined) {
    const level = otlpLevel(Number(number))
    if (level !== 0) return levels[level]
  }
  for (const name of levelNames) {
    const level = texts[name] === undefined ? 0 : levelNamed(texts[name])
    if (level !== 0) return levels[level]
  }
  return undefined
}
