/** The names in the log directory and where they lead: the first thing to look at when a log is not there. */
import { lstatSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type PodIdentity, podFromPath } from '../discover/layout.ts'
import { type LogFilter, type LogSnapshot, matches, type NameSnapshot, type Snapshot } from './snapshot.ts'

export interface FoundName extends NameSnapshot {
  /** What the name or the link's target tells. */
  readonly identity: Omit<PodIdentity, 'uid'> | undefined
  /** The file it leads to, as far as the first link tells. */
  readonly target: string
}

/** The names that agree with the filter. Throws when the directory can't be listed. */
export function listNames(path: string, filter: LogFilter): FoundName[] {
  const names: FoundName[] = []
  for (const name of readdirSync(path)) {
    if (!name.endsWith('.log')) continue
    const target = linkTarget(join(path, name))
    const identity = podFromPath(target ?? join(path, name)) ?? podFromName(name)
    if (!matches(filter, identity ?? {})) continue
    const problem = problemOf(join(path, name))
    names.push({
      name,
      identity,
      target: target ?? join(path, name),
      ...(target === undefined ? {} : { leadsTo: target }),
      ...(problem === undefined ? {} : { problem }),
    })
  }
  return names
}

/** The name of a link in /var/log/containers: `<pod>_<namespace>_<container>-<id>.log`. */
export function podFromName(name: string): Omit<PodIdentity, 'uid'> | undefined {
  const match = /^([^_]+)_([^_]+)_([^_]+)-[0-9a-f]{12,64}\.log$/.exec(name)
  return match ? { pod: match[1]!, namespace: match[2]!, container: match[3]! } : undefined
}

/** Directory of the log's generations in the kubelet's layout, else the file. */
export function logOf(target: string): string {
  return podFromPath(target) === undefined ? target : dirname(target)
}

function linkTarget(entry: string): string | undefined {
  try {
    return lstatSync(entry).isSymbolicLink() ? resolve(dirname(entry), readlinkSync(entry)) : undefined
  } catch {
    return undefined
  }
}

function problemOf(entry: string): string | undefined {
  try {
    return statSync(entry).isFile() ? undefined : 'it is not a file'
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return 'the file it leads to does not exist (is its directory mounted?)'
    return code === 'ELOOP' ? 'its links lead in a circle' : message
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
  const byLog = Map.groupBy(names, ({ target }) => logOf(target))
  const known = logs.map((log) => ({ ...log, names: (byLog.get(log.path) ?? []).map(plain) }))
  const seen = new Set(logs.map((log) => log.path))
  const unread = [...byLog].filter(([log]) => !seen.has(log)).map(([log, found]) => unreadLog(log, found))
  return { logs: [...known, ...unread] }
}

function unreadLog(path: string, names: readonly FoundName[]): LogSnapshot {
  return { ...names[0]!.identity, path, names: names.map(plain), sources: [], gaps: [], errors: [] }
}

function plain({ name, leadsTo, problem }: FoundName): NameSnapshot {
  return { name, ...(leadsTo === undefined ? {} : { leadsTo }), ...(problem === undefined ? {} : { problem }) }
}
