/** What a running collector knows of its logs, for diagnosis and health. Looks, and changes nothing. */
import { dirname } from 'node:path'
import type { Gap, Journal } from '../diagnosis/journal.ts'
import { type LogFilter, type LogSnapshot, matches, nameOf, type SourceSnapshot } from '../diagnosis/snapshot.ts'
import type { Family } from './family.ts'
import type { Generation } from './generation.ts'

/** What the tailer shows. */
export interface TailerView {
  readonly families: Iterable<Family>
  /** Sources whose file was gone when the collector started. */
  readonly orphans: readonly Generation[]
  readonly journal: Journal
  readonly openFiles: number
}

/** The logs that agree with `filter`, without the names that lead to them. `now` in ms on the monotonic clock. */
export function snapshotLogs({ families, journal }: TailerView, filter: LogFilter, now: number): LogSnapshot[] {
  const logs: LogSnapshot[] = []
  const gaps = Map.groupBy(journal.gaps(), ({ path }) => dirname(path))
  const troubles = Map.groupBy(journal.troubles(), ({ path }) => dirname(path))
  for (const family of families) {
    const log = { ...podOf(family), path: family.key }
    if (!matches(filter, log)) continue
    logs.push({
      ...log,
      names: [],
      ...decisionOf(family),
      sources: family.generations.map((generation) => snapshotSource(generation, now)),
      gaps: of(gaps, family).map(snapshotGap),
      errors: of(troubles, family).map(({ path, text, at }) => ({ path, text, ago: Math.round(now - at) })),
    })
  }
  return logs
}

function decisionOf({ decision }: Family): Pick<LogSnapshot, 'excludedBy' | 'metadata' | 'policy' | 'policyFrom'> {
  if (decision === undefined || decision.verdict === 'wait') return { metadata: 'waiting' }
  const { verdict, by, grounds } = decision
  if (verdict === 'excluded') return { excludedBy: by }
  if (grounds === undefined) return {}
  const { policy, annotations, partial } = grounds
  return {
    policy,
    policyFrom: annotations.length === 0 ? 'the configuration' : annotations.join(', '),
    ...(partial ? { metadata: 'partial' } : {}),
  }
}

function snapshotGap({ path, kind, reason, range: [from, to] }: Gap) {
  return { path, kind, reason, from, to }
}

function podOf({ origin: { identity } }: Family): Pick<LogSnapshot, 'namespace' | 'pod' | 'container'> {
  if (identity === undefined) return {}
  const { namespace, pod, container } = identity
  return { namespace, pod, container }
}

/** What is noted of a log's directory and files, of all that is noted by directory. */
function of<T extends { readonly path: string }>(noted: ReadonlyMap<string, readonly T[]>, family: Family): T[] {
  const { directory, base } = family.origin
  const within = noted.get(directory) ?? []
  if (base === undefined)
    return [...within, ...(noted.get(dirname(directory)) ?? []).filter(({ path }) => path === directory)]
  // The file itself, and what rotation made of it.
  return within.filter(({ path }) => path.startsWith(family.key) && /^([.-]|$)/.test(path.slice(family.key.length)))
}

function snapshotSource(generation: Generation, now: number): SourceSnapshot {
  const { source, path, state, size, position, frontier, file, unlinked, ended, unreadSince, stuck, ackedAt } =
    generation
  return {
    source,
    path,
    state,
    size,
    ...(generation.sizeUnknown ? { sizeUnknown: true } : {}),
    read: position,
    acknowledged: frontier.offset,
    chunksInFlight: frontier.inFlight,
    open: file !== undefined,
    unlinked,
    ...(generation.spooled === undefined ? {} : { spooled: true }),
    ended,
    ...(unreadSince === undefined || generation.unread === 0 ? {} : { unreadFor: Math.round(now - unreadSince) }),
    ...(stuck === undefined ? {} : { unfinishedFor: Math.round(now - stuck.since) }),
    ...(ackedAt === undefined ? {} : { lastAckAgo: Math.round(now - ackedAt) }),
  }
}

export interface Backlog {
  /** Bytes that could be read now. */
  readonly readableBytes: number
  /** Bytes of lines and stack traces whose end is not there yet. */
  readonly unfinishedBytes: number
  /** Since when the oldest of them that could be read waits, ms on the monotonic clock; undefined when there is none. */
  readonly oldestSince: number | undefined
  /** The log with most of them. */
  readonly worst: string | undefined
}

/** What is there to be read: not a line that is still being written, nor a file that can't be read. Looked at every second. */
export function backlogOf({ families, journal }: TailerView, now: number): Backlog {
  let [readableBytes, unfinishedBytes, worstBytes] = [0, 0, 0]
  let oldestSince: number | undefined
  let worst: Family | undefined
  for (const family of families) {
    let bytes = 0
    for (const generation of family.generations) {
      const { unread } = generation
      if (unread === 0) continue
      const readable = isReadable(generation, now)
      if (!readable) unfinishedBytes += unread
      if (!readable || journal.troubleOf(generation.path)) continue
      bytes += unread
      const since = generation.unreadSince ?? now
      if (oldestSince === undefined || since < oldestSince) oldestSince = since
    }
    readableBytes += bytes
    if (bytes > worstBytes) [worst, worstBytes] = [family, bytes]
  }
  return { readableBytes, unfinishedBytes, oldestSince, worst: worst && nameOf({ ...podOf(worst), path: worst.key }) }
}

/** A record whose end is not there yet is waited for, and a line without its end for as long as nobody writes it. */
function isReadable({ stuck, size, ended }: Generation, now: number): boolean {
  if (stuck === undefined || ended || stuck.size !== size) return true
  return stuck.to !== -1 && now - stuck.since >= stuck.timeout
}
