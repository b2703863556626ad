/** The names in the log directory and where they lead: the first thing to look at when a log is not there. */
import { lstatSync, readdirSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { type PodIdentity, podFromPath } from '../discover/layout.ts'
import { type LogFilter, type LogSnapshot, matches, type NameSnapshot, type Snapshot } from './snapshot.ts'

export interface FoundName extends NameSnapshot {
  /** What the name or the link's target tells. */
  readonly identity: Omit<PodIdentity, 'uid'> | undefined
  /** Directory of the log's generations in the kubelet's layout, else the file: what the log is known by. */
  readonly log: string
}

/** The names that agree with the filter. Throws when the directory can't be listed. */
export function listNames(path: string, filter: LogFilter): FoundName[] {
  return readdirSync(path)
    .filter((name) => name.endsWith('.log'))
    .map((name) => look(path, name))
    .filter(({ identity }) => matches(filter, identity ?? {}))
}

function look(directory: string, name: string): FoundName {
  const entry = join(directory, name)
  const leadsTo = linkTarget(entry)
  const found = leadToFile(entry)
  const pod = podFromPath(leadsTo ?? entry) ?? (found.file === undefined ? undefined : podFromPath(found.file))
  const file = found.file ?? leadsTo ?? entry
  return {
    name,
    identity: pod ?? podFromName(name),
    log: pod !== undefined && /^\d+\.log$/.test(basename(file)) ? dirname(file) : file,
    ...(leadsTo === undefined ? {} : { leadsTo }),
    ...(found.problem === undefined ? {} : { problem: found.problem }),
  }
}

/** The name of a link in /var/log/containers: `<pod>_<namespace>_<container>-<id>.log`. */
export function podFromName(name: string): Omit<PodIdentity, 'uid'> | undefined {
  const match = /^([^_]+)_([^_]+)_([^_]+)-[0-9a-f]{12,64}\.log$/.exec(name)
  return match ? { pod: match[1]!, namespace: match[2]!, container: match[3]! } : undefined
}

function linkTarget(entry: string): string | undefined {
  try {
    return lstatSync(entry).isSymbolicLink() ? resolve(dirname(entry), readlinkSync(entry)) : undefined
  } catch {
    return undefined
  }
}

/** The file behind all links, or why there is none. */
function leadToFile(entry: string): { file?: string; problem?: string } {
  try {
    const file = realpathSync(entry)
    return statSync(file).isFile() ? { file } : { file, problem: 'it is not a file' }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return { problem: 'the file it leads to does not exist (is its directory mounted?)' }
    return { problem: code === 'ELOOP' ? 'its links lead in a circle' : message }
  }
}

/** Adds the names that lead to each log, and what has a name and is no log anybody reads. */
export function withNames(
  path: string,
  logs: readonly LogSnapshot[],
  filter: LogFilter,
): Pick<Snapshot, 'logs' | 'logsProblem'> {
  let names: FoundName[]
  try {
    names = listNames(path, filter)
  } catch (error) {
    return { logs, logsProblem: (error as Error).message }
  }
  const byLog = Map.groupBy(names, ({ log }) => log)
  const known = logs.map((log) => ({ ...log, names: (byLog.get(log.path) ?? []).map(plain) }))
  const seen = new Set(logs.map((log) => log.path))
  const unread = [...byLog].filter(([log]) => !seen.has(log)).map(([log, found]) => unreadLog(log, found))
  return { logs: [...known, ...unread] }
}

function unreadLog(path: string, names: readonly FoundName[]): LogSnapshot {
  const { identity } = names[0]!
  const { namespace, pod, container } = identity ?? {}
  const whose = namespace && pod && container ? { namespace, pod, container } : {}
  return { ...whose, path, names: names.map(plain), sources: [], gaps: [], errors: [] }
}

function plain({ name, leadsTo, problem }: FoundName): NameSnapshot {
  return { name, ...(leadsTo === undefined ? {} : { leadsTo }), ...(problem === undefined ? {} : { problem }) }
}
