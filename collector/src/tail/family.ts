/**
 * All generations of one log: for a container, everything in its directory under /var/log/pods; else a file and what rotation made
 * of it. Keeps the list true to the directory: who was renamed, compressed, copied, truncated, deleted, or is new.
 *
 * The directory's and the files' stat is the truth; nothing here waits for a notification.
 */
import { readdirSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { isMissing } from '@tributary/protocol/disk.ts'
import { compareGenerations, type GenerationName, type PodIdentity, parseGeneration } from '../discover/layout.ts'
import { Generation, settleMs } from './generation.ts'
import type { Identified, Identifier } from './identifier.ts'
import type { FileStats } from './log-file.ts'
import { treatSpooled } from './spooled.ts'
import type { Decision, Treatment } from './treatment.ts'
import { sever, truncate } from './truncation.ts'

export interface FamilyOrigin {
  /** Directory that holds the generations. */
  readonly directory: string
  /** Name of the file that is written to; undefined in the kubelet's layout. */
  readonly base: string | undefined
  /** Whose log it is; undefined for a file outside the kubelet's layout. */
  readonly identity: PodIdentity | undefined
  /** The name in the log directory, where the file is another's that it leads to and nothing but that tells where to find it. */
  readonly link?: string | undefined
  /** The container's id, by restart count, where a link's name told it. */
  containerId(restart: number): string | undefined
}

/** What the family reports to whoever reads it. */
export interface FamilyEvents {
  /** A file began anew with bytes unread, or is gone with bytes unread. */
  lost(generation: Generation, reason: 'truncated' | 'deleted'): void
  problem(path: string, error: NodeJS.ErrnoException): void
  /** A file lost its end and kept its beginning: what it has from `at` on is read as a source of its own. */
  cutBack(path: string, at: number): void
  /** A source is read only once the checkpoints have it. */
  unsaved(): void
  /** Whether another file may be held open. */
  mayOpen(): boolean
}

/** A file system's clock ticks this coarsely at worst: within it a directory can change without a new modification time. */
const clockTickMs = 50
/** Even a quiet log's directory is looked at this often, ms: there are file systems whose change times can't be relied upon. */
const fullPollMs = 10_000
/** Writes within this time make a log worth looking at often. */
const busyMs = 5000

interface Twin {
  readonly path: string
  readonly name: GenerationName
}

// Most logs never have any, and there may be thousands of logs.
const noTwins: ReadonlyMap<Generation, Twin> = new Map()
const noFiles: ReadonlyMap<string, number> = new Map()

export class Family {
  readonly origin: FamilyOrigin
  readonly key: string
  /** From the oldest to the newest. */
  generations: readonly Generation[] = []
  /** The link or file that led here is gone. */
  unlisted = false
  /** A turn of reading is under way. */
  reading = false
  nextPollAt = 0
  /** When it was found, ms on the monotonic clock. */
  readonly foundAt: number
  /** Something changed that the decision depends on. */
  undecided = true
  #decision: Decision | undefined
  readonly #identifier: Identifier
  readonly #events: FamilyEvents
  #listedAt = -1
  #directoryModifiedMs = -1
  #again = true
  #quiet: Generation | undefined
  /** Change time of the quiet file when it was last looked at, ms since 1970. */
  #quietSince = -1
  #fullPollAt = 0
  /** What the last listing found with the content of a generation that is held open. */
  #twins: ReadonlyMap<Generation, Twin> = noTwins
  /** Files without a complete first line, by path: their size when they were looked at. */
  #unidentified: ReadonlyMap<string, number> = noFiles

  constructor(origin: FamilyOrigin, identifier: Identifier, events: FamilyEvents, now: number) {
    this.origin = origin
    this.foundAt = now
    this.key = origin.base === undefined ? origin.directory : join(origin.directory, origin.base)
    this.#identifier = identifier
    this.#events = events
  }

  /** Whether and how it is read; undefined until that was first decided. */
  get decision(): Decision | undefined {
    return this.#decision
  }

  set decision(decision: Decision) {
    this.undecided = decision.verdict === 'wait'
    if (decision === this.#decision) return
    this.#decision = decision
    for (const generation of this.generations) generation.treatment = treat(decision, generation)
  }

  /** Takes in what an earlier process left in the spool. */
  adopt(generation: Generation): void {
    if (this.#decision) generation.treatment = treat(this.#decision, generation)
    this.#setGenerations([generation, ...this.generations])
  }

  /** In a list exactly as long as it is: one that grew has room for 17, 130 bytes in each of thousands of logs. */
  #setGenerations(generations: readonly Generation[]): void {
    this.generations = [...generations].sort((a, b) => compareGenerations(a.name, b.name))
  }

  /** What came after a generation: the file that was written to next. */
  successorOf(generation: Generation): Generation | undefined {
    return this.generations[this.generations.indexOf(generation) + 1]
  }

  /** Looks at directory and files once; false when nothing can have changed. `intervals` in ms: for a busy log, and for an idle one. */
  poll(now: number, intervals: { busy: number; idle: number }): boolean {
    this.nextPollAt = now + intervals.idle
    if (this.#isQuiet(now)) return false
    this.#pollDirectory(now)
    let busy = false
    const before = this.generations
    for (const generation of before) {
      if (generation.state === 'done') continue
      this.#pollFile(generation, now)
      busy ||= now - generation.changedAt < busyMs || generation.unread > 0
    }
    // One of them began anew: what there is now was not looked at yet.
    busy ||= this.generations !== before
    if (busy) this.nextPollAt = now + intervals.busy
    // All that is left open is the file being written, and nothing is unread.
    const open = this.generations.filter(({ state }) => state !== 'done')
    this.#quiet = !busy && !this.#again && this.#unidentified.size === 0 && open.length === 1 ? open[0] : undefined
    return true
  }

  /** The log directory changed: what leads here may lead to another file by now. */
  relist(): void {
    this.#again = true
  }

  /**
   * A log that was quiet and whose one open file has the same change time still is: writing, renaming, linking and deleting a
   * file all change it. One stat instead of two for what most logs are, most of the time.
   */
  #isQuiet(now: number): boolean {
    const stats = this.#quiet?.file?.stat()
    if (stats === undefined || this.#again) return false
    const same = stats.ctimeMs === this.#quietSince && now < this.#fullPollAt
    if (!same) this.#fullPollAt = now + fullPollMs
    this.#quietSince = stats.ctimeMs
    return same
  }

  /** Nothing is left to read or to wait for, and nothing leads here any more. */
  get over(): boolean {
    if (!this.unlisted || this.reading) return false
    const excluded = this.#decision?.verdict === 'excluded'
    // What was not looked at yet may have files.
    const unseen = this.nextPollAt === 0 && this.generations.length === 0
    return excluded || (!unseen && this.generations.every(({ state, unlinked }) => state === 'done' && unlinked))
  }

  #pollDirectory(now: number): void {
    let modifiedMs = 0
    try {
      modifiedMs = statSync(this.origin.directory).mtimeMs
    } catch (error) {
      if (!isMissing(error)) {
        this.#events.problem(this.origin.directory, error as NodeJS.ErrnoException)
        return
      }
    }
    const recent = Math.abs(this.#listedAt - modifiedMs) < clockTickMs
    const changed = modifiedMs !== this.#directoryModifiedMs || this.#again || recent
    if (!changed && !this.#anyIdentifiable()) return
    this.#listedAt = Date.now()
    this.#directoryModifiedMs = modifiedMs
    this.#again = false
    this.#list(now)
  }

  /** A file that could not be identified has other content now. */
  #anyIdentifiable(): boolean {
    for (const [path, size] of this.#unidentified) {
      if (statSync(path, { throwIfNoEntry: false })?.size !== size) return true
    }
    return false
  }

  #list(now: number): void {
    this.#unidentified = noFiles
    const { directory, base } = this.origin
    let names: string[] = []
    try {
      names = readdirSync(directory)
    } catch (error) {
      if (!isMissing(error)) {
        this.#again = true
        this.#events.problem(directory, error as NodeJS.ErrnoException)
        return
      }
    }
    const present = new Set<Generation>()
    this.#twins = noTwins
    for (const name of names) {
      const parsed = parseGeneration(name, base)
      if (parsed === undefined) continue
      try {
        const generation = this.#locate(join(directory, name), parsed, now)
        if (generation) present.add(generation)
      } catch (error) {
        // Renamed or deleted since the listing: the next one tells.
        this.#again = true
        if (!isMissing(error)) this.#events.problem(join(directory, name), error as NodeJS.ErrnoException)
      }
    }
    this.#takeTwinsNames(present)
    this.#markAbsent(present)
    this.#nameReplaced()
    this.#setGenerations(this.generations.filter(({ unlinked, state }) => !(unlinked && state === 'done')))
  }

  /** The generation that a name stands for, made if it is new; undefined while that can't be told. */
  #locate(path: string, name: GenerationName, now: number): Generation | undefined {
    const known = name.lasting ? this.generations.find((one) => sameName(one.name, name)) : undefined
    if (known) {
      if (known.file === undefined) [known.path, known.name] = [path, name]
      return known
    }
    const stats = statSync(path)
    if (!stats.isFile()) return undefined
    const same = this.generations.find(({ identity, file, unlinked, cutOff }) => {
      const isReadable = file !== undefined || !unlinked
      return identity.ino === stats.ino && identity.dev === stats.dev && isReadable && !cutOff
    })
    if (same && (same.file !== undefined || this.#unchanged(same, path, stats))) {
      same.path = path
      same.name = name
      const size = stats.size + same.start
      if (same.state === 'done' && !name.gzip && size > same.position) same.revive(size, now)
      return same
    }
    return this.#adopt(path, name, stats, now)
  }

  /** An inode whose file we do not hold open can have become another file's. */
  #unchanged(generation: Generation, path: string, stats: Stats): boolean {
    return stats.size + generation.start >= generation.position && this.#identifier.matches(generation, path)
  }

  #adopt(path: string, name: GenerationName, stats: Stats, now: number): Generation | undefined {
    const found = this.#identifier.identify(this, path, name, stats)
    if (found === 'unknown') {
      this.#unidentified = new Map([...this.#unidentified, [path, stats.size]])
      return undefined
    }
    const source = found.id.toString('hex')
    const live = this.generations.find((one) => one.source === source)
    if (live) return this.#duplicate(live, path, name, found, now)
    const keep = found.checkpoint?.done !== true && (name.rotation === '' || this.#events.mayOpen())
    if (!keep) found.file.close()
    const treatment = this.#decision!.treat(name.restart)
    const generation = new Generation(
      {
        ...found,
        name,
        path,
        link: this.origin.link,
        treatment,
        file: keep ? found.file : undefined,
        size: name.gzip ? 0 : Math.max(0, stats.size + found.file.start),
        modifiedMs: stats.mtimeMs,
      },
      now,
    )
    this.generations = [...this.generations, generation]
    if (generation.unsaved) this.#events.unsaved()
    return generation
  }

  /**
   * Another file with the content of a source we have: a copy, or its compressed form. Of use when the first is gone, or is done
   * and this is what remains of it; while the first is readable it is left alone.
   */
  #duplicate(
    live: Generation,
    path: string,
    name: GenerationName,
    found: Identified,
    now: number,
  ): Generation | undefined {
    const { size } = found.file.stat()
    const same = name.gzip || (size >= live.position && this.#identifier.holds(live, found.file))
    const gone = live.file === undefined && live.missed > 0 && !live.spooled
    if (!gone && live.state !== 'done') {
      found.file.close()
      this.#twins = new Map([...this.#twins, [live, { path, name }]])
      return undefined
    }
    const cut = same || name.rotation !== '' ? undefined : this.#identifier.cutBack(live, found.file)
    found.file.close()
    if (cut) {
      sever(live, path, cut, this.#events)
      this.#again = true
      return undefined
    }
    live.path = path
    live.name = name
    live.identity = { ...found.identity, truncations: live.identity.truncations }
    if (same && live.state === 'done' && !name.gzip && size > live.position) live.revive(size, now)
    return live
  }

  /**
   * What the listing found of a generation's content under another name is a copy, and the file was truncated or will be; or, where it has no
   * name itself any more, what became of it: it was renamed and compressed between two looks. Its place among the others is that name's.
   */
  #takeTwinsNames(present: Set<Generation>): void {
    for (const [generation, { path, name }] of this.#twins) {
      const { file, relocated, spooled } = generation
      const held = file !== undefined && !spooled
      if (present.has(generation) || (held && !this.#identifier.begins(generation, file))) {
        generation.copied = !relocated
      } else {
        generation.path = path
        generation.name = name
        // A file that begins as it does took its place: what more is in that is read once all of this one is.
        if (!spooled && !name.gzip && generation.state !== 'done') this.#again = true
      }
      // What is in the spool is read from there, whatever lies beside it.
      if (!spooled) present.add(generation)
    }
  }

  #markAbsent(present: ReadonlySet<Generation>): void {
    for (const generation of this.generations) {
      if (present.has(generation)) {
        generation.missed = 0
        generation.unlinked = false
        continue
      }
      // A rename between the listing and the stat looks like a deletion, once.
      if (++generation.missed < 2) this.#again = true
      else if (!generation.unlinked) {
        generation.unlinked = true
        if (generation.file === undefined && generation.state !== 'done') this.#events.lost(generation, 'deleted')
      }
    }
  }

  /** Of files that were made anew under one name only the last still has it. Those before come behind what had been rotated by then. */
  #nameReplaced(): void {
    for (const [i, generation] of this.generations.entries()) {
      const { name } = generation
      const isSame = (one: Generation) => sameName(one.name, name)
      if (name.rotation !== '' || !this.generations.slice(i + 1).some(isSame)) continue
      const before = this.generations.slice(0, i).filter((one) => one.name.restart === name.restart)
      // Numbers move on: a name that stays can't come between them.
      if (before.some((one) => one.name.rotation !== '' && !one.name.lasting && one.state !== 'done')) continue
      const rotated = before.findLast((one) => one.name.lasting)
      generation.name = { ...name, rotation: `${rotated?.name.rotation ?? '.0'}-replaced`, lasting: true }
    }
  }

  #pollFile(generation: Generation, now: number): void {
    const { file, spooled } = generation
    if (file === undefined || file.gzip || spooled) {
      if (!file?.gzip && generation.unread > 0) generation.unreadSince ??= now
      return
    }
    const stats = file.stat()
    // Logs only grow. One that was written to and has the same size may have been truncated and have grown again.
    const suspect = stats.size === generation.size && stats.mtimeMs !== generation.modifiedMs
    const replaced =
      (suspect && !this.#identifier.holds(generation, file)) ||
      (generation.copied && !this.#identifier.begins(generation, file))
    if (stats.size < generation.size || replaced) {
      this.truncated(generation, now)
      return
    }
    if (generation.observe(stats.size, stats.mtimeMs, now)) return
    const settled = now - generation.changedAt >= settleMs
    generation.ended = generation.cutOff || (settled && this.#isSuperseded(generation, stats))
  }

  /** Nobody writes to it any more: it has no name, or what came after it is written to. */
  #isSuperseded(generation: Generation, stats: FileStats): boolean {
    if (generation.unlinked || stats.nlink === 0) return true
    return this.generations.some((one) => one.size > 0 && compareGenerations(one.name, generation.name) > 0)
  }

  /** The file that is held open began anew, or lost its end. */
  truncated(generation: Generation, now: number): void {
    truncate(generation, { family: this, identifier: this.#identifier, events: this.#events })
    this.#again = true
    this.#pollDirectory(now)
  }
}

function treat(decision: Decision, { name, spooled }: Generation): Treatment {
  const treatment = decision.treat(name.restart)
  return spooled ? treatSpooled(spooled, treatment) : treatment
}

function sameName(a: GenerationName, b: GenerationName): boolean {
  return a.restart === b.restart && a.rotation === b.rotation
}
