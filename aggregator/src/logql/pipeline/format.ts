/** `| line_format` and `| label_format`. A template that fails leaves the line or label as it was, and an error. */
import type { LabelAssignment } from '../ast.ts'
import { TemplateError } from '../template/error.ts'
import { executeTemplate, type TemplateData } from '../template/execute.ts'
import { parseTemplate } from '../template/parser.ts'
import type { CompiledStage } from './stage.ts'
import type { WorkingEntry } from './working-entry.ts'

/** `{{.label}}` alone, which most are. */
const simple = /^\{\{\s*\.([A-Za-z_]\w*)\s*\}\}$/

export function lineFormat(source: string): CompiledStage {
  const label = simple.exec(source)?.[1]
  if (label !== undefined)
    return (entry) => {
      entry.line = entry.get(label) ?? ''
      return true
    }
  const template = parseTemplate(source)
  return (entry) => {
    const text = guarded(entry, () => executeTemplate('line', template, dataOf(entry)))
    if (text !== undefined) entry.line = text
    return true
  }
}

/** All templates of one stage see the labels as they were at the first of them. */
export function labelFormat(assignments: readonly LabelAssignment[]): CompiledStage {
  const compiled = assignments.map((item) =>
    'from' in item ? item : { name: item.name, template: parseTemplate(item.template) },
  )
  return (entry) => {
    let data: TemplateData | undefined
    for (const item of compiled) {
      if ('from' in item) {
        rename(entry, item.from, item.name)
        continue
      }
      data ??= dataOf(entry)
      const seen = data
      const text = guarded(entry, () => executeTemplate('label', item.template, seen))
      if (text !== undefined) entry.set(item.name, text)
    }
    return true
  }
}

function rename(entry: WorkingEntry, from: string, to: string): void {
  const value = entry.get(from)
  if (value === undefined) return
  entry.set(to, value)
  entry.remove(from)
}

const dataOf = (entry: WorkingEntry): TemplateData => ({
  labels: entry.allLabels(),
  line: entry.line,
  time: entry.time,
})

function guarded(entry: WorkingEntry, work: () => string): string | undefined {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error
    entry.fail('TemplateFormatErr', error.message)
    return undefined
  }
}
