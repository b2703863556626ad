/**
 * What a collector left on disk tells of its logs: the checkpoints, compared with the files. Reads only, so a collector may be running
 * meanwhile; what lies between its last checkpoint and now is not known here.
 */
import { readdirSync, readFileSync, type Stats, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { isMissing } from '@tributary/protocol/disk.ts'
import { type Checkpoint, decodeCheckpoints } from '../checkpoint/checkpoint-file.ts'
import { compareGenerations, type GenerationName, parseGeneration, podFromPath } from '../discover/layout.ts'
import type { SelectionConfig } from '../discover/selection.ts'
import { parseSpoolName } from '../spool/spool-format.ts'
import { withNames } from './names.ts'
import { savedPods } from './saved-pods.ts'
import { type LogFilter, type LogSnapshot, matches, type Snapshot, type SourceSnapshot } from './snapshot.ts'

export interface StateOptions {
  readonly stateDir: string
  readonly logsPath: string
  readonly filter: LogFilter
  /** The rules of the configuration; none where it is not known. */
  readonly selection?: SelectionConfig
}

/** Throws when there are no checkpoints, or they can't be read. */
export async function snapshotState(options: StateOptions): Promise<Snapshot> {
  const { stateDir, logsPath, filter, selection = { include: [], exclude: [] } } = options
  const factsOf = savedPods(stateDir, selection)
  const spooled = spooledSources(stateDir)
  const byLog = Map.groupBy(readCheckpoints(stateDir), ({ path }) => logOfGeneration(path))
  // A log without a checkpoint, or whose name is gone, is found on the other side.
  const { logs: named, logsProblem } = await withNames(logsPath, [], filter)
  const paths = new Set([...named.map(({ path }) => path), ...byLog.keys()])
  const logs = [...paths]
    .map((path) => named.find((one) => one.path === path) ?? logOf(path))
    .filter((log) => matches(filter, log))
    .map((log) => ({ ...log, ...factsOf(log.path), sources: sourcesOf(log.path, byLog.get(log.path) ?? [], spooled) }))
  return { logsPath, logs, ...(logsProblem === undefined ? {} : { logsProblem }) }
}

function readCheckpoints(stateDir: string): Checkpoint[] {
  const path = join(stateDir, 'checkpoints')
  try {
    return [...decodeCheckpoints(readFileSync(path)).checkpoints]
  } catch (error) {
    const why = isMissing(error)
      ? 'there is none: is this the stateDir of a collector that has run?'
      : (error as Error).message
    throw new Error(`${path}: ${why}`)
  }
}

/** Sources whose unread bytes the spool has. */
function spooledSources(stateDir: string): Set<string> {
  try {
    const names = readdirSync(join(stateDir, 'spool')).map(parseSpoolName)
    return new Set(names.flatMap((name) => (name === undefined ? [] : [name.source])))
  } catch (error) {
    if (isMissing(error)) return new Set()
    throw error
  }
}

/** The log a generation's file belongs to: its directory in the kubelet's layout, else the file that is written to. */
function logOfGeneration(path: string): string {
  const directory = dirname(path)
  if (parseGeneration(basename(path), undefined) && podFromPath(join(directory, '0.log'))) return directory
  const base = /^(.*?\.log)[.-]\d/.exec(basename(path))?.[1]
  return base === undefined ? path : join(directory, base)
}

function logOf(path: string): LogSnapshot {
  const pod = podFromPath(join(path, '0.log'))
  const identity = pod && { namespace: pod.namespace, pod: pod.pod, container: pod.container }
  return { ...identity, path, names: [], sources: [], gaps: [], errors: [] }
}

interface Generation {
  readonly path: string
  readonly name: GenerationName
  readonly stats: Stats
}

function sourcesOf(log: string, checkpoints: readonly Checkpoint[], spooled: ReadonlySet<string>): SourceSnapshot[] {
  const files = generationsOf(log)
  const told = new Set<Checkpoint>()
  const sources = files.map((file) => {
    const { ino, dev } = file.stats
    const checkpoint =
      // Of a file that lost its end, the source that it goes on as is the last.
      checkpoints.findLast((one) => one.ino === ino && one.dev === dev) ??
      checkpoints.find(({ path }) => path === file.path && file.name.gzip)
    if (checkpoint) told.add(checkpoint)
    return ofFile(file, checkpoint)
  })
  const missing = checkpoints.filter((one) => !told.has(one)).map(ofMissing)
  const inSpool = (one: SourceSnapshot) => (spooled.has(one.source!) ? { ...one, spooled: true } : one)
  return [...missing.map(inSpool), ...sources]
}

/** The files there are, from the oldest to the newest. */
function generationsOf(log: string): Generation[] {
  const inKubeletLayout = podFromPath(join(log, '0.log')) !== undefined && !log.endsWith('.log')
  const directory = inKubeletLayout ? log : dirname(log)
  const found: Generation[] = []
  try {
    for (const entry of readdirSync(directory)) {
      const name = parseGeneration(entry, inKubeletLayout ? undefined : basename(log))
      const path = join(directory, entry)
      const stats = name && statSync(path, { throwIfNoEntry: false })
      if (name && stats?.isFile()) found.push({ path, name, stats })
    }
  } catch (error) {
    if (!isMissing(error)) throw error
  }
  return found.sort((a, b) => compareGenerations(a.name, b.name))
}

function ofFile({ path, name, stats }: Generation, checkpoint: Checkpoint | undefined): SourceSnapshot {
  if (checkpoint === undefined) return { ...unread, path, state: 'unidentified', size: stats.size }
  const { source, offset, done, seen, cutBack } = checkpoint
  return {
    ...unread,
    source,
    path,
    state: done ? 'done' : 'reading',
    size: name.gzip ? seen : Math.max(stats.size - (cutBack?.at ?? 0), offset),
    ...(name.gzip && !done ? { sizeUnknown: true } : {}),
    read: offset,
    acknowledged: offset,
    ended: done,
  }
}

/** A checkpoint without its file. */
function ofMissing({ source, path, offset, seen, done }: Checkpoint): SourceSnapshot {
  const state = done ? 'done' : 'gone'
  return { ...unread, source, path, state, size: seen, read: offset, acknowledged: offset, unlinked: true, ended: true }
}

const unread = { read: 0, acknowledged: 0, chunksInFlight: 0, open: false, unlinked: false, ended: false }
