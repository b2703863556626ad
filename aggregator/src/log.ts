/** The process's own log. */
import { type Logger, pino } from 'pino'

export type { Logger } from 'pino'

export function createLog(level: string): Logger {
  return pino({ level, base: null, name: 'aggregator', timestamp: pino.stdTimeFunctions.isoTime })
}
