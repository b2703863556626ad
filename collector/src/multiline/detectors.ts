/** The joinings of lines that a policy can name. */
import { ConfigError } from '@tributary/protocol/config-value.ts'
import { languages as allLanguages, type MultilineConfig } from './config.ts'
import type { RecordDetector } from './detector.ts'
import { type Language, tracesOf } from './traces.ts'

/** By name: `auto`, a language, or a configured pattern. Undefined for `off` and for a name that is none. */
export type DetectorOf = (name: string) => RecordDetector | undefined

/** Throws {@link ConfigError} with every pattern that is no RE2 expression. `file` is only the name used in it. */
export async function detectorsBy(config: MultilineConfig, file: string): Promise<DetectorOf> {
  const detectors = new Map<string, RecordDetector>()
  const problems: string[] = []
  if (config.languages.length > 0) detectors.set('auto', tracesOf(config.languages))
  for (const [name, { start }] of Object.entries(config.patterns)) {
    // Loaded only where it is used: it takes memory.
    const { RE2JS } = await import('re2js')
    const { startingWith } = await import('./pattern.ts')
    try {
      detectors.set(name, startingWith(RE2JS.compile(start)))
    } catch (error) {
      const { message } = error as Error
      problems.push(`multiline.patterns.${name}.start: ${message}; write a regular expression of RE2, as in Go`)
    }
  }
  if (problems.length > 0) throw new ConfigError(file, problems)
  return (name) => {
    if (!detectors.has(name) && isLanguage(name)) detectors.set(name, tracesOf([name]))
    return detectors.get(name)
  }
}

function isLanguage(name: string): name is Language {
  return (allLanguages as readonly string[]).includes(name)
}
