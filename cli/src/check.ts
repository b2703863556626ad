/** `tributary check`: whether configuration files are right, without starting anything. */
import { readFileSync } from 'node:fs'
import { aggregatorConfig } from '@tributary/aggregator/config.ts'
import { collectorConfig } from '@tributary/collector/config.ts'
import { prepare } from '@tributary/collector/filter/prepared.ts'
import { detectorsBy } from '@tributary/collector/multiline/detectors.ts'
import { loadConfig } from '@tributary/protocol/config-file.ts'
import { ConfigError } from '@tributary/protocol/config-value.ts'
import { parse } from 'yaml'

export type Kind = 'collector' | 'aggregator'

const schemas = { collector: collectorConfig, aggregator: aggregatorConfig }

/** What is wrong with a file, one line each; empty when nothing is. */
export function checkFile(file: string, kind?: Kind): string[] {
  try {
    loadConfig(file, schemas[kind ?? kindOf(file)])
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n')
    return [`${file}: ${(error as Error).message}`]
  }
}

/** What of a collector's filters and patterns shows only when they are made: regular expressions that are none, modules that can't be loaded. */
export async function checkFilters(file: string): Promise<string[]> {
  try {
    const config = loadConfig(file, collectorConfig)
    const made = await Promise.allSettled([prepare(config, file), detectorsBy(config.multiline, file)])
    return made.flatMap((one) => (one.status === 'rejected' ? (one.reason as Error).message.split('\n') : []))
  } catch (error) {
    return (error as Error).message.split('\n')
  }
}

/** Whose configuration it is: that of which more top-level keys are known; the aggregator's, which needs none, for an empty file. */
export function kindOf(file: string): Kind {
  let keys: string[] = []
  try {
    keys = Object.keys((parse(readFileSync(file, 'utf8')) as object | null) ?? {})
  } catch {
    return 'aggregator' // Reading it for real tells what is wrong.
  }
  const known = (kind: Kind) => keys.filter((key) => Object.keys(schemas[kind].shape).includes(key)).length
  return known('collector') > known('aggregator') ? 'collector' : 'aggregator'
}
