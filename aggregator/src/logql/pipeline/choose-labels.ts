/** `| drop` and `| keep`: by name, or by name on condition. */
import type { LabelChoice } from '../ast.ts'
import { textTest } from './label-filter.ts'
import type { CompiledStage } from './stage.ts'
import { errorDetailsLabel, errorLabel, preserveErrorLabel, type WorkingEntry } from './working-entry.ts'

export function dropLabels(choices: readonly LabelChoice[]): CompiledStage {
  const drops = choices.map(({ name, matcher }) => ({ name, matches: matcher && textTest(matcher, true) }))
  return (entry) => {
    for (const { name, matches } of drops) {
      if (name === errorLabel) {
        if (!matches || matches(entry.error)) entry.error = ''
      } else if (name === errorDetailsLabel) {
        if (!matches || matches(entry.errorDetails)) entry.errorDetails = ''
      } else if (!matches || matches(entry.get(name) ?? '')) entry.remove(name)
    }
    return true
  }
}

/** Errors stay, also labels of their names that a parser found in the line. */
export function keepLabels(choices: readonly LabelChoice[]): CompiledStage {
  const names = new Map<string, ((value: string) => boolean)[]>()
  for (const { name, matcher } of choices)
    names.set(name, [...(names.get(name) ?? []), matcher ? textTest(matcher, true) : () => true])
  const kept = (name: string, value: string): boolean =>
    alwaysKept.has(name) || (names.get(name)?.some((test) => test(value)) ?? false)
  return (entry) => {
    for (const name of currentNames(entry)) if (!kept(name, entry.get(name) ?? '')) entry.remove(name)
    return true
  }
}

const alwaysKept: ReadonlySet<string> = new Set([errorLabel, errorDetailsLabel, preserveErrorLabel])

const currentNames = (entry: WorkingEntry): Set<string> =>
  new Set([...entry.stream.keys(), ...entry.metadata.keys(), ...entry.parsed.keys()])
