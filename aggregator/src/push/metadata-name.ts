/** Names of structured metadata, as Loki's distributor makes them: those of OpenTelemetry's rules for Prometheus. Pure. */
import { labelName } from '../load/labels.ts'

const reserved = /^__(.*)__$/s

/**
 * Runs of what is no letter or digit become one underscore, and `key_` stands before a digit. Between two underscores at either end a name
 * stays reserved.
 */
export function metadataName(name: string): string {
  const [, inner] = name.length >= 4 ? (reserved.exec(name) ?? []) : []
  const clean = (inner ?? name).replace(/[^A-Za-z0-9]+/g, '_')
  const whole = inner === undefined ? clean : `__${clean}__`
  // What Loki refuses, such as a name of signs only, gets a name here: the entry is not to blame.
  return labelName(/^[0-9]/.test(whole) ? `key_${whole}` : whole)
}
