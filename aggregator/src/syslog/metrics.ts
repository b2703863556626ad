/** What came as syslog. Labels are bounded. */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { SyslogMessage } from './message.ts'

/** What is wrong with what came, in a closed list. */
export const syslogProblems = [
  /** Bytes that are no syslog. The connection is closed. */
  'not_syslog',
  /** Longer than `syslog.maxMessageBytes`: the rest is left out. */
  'truncated',
  'tls',
  'too_many_connections',
  /** Came by UDP while nothing more fitted. Lost. */
  'dropped',
  /** The connection ended within a message. */
  'cut_off',
] as const
export type SyslogProblem = (typeof syslogProblems)[number]

export class SyslogMetrics {
  readonly #messages: Counter<'format'>
  readonly #problems: Counter<'reason'>
  readonly connections: Gauge

  constructor(registry: Registry) {
    const registers = [registry]
    this.#messages = new Counter({
      name: 'aggregator_syslog_messages_total',
      help: 'Messages received as syslog, by what they were read as: rfc5424, rfc3164, or none, a line and nothing more.',
      labelNames: ['format'],
      registers,
    })
    this.#problems = new Counter({
      name: 'aggregator_syslog_problems_total',
      help: 'What was wrong with what came as syslog.',
      labelNames: ['reason'],
      registers,
    })
    this.connections = new Gauge({
      name: 'aggregator_syslog_open_connections',
      help: 'Syslog connections open.',
      registers,
    })
  }

  received(formats: Readonly<Record<SyslogMessage['format'], number>>): void {
    for (const [format, count] of Object.entries(formats)) if (count > 0) this.#messages.inc({ format }, count)
  }

  problem(reason: SyslogProblem, count = 1): void {
    this.#problems.inc({ reason }, count)
  }
}
