/** Puts the collector together, and takes it apart: reading stops first, acknowledgements and the last checkpoint come after. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { lockDirectory } from '@tributary/protocol/directory-lock.ts'
import { type Disk, makeNamedDirectory, nodeDisk } from '@tributary/protocol/disk.ts'
import { Secret } from '@tributary/protocol/secret.ts'
import type { Logger } from 'pino'
import { loadCheckpoints } from './checkpoint/checkpoint-file.ts'
import { Checkpointer } from './checkpoint/checkpointer.ts'
import type { CollectorConfig } from './config.ts'
import { rulesByLabels } from './discover/selection.ts'
import { fileEvents } from './file-events.ts'
import { FilterCounts } from './filter/filter-metrics.ts'
import { Taps } from './filter/taps.ts'
import { ByteBudget } from './forward/budget.ts'
import { Courier } from './forward/courier.ts'
import { openAggregators } from './forward/open-aggregators.ts'
import type { Page } from './http.ts'
import type { InputParts } from './input/input.ts'
import { AnnotationProblems } from './metadata/annotation-problems.ts'
import type { PodDirectoryOptions, WatchedPods } from './metadata/pod-directory.ts'
import { CollectorMetrics } from './metrics.ts'
import { pagesOf } from './pages.ts'
import { Reloader, type ReloadResult } from './reload/reloader.ts'
import { Spool } from './spool/spool.ts'
import { Tailer } from './tail/tailer.ts'
import { treatmentsBy } from './treatments-by.ts'
import { Vitals } from './vitals.ts'

export interface RunningCollector {
  readonly httpPort: number
  /** Where applications send to; undefined when they can't. */
  readonly inputPort: number | undefined
  readonly metrics: CollectorMetrics
  /** Goes by what `load` returns from now on, as far as it may without a restart; by what it did before when that throws. */
  reload(load: () => CollectorConfig | Promise<CollectorConfig>): Promise<ReloadResult>
  /** Stops reading, waits for acknowledgements up to `shutdown.drain`, spools what only it can still read, saves the checkpoints. */
  close(): Promise<void>
}

export interface CollectorSurroundings {
  readonly log: Logger
  readonly disk?: Disk
  readonly stallMs?: number
  /** Ends the waiting for another collector that has the state directory. */
  readonly signal?: AbortSignal
  /** Where the configuration is from: paths of filter modules are relative to it. */
  readonly configFile?: string
}

/** Throws `DirectoryLockedError` when another collector has the state directory and does not end. */
export async function startCollector(
  config: CollectorConfig,
  surroundings: CollectorSurroundings,
): Promise<RunningCollector> {
  const { log, disk = nodeDisk, signal } = surroundings
  const { stateDir, shutdown } = config
  await makeNamedDirectory(disk, 'stateDir', stateDir)
  // As long as one that is told to stop may take, and a little more.
  const patience = shutdown.drain + shutdown.spool + 5000
  const lock =
    disk === nodeDisk
      ? await lockDirectory(stateDir, {
          key: 'stateDir',
          patience,
          warn: (fields, message) => log.warn(fields, message),
          signal,
        })
      : undefined
  const release = () => lock?.[Symbol.asyncDispose]()
  try {
    const collector = await startLocked(config, surroundings)
    return { ...collector, close: () => collector.close().finally(release) }
  } catch (error) {
    await release()
    throw error
  }
}

async function startLocked(
  config: CollectorConfig,
  { log, disk = nodeDisk, stallMs, configFile = 'collector.yaml' }: CollectorSurroundings,
): Promise<RunningCollector> {
  const path = join(config.stateDir, 'checkpoints')
  const loaded = await loadCheckpoints(disk, path)
  if (loaded.damaged) {
    const { error, movedTo } = loaded.damaged
    log.warn(
      { path, movedTo, reason: error.message },
      "checkpoints damaged and set aside; the aggregator's ledger tells where to go on",
    )
  }
  const metrics = new CollectorMetrics()
  const directory = join(config.stateDir, 'spool')
  const spool = await Spool.open({ disk, directory, limit: config.limits.spoolBytes, log, metrics })
  const found = openAggregators(config, { ledger: loaded.ledger, log, metrics })
  const { aggregators } = found
  const budget = new ByteBudget(config.limits.inFlightBytes)
  const courier = new Courier({ ...config.forward, aggregators, budget, metrics })
  const pods = await openPods(config, { disk, log, metrics })
  const problems = new AnnotationProblems(log, metrics.annotationProblems)
  const taps = new Taps()
  const helpers = { pods, problems, filterCounts: new FilterCounts({ log, metrics }), taps, configFile }
  let treatments = await treatmentsBy(config, helpers)
  tellRules(config, log)
  const tailer = new Tailer({
    config,
    courier,
    decide: (family, now) => treatments.decide(family, now),
    checkpoints: loaded.checkpoints,
    spool,
    firstStart: loaded.first,
    log,
    metrics,
  })
  // What an interrupted rewinding has left is found again by the name of the ledger that its checkpoints are about.
  let ledgerBefore = loaded.ledger
  const ledgerOfCheckpoints = () => {
    if (!tailer.rewinding) ledgerBefore = aggregators.ledger
    return ledgerBefore
  }
  aggregators.onRestored = () => tailer.rewind()
  if (pods !== undefined) {
    pods.onChange = (uid) => tailer.podChanged(uid)
    pods.isNeeded = (uid) => tailer.hasPod(uid)
  }
  const reloader = new Reloader({
    config,
    log,
    metrics,
    async prepare(next) {
      const replaced = await treatmentsBy(next, helpers)
      return () => {
        treatments = replaced
        tellRules(next, log)
        if (next.log.level !== reloader.config.log.level) log.level = next.log.level
        budget.resize(next.limits.inFlightBytes)
        spool.limit = next.limits.spoolBytes
        pods?.reconfigure(next.kubernetes)
        tailer.reconfigure(next)
      }
    },
  })
  const { token, tokenFile } = config.http
  const asked = Secret.from('http.token', token, tokenFile, fileEvents(log, metrics))
  // Logs are looked at before all that reading does not need, which a small quota of CPU takes a while for. But nobody is told anything of
  // them yet: a collector that finds its port taken must not have cost the one that has it anything.
  const stop = new AbortController()
  const reading = tailer.run(stop.signal)
  const vitals = new Vitals({ logsPath: config.logs.path, tailer, courier, metrics, stallMs })
  const pages = pagesOf({
    registry: metrics.registry,
    vitals,
    tap: { taps, config: () => reloader.config },
    why: {
      config: () => reloader.config,
      tailer,
      courier,
      staleConfig: () => reloader.stale,
      podsTrouble: () => pods?.trouble,
      nameTroubles: found.nameTroubles,
    },
  })
  const ports = openPorts(config, { pages, token: asked, input: { courier, directory: pods, log, metrics } })
  const { server, httpPort, input } = await ports.catch(async (error) => {
    vitals.close()
    stop.abort()
    await reading
    await tailer.close(AbortSignal.abort())
    await Promise.all([pods?.close(), found.close()])
    throw error
  })
  found.connect()
  const checkpointer = new Checkpointer({
    disk,
    path,
    interval: config.checkpoints.interval,
    log,
    metrics,
    take: () => ({ checkpoints: tailer.checkpoints(), ledger: ledgerOfCheckpoints() }),
    saved: () => tailer.saved(),
    progress: () => `${tailer.progress} ${ledgerOfCheckpoints()}`,
  })
  tailer.onUnsaved = () => checkpointer.hurry()
  pods?.watch()
  metrics.collectProcess()
  log.info(
    {
      logs: config.logs.path,
      aggregators: config.aggregator.address.map(({ address }) => address),
      http: httpPort,
    },
    'collector started',
  )
  return {
    httpPort,
    inputPort: input?.port,
    metrics,
    reload: (load) => reloader.reload(load),
    async close() {
      vitals.close()
      stop.abort()
      const deadline = AbortSignal.timeout(reloader.config.shutdown.drain)
      await Promise.all([reading, input?.close(deadline)])
      await drain(courier, deadline)
      await tailer.close(AbortSignal.timeout(reloader.config.shutdown.spool))
      await Promise.all([checkpointer.close(), pods?.close()])
      await found.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

interface PortParts {
  readonly pages: Map<string, Page>
  readonly token: Secret | undefined
  readonly input: InputParts
}

/** Where the collector is asked, and where applications send to: all of it, or none. */
async function openPorts(config: CollectorConfig, { pages, token, input }: PortParts) {
  const { portOf, serveHttp } = await import('./http.ts')
  const server = await serveHttp({ ...config.http, token }, pages)
  try {
    // Loaded only where it is used: most of an idle collector's memory is code.
    const running = config.input.forward.enabled
      ? await (await import('./input/input.ts')).startInput(config, input)
      : undefined
    return { server, httpPort: portOf(server), input: running }
  } catch (error) {
    server.close()
    throw error
  }
}

/** Loaded only where it is used. Undefined where nobody is asked about pods. */
async function openPods(config: CollectorConfig, parts: PodDirectoryOptions): Promise<WatchedPods | undefined> {
  if (!config.kubernetes.enabled) return undefined
  return (await import('./metadata/pod-directory.ts')).openPodDirectory(config, parts)
}

/** Rules that match nothing leave out what was to be read, or read what was to be left out. */
function tellRules({ kubernetes, logs }: CollectorConfig, log: Logger): void {
  const rules = kubernetes.enabled ? [] : rulesByLabels(logs)
  if (rules.length > 0)
    log.warn({ rules }, 'rules by labels match no log: they need kubernetes.enabled, for only the API tells of labels')
}

/** Waits until everything sent is acknowledged, or the deadline: what is not is sent again after the next start. */
async function drain(courier: Courier, deadline: AbortSignal): Promise<void> {
  while (courier.waiting > 0 && !deadline.aborted) await sleep(20)
}
