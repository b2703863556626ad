/** The joinings of lines that a policy can name. */
import { languages as allLanguages, type MultilineConfig } from './config.ts'
import type { RecordDetector } from './detector.ts'
import { type Language, tracesOf } from './traces.ts'

/** By name: `auto`, a language, or a configured pattern. Undefined for `off` and for a name that is none. */
export type DetectorOf = (name: string) => RecordDetector | undefined

/** Throws for a pattern that is no RE2 expression, with the name of its key. */
export async function detectorsBy(config: MultilineConfig): Promise<DetectorOf> {
  const detectors = new Map<string, RecordDetector>()
  if (config.languages.length > 0) detectors.set('auto', tracesOf(config.languages))
  for (const [name, { start }] of Object.entries(config.patterns)) {
    // Loaded only where it is used: it takes memory.
    const { RE2JS } = await import('re2js')
    const { startingWith } = await import('./pattern.ts')
    try {
      detectors.set(name, startingWith(RE2JS.compile(start)))
    } catch (error) {
      throw new Error(`multiline.patterns.${name}.start: ${(error as Error).message}`)
    }
  }
  return (name) => {
    if (!detectors.has(name) && isLanguage(name)) detectors.set(name, tracesOf([name]))
    return detectors.get(name)
  }
}

function isLanguage(name: string): name is Language {
  return (allLanguages as readonly string[]).includes(name)
}
