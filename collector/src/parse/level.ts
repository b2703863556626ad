/** The level that a parsed field names, in Loki's values for `detected_level`. */

const values: Readonly<Record<string, readonly string[]>> = {
  trace: ['trace', 'trc', 'verbose', 'finest', '10'],
  debug: ['debug', 'dbg', 'd', 'fine', 'finer', '20'],
  info: ['info', 'inf', 'i', 'information', 'informational', 'notice', '30'],
  warn: ['warn', 'warning', 'wrn', 'w', '40'],
  error: ['error', 'err', 'e', 'eror', 'severe', '50'],
  critical: ['critical', 'crit', 'alert', 'emerg', 'emergency'],
  fatal: ['fatal', 'panic', 'f', '60'],
}

const byWord = new Map(Object.entries(values).flatMap(([level, words]) => words.map((word) => [word, level])))
const keys = new Set(['level', 'lvl', 'severity', 'loglevel', 'levelname', 'log_level', 'log.level', 'severity_text'])
/** No word for a level is longer. */
const maxLength = 13

/** Whether a field of this name tells a level. */
export function isLevelName(name: string): boolean {
  return name.length <= maxLength && keys.has(name.toLowerCase())
}

/** Undefined when the value names none. Numbers are those of pino and bunyan. */
export function levelNamed(value: string): string | undefined {
  return value.length > maxLength ? undefined : byWord.get(value.trim().toLowerCase())
}
