/** A log's turn: which of its generations is read next, and what becomes of reading it. */
import type { CollectorConfig } from '../config.ts'
import type { Journal } from '../diagnosis/journal.ts'
import type { Spool } from '../spool/spool.ts'
import { SpoolDamage } from '../spool/spool-format.ts'
import type { Family } from './family.ts'
import type { Generation } from './generation.ts'
import type { InputProblems } from './input-problems.ts'
import { GzipFile, PlainFile } from './log-file.ts'
import { chunkBytes, type Reader } from './reader.ts'

export interface TurnsOptions {
  readonly reader: Reader
  readonly spool: Spool
  readonly journal: Journal
  readonly problems: InputProblems
  /** As they are now. */
  logs(): CollectorConfig['logs']
  /** The log is to be looked at soon, whenever it was last. */
  pollSoon(family: Family): void
}

export class Turns {
  readonly #options: TurnsOptions

  constructor(options: TurnsOptions) {
    this.#options = options
  }

  /** The oldest generation of a log that has something to read now. */
  next(family: Family): Generation | undefined {
    const now = performance.now()
    if (family.decision?.verdict !== 'read') return undefined
    for (const generation of family.generations) {
      if (generation.state === 'done') continue
      if (generation.state !== 'reading' || generation.saving) return undefined
      if (generation.sizeUnknown) return generation
      if (generation.unread === 0) continue
      return this.#isDue(generation, generation !== family.generations.at(-1), now) ? generation : undefined
    }
    return undefined
  }

  #isDue({ stuck, size, unread, unreadSince, ended }: Generation, superseded: boolean, now: number): boolean {
    const { flushInterval } = this.#options.logs()
    if (stuck && !ended && stuck.size === size && now - stuck.since < stuck.timeout) return false
    return superseded || ended || unread >= chunkBytes || now - (unreadSince ?? now) >= flushInterval
  }

  /** Reads once from a generation that {@link next} named; true when something was read. */
  async take(family: Family, generation: Generation): Promise<boolean> {
    const now = performance.now()
    try {
      if (generation.file === undefined && !this.open(generation)) return false
      const last = generation.ended || generation.sizeUnknown
      const successor = last ? family.successorOf(generation) : undefined
      if (successor?.state === 'reading' && successor.file === undefined && !this.open(successor)) return false
      if (successor?.saving) return false
      const turn = await this.#options.reader.turn(generation, successor, now)
      this.#options.journal.mended(generation.path)
      if (turn === 'successor replaced') family.truncated(successor!, now)
      if (turn === 'replaced') {
        if (generation.spooled) this.#endAtDamage(generation, new SpoolDamage('these bytes are not the ones spooled'))
        else family.truncated(generation, now)
      }
      return turn === 'read'
    } catch (error) {
      if (error instanceof SpoolDamage) {
        const damaged = family.generations.find(({ source }) => source === error.from?.source)
        this.#endAtDamage(damaged ?? generation, error)
        return true
      }
      this.#options.problems.tellError(generation.path, error as Error)
      generation.close()
      this.#options.pollSoon(family)
      return false
    }
  }

  /** Opens a generation that was not held open; false when the name leads elsewhere now, which the next look at the directory mends. */
  open(generation: Generation): boolean {
    const { path, name, identity, spooled, start } = generation
    if (spooled) {
      generation.file = this.#options.spool.file(spooled)
      return true
    }
    const file = name.gzip ? new GzipFile(path, start) : new PlainFile(path, start)
    if (generation.cutOff && file instanceof PlainFile) file.end = generation.size
    const { ino, dev, size, mtimeMs } = file.stat()
    if (!name.gzip && (ino !== identity.ino || dev !== identity.dev)) {
      file.close()
      return false
    }
    generation.file = file
    if (!name.gzip) generation.observe(size, mtimeMs, performance.now())
    return true
  }

  /** A spooled generation is read up to where its spool file is damaged; the rest is lost once that is done. */
  #endAtDamage(generation: Generation, damage: SpoolDamage): void {
    this.#options.spool.tellDamage(damage)
    generation.endAt(damage.from?.offset ?? generation.position)
  }
}
