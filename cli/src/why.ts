/** `tributary why`: what became of a pod's logs on a node, asked of its collector or read from the state it left. */

import type { LogAnswer, WhyAnswer } from '@tributary/collector/diagnosis/explain.ts'
import type { Finding, Level } from '@tributary/collector/diagnosis/finding.ts'
import type { LogFilter } from '@tributary/collector/diagnosis/snapshot.ts'
import type { StateOptions } from '@tributary/collector/diagnosis/state-snapshot.ts'
import { loadConfig } from '@tributary/protocol/config-file.ts'
import { ConfigError } from '@tributary/protocol/config-value.ts'
import { ApiClient } from './api-client.ts'
import type { Print } from './query.ts'

export interface WhyOptions {
  readonly addr: string
  /** Read this state directory instead of asking a collector. */
  readonly state?: string
  /** Log directory to compare it with. */
  readonly logs: string
  /** Configuration that tells both directories, and the rules. */
  readonly config?: string
  readonly output: 'text' | 'json'
}

/** Prints what is found; true when nothing is lost, stuck or missing. */
export async function runWhy(log: string | undefined, options: WhyOptions, print: Print): Promise<boolean> {
  const filter = log === undefined ? {} : parseLog(log)
  const answer = await (options.state === undefined && options.config === undefined ? ask : readState)(filter, options)
  if (options.output === 'json') print(JSON.stringify(answer))
  else for (const line of formatWhy(answer, log === undefined)) print(line)
  return answer.ok
}

/** `namespace/pod` or `namespace/pod/container`. `command` is whose argument it is, for messages. */
export function parseLog(text: string, command = 'why'): LogFilter {
  const [namespace, pod, container, ...rest] = text.split('/')
  if (!namespace || !pod || container === '' || rest.length > 0)
    throw new ConfigError(command, [`${text} is no log; write namespace/pod or namespace/pod/container`])
  return { namespace, pod, ...(container === undefined ? {} : { container }) }
}

async function ask(filter: LogFilter, { addr }: WhyOptions): Promise<WhyAnswer> {
  const query = Object.entries(filter).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return await new ApiClient(addr, 'a collector').getJson<WhyAnswer>('/why', Object.fromEntries(query))
}

async function readState(filter: LogFilter, options: WhyOptions): Promise<WhyAnswer> {
  const [{ snapshotState }, { explain, summarize }] = await Promise.all([
    import('@tributary/collector/diagnosis/state-snapshot.ts'),
    import('@tributary/collector/diagnosis/explain.ts'),
  ])
  const snapshot = await snapshotState({ ...(await placesOf(options)), filter })
  return filter.pod === undefined ? summarize(snapshot, Number.POSITIVE_INFINITY) : explain(snapshot, filter)
}

/** Where to look, and by which rules. */
async function placesOf({ config, state, logs }: WhyOptions): Promise<Omit<StateOptions, 'filter'>> {
  if (config === undefined) return { stateDir: state!, logsPath: logs }
  const { collectorConfig } = await import('@tributary/collector/config.ts')
  const loaded = loadConfig(config, collectorConfig)
  return { stateDir: state ?? loaded.stateDir, logsPath: loaded.logs.path, selection: loaded.logs }
}

const mark: Record<Level, string> = { fine: ' ', notice: '~', problem: '!' }
const line =
  (indent: string) =>
  ({ level, text }: Finding): string =>
    `${mark[level]}${indent}${text}`

export function formatWhy({ ok, findings, logs, logsFound }: WhyAnswer, summary: boolean): string[] {
  const told = [...findings.map(line(' ')), ...logs.flatMap((log) => formatLog(log, summary))]
  const known = `${logsFound} ${logsFound === 1 ? 'log' : 'logs'} known`
  if (!ok) return [...told, '', summary ? `${known}. Something is wrong: see !` : 'Something is wrong: see !']
  if (!summary) return [...told, '', 'Nothing is lost or stuck.']
  return [...told, `${known}, none of them lost anything or is stuck.`]
}

/** In a summary only what is worth knowing. */
function formatLog({ log, findings, sources }: LogAnswer, summary: boolean): string[] {
  const isTold = ({ level }: Finding) => !summary || level !== 'fine'
  return [
    log,
    ...findings.filter(isTold).map(line('   ')),
    ...sources.flatMap(({ path, findings }) => {
      const told = findings.filter(isTold)
      // Without the line that names the file the others must.
      const named = (text: string) => (text.startsWith(path) ? text : `${path}: ${text}`)
      if (summary) return told.map((one) => line('   ')({ ...one, text: named(one.text) }))
      return told.map((one, i) => line(i === 0 ? '   ' : '     ')(one))
    }),
  ]
}
