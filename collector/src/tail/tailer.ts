/**
 * The loop that keeps all logs read: finds them, looks at them, asks the ledger where each source goes on, and gives every log
 * with unread bytes one turn after another, so that no log can starve the rest. Within a log the oldest generation comes first.
 */
import { basename, dirname, resolve } from 'node:path'
import { setImmediate as yieldToLoop } from 'node:timers/promises'
import type { LossReason } from '@tributary/protocol/chunk.ts'
import type { ByteRanges } from '@tributary/protocol/ranges.ts'
import type { Logger } from 'pino'
import type { Checkpoint } from '../checkpoint/checkpoint-file.ts'
import type { CollectorConfig } from '../config.ts'
import { Journal } from '../diagnosis/journal.ts'
import { Discovery } from '../discover/discovery.ts'
import type { Courier } from '../forward/courier.ts'
import type { CollectorMetrics } from '../metrics.ts'
import type { Spool } from '../spool/spool.ts'
import { askedOf } from './asked.ts'
import { Decisions } from './decisions.ts'
import { Family, type FamilyEvents } from './family.ts'
import type { Generation } from './generation.ts'
import { Identifier } from './identifier.ts'
import { Inflating } from './inflating.ts'
import { InputProblems } from './input-problems.ts'
import { Orphans } from './orphans.ts'
import { isKept, progressOf } from './progress.ts'
import { Reader } from './reader.ts'
import type { TailerView } from './snapshot.ts'
import { generationOf, originOf } from './spooled.ts'
import { type LeftOut, leftOutAtStart } from './start-at.ts'
import type { Decision } from './treatment.ts'
import { Turns } from './turns.ts'
import { Unlinked } from './unlinked.ts'
import { Wake } from './wake.ts'

/** What of the configuration the tailer goes by. */
type TailConfig = Pick<CollectorConfig, 'cluster' | 'node' | 'logs' | 'limits' | 'multiline'>

export interface TailerOptions {
  readonly config: TailConfig
  readonly courier: Courier
  /** Whether and how a log is read; the same object as before where nothing changed. */
  decide(family: Family, now: number): Decision
  readonly checkpoints: readonly Checkpoint[]
  readonly spool: Spool
  /** This collector has never run with this state directory. */
  readonly firstStart: boolean
  readonly log: Logger
  readonly metrics: CollectorMetrics
}

/** The loop never sleeps longer than this, ms: how soon a new name in the log directory is seen. */
const tickMs = 100
/** While there is much to read, how often anything else is looked at, ms. */
const lookMs = 50
/** How often a log that is being written is looked at, ms. */
const busyPollMs = 100

export class Tailer {
  readonly #options: TailerOptions
  #config: TailConfig
  readonly #reader: Reader
  readonly #identifier: Identifier
  readonly #discovery: Discovery
  readonly #orphans: Orphans
  readonly #turns: Turns
  readonly #decisions: Decisions
  readonly #unlinked: Unlinked
  readonly #inflating = new Inflating()
  readonly #families = new Map<string, Family>()
  readonly #events: FamilyEvents
  readonly #wake = new Wake()
  readonly #journal = new Journal()
  readonly #problems: InputProblems
  #scanned = false
  /** Since the last turn of the loop a log was written to, or an aggregator answered. On a quiet node it stays false. */
  #stirred = false
  /** Counts turns of the loop in which something had happened: what is told of all logs is as it was while it stays the same. */
  #changes = 0
  #gaugesAfter = -1
  #progress: { after: number | undefined; text: string } = { after: undefined, text: '' }
  /** No log is to be looked at before, ms on the monotonic clock. */
  #pollAt = 0
  /** The log that gets the next turn, where the last round ended early. */
  #firstInTurn: Family | undefined
  /** The ledger was restored from a backup: once nothing is in flight, all sources go back to where it says. */
  #rewinding = false
  /** Sources whose first checkpoint is being saved. */
  #beingSaved: Generation[] = []
  /** The ledger was asked for the sources found first. */
  #asked = false
  /** Logs that links led to before were looked for. */
  #formerAdded = false
  #nextGaugesAt = 0
  #openFiles = 0

  constructor(options: TailerOptions) {
    const { config, courier, checkpoints, metrics, spool } = options
    const { cluster, node } = config
    this.#options = options
    this.#config = config
    this.#problems = new InputProblems({ ...options, journal: this.#journal })
    this.#reader = new Reader({ ...config, courier, metrics })
    this.#turns = new Turns({
      spool,
      reader: this.#reader,
      journal: this.#journal,
      problems: this.#problems,
      logs: () => this.#config.logs,
      pollSoon: (family) => this.#pollSoon(family),
    })
    this.#decisions = new Decisions({
      families: () => this.#families.values(),
      decide: (family, now) => options.decide(family, now),
      reader: this.#reader,
      turns: this.#turns,
      problems: this.#problems,
      pollSoon: (family) => this.#pollSoon(family),
    })
    this.#identifier = new Identifier({ cluster, node, checkpoints })
    this.#discovery = new Discovery({
      path: config.logs.path,
      problem: (...args) => this.#problems.tell(...args),
    })
    this.#events = {
      lost: (generation, reason) => this.#lost(generation, reason),
      problem: (path, error) => this.#problems.tellError(path, error),
      unsaved: () => this.onUnsaved(),
      cutBack: (path, at) => this.#problems.tellCutBack(path, at),
      mayOpen: () => this.#openFiles++ < this.#config.limits.openFiles,
    }
    this.#reader.onGap = ({ path }, range, { kind, reason }) => this.#journal.gap({ path, kind, reason, range })
    const lost = (generation: Generation, reason: LossReason) => this.#lost(generation, reason)
    this.#unlinked = new Unlinked({ ...options, families: () => this.#families.values(), lost })
    this.#orphans = new Orphans({ ...options, identifier: this.#identifier, lost, onAnswered: () => this.#stir() })
    courier.onRoom = () => this.#stir()
  }

  /**
   * Goes by another configuration from now on: intervals, time-outs and limits, and whether and how each log is read. Node, cluster,
   * `logs.path` and `logs.maxLineBytes` stay what they were at the start.
   */
  reconfigure(config: TailConfig): void {
    this.#config = config
    this.#reader.reconfigure(config)
    this.#decisions.reconsider()
    this.#stir()
  }

  /** What is known of a pod has changed. */
  podChanged(uid: string): void {
    this.#decisions.reconsider(({ origin }) => origin.identity?.uid === uid)
    this.#stir()
  }

  /** The ledger has less than it had: nothing is read until each source was taken back to where it is now. */
  rewind(): void {
    this.#rewinding = true
    this.#stir()
  }

  /** Sources are still where an earlier ledger was. */
  get rewinding(): boolean {
    return this.#rewinding
  }

  /** Something of a pod's logs is there to be read, or on its way. */
  hasPod(uid: string): boolean {
    for (const family of this.#families.values()) if (family.origin.identity?.uid === uid) return true
    return false
  }

  /** Something happened that may let a log be read, or be let go of. */
  #stir(): void {
    this.#stirred = true
    this.#wake.now()
  }

  /** Unread bytes of all logs, as far as they are known. */
  get unreadBytes(): number {
    return unreadOf(this.#generations())
  }

  /** For diagnosis and health: what there is, to be looked at. */
  get view(): TailerView {
    return {
      families: this.#families.values(),
      orphans: this.#orphans.generations,
      journal: this.#journal,
      openFiles: this.#openFiles,
    }
  }

  /** All of the log directory was looked at once. */
  get ready(): boolean {
    return this.#scanned
  }

  checkpoints(): Checkpoint[] {
    const kept = [...this.#generations(), ...this.#orphans.generations].filter(isKept)
    this.#beingSaved = kept.filter(({ unsaved }) => unsaved)
    // What no file was found for yet is kept: it may still be found, or its loss must still be told.
    return [...kept.map((generation) => generation.checkpoint()), ...this.#identifier.unclaimed()]
  }

  /** There is a source that waits for the next save of the checkpoints. */
  onUnsaved: () => void = () => undefined

  /** The checkpoints that were taken last are on disk. */
  saved(): void {
    if (this.#beingSaved.length === 0) return
    for (const generation of this.#beingSaved.splice(0)) generation.unsaved = false
    this.#stir()
  }

  /** The same number as long as nothing happened to any log; undefined while something does. */
  get changes(): number | undefined {
    return this.#stirred ? undefined : this.#changes
  }

  /** Changes whenever {@link checkpoints} do. */
  get progress(): string {
    const { changes } = this
    if (changes === undefined || this.#progress.after !== changes) {
      const text = progressOf(this.#families.values(), this.#orphans.generations, this.#identifier.unclaimed())
      this.#progress = { after: changes, text }
    }
    return this.#progress.text
  }

  /** Runs until the signal. What was read is with the courier then; nothing is read after it. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#wake.now(), { once: true })
    for (let nextLookAt = 0; !signal.aborted; ) {
      const now = performance.now()
      if (now >= nextLookAt) {
        this.#look(now)
        nextLookAt = performance.now() + lookMs
      }
      const stirred = this.#stirred
      this.#stirred = false
      if (stirred) this.#changes++
      if (!stirred || !(await this.#readAll(signal))) await this.#wake.after(tickMs)
    }
  }

  /** Saves what only this process can still read, until the signal, and closes all files. Call it when {@link run} is over. */
  async close(signal: AbortSignal): Promise<void> {
    await this.#unlinked.saveAll(signal)
    for (const generation of this.#generations()) generation.close()
  }

  /** Everything but reading: what there is, what became of it, and what is over. */
  #look(now: number): void {
    this.#scan()
    if (this.#decisions.decide(now)) this.#stirred = true
    this.#poll(now)
    if (this.#orphans.isDue(now)) this.#seekOrphans(now)
    if (now >= this.#nextGaugesAt) this.#updateGauges(now)
    if (this.#rewinding) this.#goBack()
    if (!this.#stirred) return
    this.#askLedger()
    this.#unlinked.relieve(this.#config.limits)
    this.#retire()
  }

  /** What was acknowledged before counts for nothing; what is in flight still may, so its acknowledgements come first. */
  #goBack(): void {
    for (const { frontier, saving, state } of this.#generations())
      if (frontier.inFlight > 0 || saving || state === 'asking') return
    this.#identifier.rewind()
    for (const generation of this.#generations()) {
      if (!(generation.state === 'done' && generation.unlinked)) generation.rewind()
    }
    for (const family of this.#families.values()) family.relist()
    this.#rewinding = false
    this.#stirred = true
  }

  *#generations(): Generator<Generation> {
    for (const { generations } of this.#families.values()) yield* generations
  }

  #scan(): void {
    const { path } = this.#config.logs
    try {
      const found = this.#discovery.scan()
      this.#scanned = true
      if (found === undefined) return
      for (const family of this.#families.values()) family.unlisted = !found.has(family.key)
      for (const [key, { origin }] of found) {
        const known = this.#families.get(key)
        if (known) known.relist()
        else {
          this.#add(key, new Family(origin, this.#identifier, this.#events, performance.now()))
        }
      }
      this.#adoptSpooled()
    } catch (error) {
      const what = 'logs.path cannot be read: no log is found until it is a directory that this process may list'
      this.#problems.tell(path, 'unreadable', error as Error, what)
    }
  }

  #add(key: string, family: Family): void {
    this.#families.set(key, family)
    this.#decisions.added()
    this.#pollAt = 0
    this.#stirred = true
  }

  /** What an earlier process left in the spool is the oldest of its log, whether a name still leads there or not. */
  #adoptSpooled(): void {
    const { spool } = this.#options
    const now = performance.now()
    for (const spooled of spool.found.splice(0)) {
      const checkpoint = this.#identifier.checkpointOf(spooled.source)
      this.#identifier.claim(spooled.source)
      if (checkpoint?.done) {
        void spool.remove(spooled)
        continue
      }
      const own = new Family(originOf(spooled), this.#identifier, this.#events, now)
      own.unlisted = true
      const family = this.#families.get(own.key) ?? own
      this.#add(family.key, family)
      family.adopt(generationOf(spooled, { file: spool.file(spooled), checkpoint, now }))
    }
  }

  #poll(now: number): void {
    if (now < this.#pollAt) return
    const { scanInterval } = this.#config.logs
    const intervals = { busy: Math.min(busyPollMs, scanInterval), idle: scanInterval }
    let next = Number.POSITIVE_INFINITY
    for (const family of this.#families.values()) {
      if (family.decision?.verdict === 'excluded') continue
      if (now >= family.nextPollAt && !family.reading && family.poll(now, intervals)) this.#stirred = true
      next = Math.min(next, family.nextPollAt)
    }
    this.#pollAt = next
  }

  /** The log is to be looked at soon, whenever it was last. */
  #pollSoon(family: Family): void {
    family.nextPollAt = this.#pollAt = 0
  }

  #askLedger(): void {
    const fresh = [...this.#generations().filter(({ state, unsaved }) => state === 'new' && !unsaved)]
    if (fresh.length === 0) return
    for (const generation of fresh) generation.state = 'asking'
    const atFirst = this.#options.firstStart && !this.#asked
    this.#asked = true
    const leaveOut = leftOutAtStart(fresh, atFirst ? this.#config.logs.startAt : 'beginning', Date.now())
    void Promise.all([this.#options.courier.ask(fresh.map(askedOf)), leaveOut]).then(([answers, leftOut]) => {
      for (const [i, one] of fresh.entries()) this.#resume(one, answers.get(one.source) ?? [], leftOut[i]!)
      this.#stir()
    })
  }

  #resume(generation: Generation, accepted: ByteRanges, { bytes, whole }: LeftOut): void {
    this.#options.metrics.skippedBytes.inc(generation.resume(accepted))
    if (bytes > 0) {
      generation.size = Math.max(generation.size, bytes)
      this.#reader.skip(generation, bytes, { kind: 'filtered', reason: 'start_at' })
      if (whole) generation.ended = true
    }
    if (generation.lostAs) this.#lost(generation, generation.lostAs)
  }

  /** Gives every log that has something to read one turn. True when any had. */
  async #readAll(signal: AbortSignal): Promise<boolean> {
    if (this.#rewinding) return false
    let worked = false
    let passedOver: Family | undefined
    for (const family of this.#inTurn()) {
      if (signal.aborted) break
      const generation = this.#turns.next(family)
      if (generation === undefined) continue
      if (!this.#options.courier.hasRoom(generation.id)) {
        passedOver ??= family
        continue
      }
      if (!this.#inflating.admit(generation, performance.now())) continue
      family.reading = true
      try {
        worked = (await this.#turns.take(family, generation)) || worked
      } finally {
        family.reading = false
      }
      // Acknowledgements come in between turns, and give back the room the next turn needs.
      await yieldToLoop()
    }
    this.#firstInTurn = passedOver
    return worked
  }

  /** All logs, beginning with the one that there was no room for the last time: where room is scarce, it goes round too. */
  #inTurn(): Family[] {
    const families = [...this.#families.values()]
    const first = this.#firstInTurn ? families.indexOf(this.#firstInTurn) : 0
    return first > 0 ? [...families.slice(first), ...families.slice(0, first)] : families
  }

  #lost(generation: Generation, reason: LossReason): void {
    generation.close()
    if (generation.state !== 'reading') {
      generation.lostAs = reason
      return
    }
    const { position, size, path } = generation
    if (size > position)
      this.#options.log.error({ path, reason, from: position, to: size }, 'log bytes lost before they could be read')
    this.#reader.skip(generation, size, { kind: 'lost', reason })
    generation.ended = true
  }

  #seekOrphans(now: number): void {
    // Logs that are left out are never looked at.
    const isUnseen = ({ nextPollAt, decision }: Family) => nextPollAt === 0 && decision?.verdict !== 'excluded'
    const complete = this.#scanned && !this.#families.values().some(isUnseen)
    // What links led to is looked at, too, before any of it counts as gone.
    const added = complete && this.#addFormer(now)
    this.#orphans.seek(now, complete && !added)
    this.#changes++
  }

  /** Logs that links led to until this process started: read on, like those whose link is changed while it runs. True when there are any. */
  #addFormer(now: number): boolean {
    if (this.#formerAdded) return false
    this.#formerAdded = true
    const logs = resolve(this.#config.logs.path)
    let added = false
    for (const { path, link } of this.#identifier.unclaimed()) {
      if (link === undefined || resolve(dirname(link)) !== logs || this.#families.has(path)) continue
      const [directory, base] = [dirname(path), basename(path)]
      const origin = { directory, base, identity: undefined, link, containerId: () => undefined }
      const family = new Family(origin, this.#identifier, this.#events, now)
      family.unlisted = true
      this.#add(path, family)
      added = true
    }
    return added
  }

  /** Lets go of what is acknowledged to its end and of logs that are gone. */
  #retire(): void {
    for (const family of this.#families.values()) {
      for (const generation of family.generations) {
        const { ended, state, unread, frontier, damagedTo, spooled } = generation
        if (state !== 'reading' || !ended || unread > 0) continue
        if (damagedTo !== undefined) {
          generation.size = damagedTo
          generation.damagedTo = undefined
          this.#lost(generation, generation.damagedAs)
        }
        if (frontier.inFlight > 0) continue
        generation.state = 'done'
        generation.close()
        if (spooled) void this.#options.spool.remove(spooled)
      }
      if (!family.over) continue
      this.#families.delete(family.key)
      this.#discovery.forget(family.key)
    }
    this.#orphans.retire()
  }

  #updateGauges(now: number): void {
    this.#nextGaugesAt = now + 1000
    const { metrics, courier } = this.#options
    metrics.inFlightBytes.set(courier.inFlightBytes)
    metrics.connected.set(courier.connected ? 1 : 0)
    this.#problems.forget(now)
    if (this.#gaugesAfter === this.#changes) return
    this.#gaugesAfter = this.#changes
    let [sources, openFiles, unreadBytes, unlinkedBytes] = [0, 0, 0, 0]
    for (const { generations } of this.#families.values()) {
      for (const { file, unread, unlinked, spooled } of generations) {
        sources++
        if (file !== undefined) openFiles++
        unreadBytes += unread
        if (unlinked && !spooled) unlinkedBytes += unread
      }
    }
    this.#openFiles = openFiles
    metrics.sources.set(sources)
    metrics.openFiles.set(openFiles)
    metrics.unreadBytes.set(unreadBytes)
    metrics.unlinkedBytes.set(unlinkedBytes)
  }
}

function unreadOf(generations: Iterable<Generation>): number {
  let bytes = 0
  for (const { unread } of generations) bytes += unread
  return bytes
}
