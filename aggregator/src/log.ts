/** The process's own log. */
import { logOptions } from '@tributary/protocol/log-options.ts'
import { type DestinationStream, type Logger, pino } from 'pino'

export type { Logger } from 'pino'

/** @param stream standard output without it */
export function createLog(level: string, stream?: DestinationStream): Logger {
  const options = logOptions('aggregator', level)
  return stream === undefined ? pino(options) : pino(options, stream)
}
