/** `node collector/src/main.ts --config FILE`: one collector, until it is told to stop. */
import { parseArgs } from 'node:util'
import { ConfigError, readConfig } from '@tributary/protocol/config-value.ts'
import { logOptions } from '@tributary/protocol/log-options.ts'
import { stopRequest } from '@tributary/protocol/stop-request.ts'
import { pino } from 'pino'
import { startCollector } from './collector.ts'
import { collectorConfig } from './config.ts'
import { watchConfig } from './reload/config-watch.ts'
import { keepCodeSmall } from './resident-code.ts'

export async function runCollector(file: string): Promise<void> {
  const config = await readConfig(file, collectorConfig)
  const log = pino(logOptions('collector', config.log.level))
  const stop = stopRequest(['SIGTERM', 'SIGINT'])
  const stopped = new AbortController()
  void stop.then(() => stopped.abort())
  const started = startCollector(config, { log, configFile: file, signal: stopped.signal })
  const reload = async () => (await started).reload(() => readConfig(file, collectorConfig))
  const stopping = new AbortController()
  const look = watchConfig({ file }, reload, stopping.signal)
  // At its default the signal would end the process, also while it starts.
  process.on('SIGHUP', () => void look())
  const collector = await started
  keepCodeSmall(log, stopping.signal)
  log.info({ because: await stop }, 'stopping: waiting for acknowledgements')
  stopping.abort()
  await collector.close()
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { config: { type: 'string' } } })
  if (values.config === undefined) {
    console.error('usage: main.ts --config FILE')
    process.exit(2)
  }
  runCollector(values.config).catch((error) => {
    console.error((error as Error).message)
    process.exit(error instanceof ConfigError ? 2 : 1)
  })
}
