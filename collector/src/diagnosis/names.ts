/** The names in the log directory and where they lead: the first thing to look at when a log is not there. */
import { readdirSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { setImmediate as yieldToLoop } from 'node:timers/promises'
import { type PodIdentity, podFromPath } from '../discover/layout.ts'
import { type LogFilter, type LogSnapshot, matches, type NameSnapshot, type Snapshot } from './snapshot.ts'

export interface FoundName extends NameSnapshot {
  /** What the name or the link's target tells. */
  readonly identity: Omit<PodIdentity, 'uid'> | undefined
  /** Directory of the log's generations in the kubelet's layout, else the file: what the log is known by. */
  readonly log: string
}

/** A node may have thousands of names, and logs are read meanwhile: so many are looked at in one turn of the event loop. */
const namesPerTurn = 250

/**
 * The names that agree with the filter. Throws when the directory can't be listed.
 *
 * @param known logs that need not be looked for, by what they are known by
 */
export async function listNames(path: string, filter: LogFilter, known: ReadonlySet<string>): Promise<FoundName[]> {
  const names: FoundName[] = []
  for (const [i, name] of readdirSync(path).entries()) {
    if (i % namesPerTurn === namesPerTurn - 1) await yieldToLoop()
    if (!name.endsWith('.log')) continue
    const found = look(path, name, known)
    if (matches(filter, found.identity ?? {})) names.push(found)
  }
  return names
}

function look(directory: string, name: string, known: ReadonlySet<string>): FoundName {
  const entry = join(directory, name)
  const leadsTo = linkTarget(entry)
  const { file = leadsTo ?? entry, problem } = leadToFile(entry, leadsTo, known)
  const pod = podFromPath(leadsTo ?? entry) ?? podFromPath(file)
  return {
    name,
    identity: pod ?? podFromName(name),
    log: pod === undefined ? file : logOf(file),
    ...(leadsTo === undefined ? {} : { leadsTo }),
    ...(problem === undefined ? {} : { problem }),
  }
}

/** What a pod's file is known by: its directory where the kubelet wrote it, else the file. */
function logOf(file: string): string {
  return /^\d+\.log$/.test(basename(file)) ? dirname(file) : file
}

/** The name of a link in /var/log/containers: `<pod>_<namespace>_<container>-<id>.log`. */
export function podFromName(name: string): Omit<PodIdentity, 'uid'> | undefined {
  const match = /^([^_]+)_([^_]+)_([^_]+)-[0-9a-f]{12,64}\.log$/.exec(name)
  return match ? { pod: match[1]!, namespace: match[2]!, container: match[3]! } : undefined
}

/** Undefined for what is no link. */
function linkTarget(entry: string): string | undefined {
  try {
    return resolve(dirname(entry), readlinkSync(entry))
  } catch {
    return undefined
  }
}

/** The file behind all links, or why there is none. */
function leadToFile(
  entry: string,
  leadsTo: string | undefined,
  known: ReadonlySet<string>,
): { file?: string; problem?: string } {
  try {
    if (!statSync(entry).isFile()) return { problem: 'it is not a file' }
    // Looking behind every link of a long path takes its time, and is of no use where the first leads to a known log.
    return { file: leadsTo !== undefined && known.has(logOf(leadsTo)) ? leadsTo : realpathSync.native(entry) }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return { problem: 'the file it leads to does not exist (is its directory mounted?)' }
    return { problem: code === 'ELOOP' ? 'its links lead in a circle' : message }
  }
}

/** Adds the names that lead to each log, and what has a name and is no log anybody reads. */
export async function withNames(
  path: string,
  logs: readonly LogSnapshot[],
  filter: LogFilter,
): Promise<Pick<Snapshot, 'logs' | 'logsProblem'>> {
  const seen = new Set(logs.map((log) => log.path))
  let names: FoundName[]
  try {
    names = await listNames(path, filter, seen)
  } catch (error) {
    return { logs, logsProblem: (error as Error).message }
  }
  const byLog = Map.groupBy(names, ({ log }) => log)
  const known = logs.map((log) => ({ ...log, names: (byLog.get(log.path) ?? []).map(plain) }))
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
