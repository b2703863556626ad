/** The aggregator's process: `node aggregator/src/main.ts --config FILE`. */
import { parseArgs } from 'node:util'
import { loadConfig, parseConfig } from '@tributary/protocol/config-file.ts'
import { ConfigError } from '@tributary/protocol/config-value.ts'
import { stopRequest } from '@tributary/protocol/stop-request.ts'
import { startAggregator } from './aggregator.ts'
import { type AggregatorConfig, aggregatorConfig } from './config.ts'
import { createLog } from './log.ts'

/** The exit code when the write-ahead log could not be emptied in time. */
const leftBehind = 3

/** Runs until it is told to stop. A second signal doesn't wait. The process's exit code. */
export async function runAggregator(config: AggregatorConfig): Promise<number> {
  const log = createLog(config.log.level)
  const stop = stopRequest()
  try {
    const aggregator = await startAggregator(config, { log })
    log.info({ because: await stop }, 'stopping')
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(1))
    const left = await aggregator.close()
    // Whoever takes an aggregator away that shares its store wants to know that its volume is still needed.
    return left > 0 && config.store.engine === 'clickhouse' ? leftBehind : 0
  } catch (err) {
    log.error({ err }, `the aggregator cannot run: ${(err as Error).message}`)
    return 1
  }
}

function readConfig(): AggregatorConfig {
  const { values } = parseArgs({ options: { config: { type: 'string' } } })
  return values.config === undefined
    ? parseConfig('(no file)', '', aggregatorConfig)
    : loadConfig(values.config, aggregatorConfig)
}

if (import.meta.main) {
  try {
    process.exitCode = await runAggregator(readConfig())
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 2
  }
}
