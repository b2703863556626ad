/**
 * Says in plain words what a snapshot shows: per log whether it is found, read and acknowledged, and what it waits for. Pure.
 */
import { formatSize } from '@tributary/protocol/units.ts'
import { explainAggregators } from './explain-aggregators.ts'
import { explainPolicy } from './explain-policy.ts'
import { explainSource } from './explain-source.ts'
import { ago, type Finding, fine, type Level, notice, problem } from './finding.ts'
import { type LogFilter, type LogSnapshot, nameOf, type Snapshot, type SourceSnapshot } from './snapshot.ts'

export interface SourceAnswer extends SourceSnapshot {
  readonly findings: readonly Finding[]
}

export interface LogAnswer extends Omit<LogSnapshot, 'sources'> {
  /** namespace/pod/container, or the file's path. */
  readonly log: string
  readonly level: Level
  readonly findings: readonly Finding[]
  readonly sources: readonly SourceAnswer[]
}

export interface WhyAnswer {
  /** Nothing is lost, stuck or missing. */
  readonly ok: boolean
  /** Logs looked at, of which a summary names only those with something to say. */
  readonly logsFound: number
  /** What concerns all logs. */
  readonly findings: readonly Finding[]
  readonly logs: readonly LogAnswer[]
}

/** An error this old, ms, without a newer one is past: problems that last are met again with every look. */
const pastMs = 60_000

/** All about the logs that were asked for. */
export function explain(snapshot: Snapshot, filter: LogFilter): WhyAnswer {
  const logs = snapshot.logs.map((log) => explainLog(log, snapshot))
  const findings = [...explainCollector(snapshot), ...(logs.length === 0 ? [notFound(snapshot, filter)] : [])]
  return { ok: isOk(findings, logs), logsFound: logs.length, findings, logs }
}

/** The logs with something wrong, the worst first; at most `limit`. */
export function summarize(snapshot: Snapshot, limit: number): WhyAnswer {
  const logs = snapshot.logs.map((log) => explainLog(log, snapshot))
  const told = logs.filter(({ level }) => level !== 'fine').sort((a, b) => weightOf(b) - weightOf(a))
  const findings = explainCollector(snapshot)
  if (snapshot.logs.length === 0 && snapshot.logsProblem === undefined)
    findings.push(notice('no_logs', `there is no *.log in ${snapshot.logsPath}`))
  if (told.length > limit)
    findings.push(notice('more', `${told.length - limit} more logs have something to tell; ask for one by its name`))
  return { ok: isOk(findings, told), logsFound: logs.length, findings, logs: told.slice(0, limit) }
}

function isOk(findings: readonly Finding[], logs: readonly LogAnswer[]): boolean {
  return worstOf(findings) !== 'problem' && logs.every(({ level }) => level !== 'problem')
}

export function worstOf(findings: readonly Finding[]): Level {
  if (findings.some(({ level }) => level === 'problem')) return 'problem'
  return findings.some(({ level }) => level === 'notice') ? 'notice' : 'fine'
}

/** Problems before notices, among equals those with most to send. */
function weightOf({ level, sources }: LogAnswer): number {
  const behind = sources.reduce((sum, { size, acknowledged }) => sum + Math.max(0, size - acknowledged), 0)
  return behind + (level === 'problem' ? Number.MAX_SAFE_INTEGER / 2 : 0)
}

function notFound({ logsPath }: Snapshot, filter: LogFilter): Finding {
  const asked = [filter.namespace, filter.pod, filter.container].filter((part) => part !== undefined).join('/')
  return problem(
    'not_found',
    `no name in ${logsPath} leads to a log of ${asked}, and the collector knows none: is the pod on this node, has it written anything, and is the name right?`,
  )
}

function explainCollector({ collector, logsPath, logsProblem }: Snapshot): Finding[] {
  const findings: Finding[] = []
  if (logsProblem !== undefined)
    findings.push(problem('logs_path', `${logsPath} can't be listed (${logsProblem}): see logs.path and its mount`))
  if (collector === undefined) return findings
  if (!collector.ready && logsProblem === undefined)
    findings.push(notice('starting', `the collector has just started and has not listed ${logsPath} yet`))
  findings.push(...explainAggregators(collector))
  if (collector.inFlightBytes >= collector.inFlightLimit)
    findings.push(
      notice(
        'budget',
        `all ${formatSize(collector.inFlightLimit)} of limits.inFlightBytes wait for acknowledgements: the aggregator takes chunks more slowly than they could be read`,
      ),
    )
  if (collector.staleConfig !== undefined) findings.push(notice('stale_config', collector.staleConfig))
  return findings
}

function explainLog(log: LogSnapshot, snapshot: Snapshot): LogAnswer {
  const sources = log.sources.map((source, i) => {
    const older = log.sources.slice(0, i).some(({ state }) => state !== 'done' && state !== 'gone')
    return { ...source, findings: explainSource(source, { log, older, collector: snapshot.collector }) }
  })
  const findings = [...explainNames(log), ...explainPolicy(log), ...explainGaps(log), ...explainErrors(log)]
  const level = worstOf([...findings, ...sources.flatMap(({ findings }) => findings)])
  return { ...log, log: nameOf(log), level, findings, sources }
}

function explainNames({ names, sources, excludedBy, path }: LogSnapshot): Finding[] {
  const findings = names.map(({ name, leadsTo, problem: wrong }) => {
    if (wrong !== undefined)
      return problem(
        'name',
        `${name}${leadsTo === undefined ? '' : ` leads to ${leadsTo}, but`} can't be read: ${wrong}`,
      )
    return fine('name', leadsTo === undefined ? `found as ${name}` : `found as ${name}, which leads to ${leadsTo}`)
  })
  if (names.length === 0)
    findings.push(
      notice(
        'no_name',
        `no name in the log directory leads to ${path} any more: the pod is gone; what is unread is still read while the files are held open`,
      ),
    )
  if (sources.length === 0 && excludedBy === undefined && names.some(({ problem }) => problem === undefined))
    findings.push(notice('no_files', `${path} has no file with a whole line yet`))
  return findings
}

function explainGaps({ gaps }: LogSnapshot): Finding[] {
  return gaps.map(({ path, kind, reason, from, to }) => {
    const what = `bytes ${from}-${to} of ${path} (${formatSize(to - from)})`
    return kind === 'lost'
      ? problem('lost', `${what} are lost: ${reason}`)
      : notice('filtered', `${what} were left out on purpose: ${reason}`)
  })
}

function explainErrors({ errors }: LogSnapshot): Finding[] {
  return errors.map(({ path, text, ago: since }) => {
    const past = since > pastMs
    return (past ? notice : problem)('error', `${path}: ${text} (${ago(since)} ago)`)
  })
}
