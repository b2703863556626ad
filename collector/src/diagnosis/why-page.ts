/** `/why?namespace=&pod=&container=`: all about the logs asked for; without a parameter the logs with something wrong, in short. */
import type { CollectorConfig } from '../config.ts'
import type { Courier } from '../forward/courier.ts'
import { jsonPage, onlyParameters, type PageAnswer, parameter } from '../http.ts'
import type { NameTrouble } from '../resolve/directory.ts'
import { snapshotLogs } from '../tail/snapshot.ts'
import type { Tailer } from '../tail/tailer.ts'
import { explain, summarize } from './explain.ts'
import { withNames } from './names.ts'
import type { CollectorSnapshot, LogFilter, LogSnapshot, Snapshot } from './snapshot.ts'

export interface WhyPageOptions {
  /** The configuration it runs with now. */
  config(): CollectorConfig
  readonly tailer: Pick<Tailer, 'view' | 'ready'>
  readonly courier: Pick<Courier, 'aggregators' | 'routeTo' | 'refusal' | 'inFlightBytes'>
  /** Why the configuration file is not what the collector runs with. */
  staleConfig(): string | undefined
  /** Names of aggregators that do not resolve. */
  nameTroubles(): readonly NameTrouble[]
  /** Why the Kubernetes API tells nothing at the moment. */
  podsTrouble?(): string | undefined
}

/** Logs that the summary names at most. */
const summaryLimit = 100

export async function whyPage(options: WhyPageOptions, query: URLSearchParams): Promise<PageAnswer> {
  onlyParameters(query, ['namespace', 'pod', 'container'])
  const filter: LogFilter = {
    namespace: parameter(query, 'namespace'),
    pod: parameter(query, 'pod'),
    container: parameter(query, 'container'),
  }
  const all = Object.values(filter).every((part) => part === undefined)
  const snapshot = await takeSnapshot(options, filter)
  return jsonPage(all ? summarize(snapshot, summaryLimit) : explain(snapshot, filter))
}

async function takeSnapshot(options: WhyPageOptions, filter: LogFilter): Promise<Snapshot> {
  const { tailer, courier } = options
  const logsPath = options.config().logs.path
  const { enabled } = options.config().kubernetes
  const metadataTrouble = options.podsTrouble?.()
  const logs = snapshotLogs(tailer.view, filter, performance.now()).map((log) => ({
    // Who is asked for pods and has nothing to complain of knows this one.
    metadata: enabled && log.pod !== undefined ? ('known' as const) : ('off' as const),
    ...(metadataTrouble === undefined ? {} : { metadataTrouble }),
    ...addRoutes(log, courier),
  }))
  return { logsPath, ...(await withNames(logsPath, logs, filter)), collector: collectorOf(options) }
}

function addRoutes(log: LogSnapshot, courier: WhyPageOptions['courier']): LogSnapshot {
  const sources = log.sources.map((one) => {
    const route = one.source === undefined ? undefined : courier.routeTo(Buffer.from(one.source, 'hex'))
    return { ...one, ...(route === undefined ? {} : { route }) }
  })
  return { ...log, sources }
}

function collectorOf({ config, tailer, courier, staleConfig, nameTroubles }: WhyPageOptions): CollectorSnapshot {
  const { limits, logs } = config()
  const stale = staleConfig()
  return {
    ready: tailer.ready,
    aggregators: courier.aggregators(),
    ...(courier.refusal === undefined ? {} : { refusal: courier.refusal }),
    unresolved: nameTroubles(),
    inFlightBytes: courier.inFlightBytes,
    inFlightLimit: limits.inFlightBytes,
    openFiles: tailer.view.openFiles,
    openFilesLimit: limits.openFiles,
    flushInterval: logs.flushInterval,
    partialTimeout: logs.partialTimeout,
    ...(stale === undefined ? {} : { staleConfig: stale }),
  }
}
