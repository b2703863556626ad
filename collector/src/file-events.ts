/** Certificates, keys and secrets in files that are replaced while the collector runs: counted and told. */
import type { WatchedFileEvents } from '@tributary/protocol/watched-file.ts'
import type { Logger } from 'pino'
import type { CollectorMetrics } from './metrics.ts'

export function fileEvents(log: Logger, metrics: CollectorMetrics): WatchedFileEvents {
  return {
    onChange(key) {
      metrics.fileReloads.inc(1, 'taken')
      log.info({ key }, 'a file was replaced and is used from now on')
    },
    onProblem(key, detail) {
      metrics.fileReloads.inc(1, 'refused')
      log.error({ key, detail }, 'a file cannot be used: what it held before stays in use')
    },
  }
}
