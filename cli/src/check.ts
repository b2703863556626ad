/** `tributary check`: whether configuration files are right, without starting anything. */
import { readFileSync } from 'node:fs'
import { aggregatorConfig } from '@tributary/aggregator/config.ts'
import { collectorConfig } from '@tributary/collector/config.ts'
import { ConfigError, loadConfig } from '@tributary/protocol/config-file.ts'
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
