/** The process's own log. */
import { hiddenInLogs } from '@tributary/protocol/log-secrets.ts'
import { type DestinationStream, type Logger, pino } from 'pino'

export type { Logger } from 'pino'

/** @param stream standard output without it */
export function createLog(level: string, stream?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    name: 'aggregator',
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: hiddenInLogs,
  }
  return stream === undefined ? pino(options) : pino(options, stream)
}
