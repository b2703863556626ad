/**
 * Deleted files with unread bytes: held open up to the limits, beyond them saved to the spool, and given up where that has no room. When
 * the process ends, all of them are saved.
 */
import { setImmediate as yieldToLoop } from 'node:timers/promises'
import type { LossReason } from '@tributary/protocol/chunk.ts'
import type { Logger } from 'pino'
import type { Spool } from '../spool/spool.ts'
import type { Family } from './family.ts'
import type { Generation } from './generation.ts'
import { GzipFile } from './log-file.ts'
import { type Held, type HeldLimits, planRelief, planRescue } from './relief.ts'
import { describeForSpool, moveToSpool } from './spooled.ts'

export interface UnlinkedOptions {
  readonly spool: Spool
  readonly log: Logger
  families(): Iterable<Family>
  /** Gives up what is unread of a generation. */
  lost(generation: Generation, reason: LossReason): void
}

interface HeldFile extends Held {
  readonly family: Family
  readonly generation: Generation
}

const never = new AbortController().signal

export class Unlinked {
  readonly #options: UnlinkedOptions
  #relieving: Promise<void> | undefined
  #stopped = false

  constructor(options: UnlinkedOptions) {
    this.#options = options
  }

  /** Sees to it that the limits hold, in a while. Call it when no turn of reading is under way. */
  relieve(limits: HeldLimits): void {
    if (this.#relieving === undefined && this.#next(limits) !== undefined)
      this.#relieving = this.#relieve(limits).finally(() => {
        this.#relieving = undefined
      })
  }

  /** Saves all that is not acknowledged, as far as there is time and room: what is not, the next process reports. Nothing is read any more. */
  async saveAll(signal: AbortSignal): Promise<void> {
    this.#stopped = true
    await this.#relieving
    const isDeleted = ({ unlinked, file }: Generation) => unlinked || file!.stat().nlink === 0
    for (const held of planRescue(this.#held(({ frontier }) => frontier.offset, isDeleted))) {
      if (await this.#save(held, signal)) continue
      // What could not be saved is missed from the size in the checkpoint, if that can be saved: this may be all that is ever told.
      const { generation } = held
      learnSize(generation)
      const { path, source, frontier, size } = generation
      const range = [frontier.offset, size]
      this.#options.log.error({ path, source, range }, 'unread bytes of a deleted file are lost with this process')
    }
  }

  async #relieve(limits: HeldLimits): Promise<void> {
    for (let held = this.#next(limits); held !== undefined && !this.#stopped; held = this.#next(limits)) {
      const { family, generation, bytes } = held
      while (family.reading) await yieldToLoop()
      if (this.#options.spool.mayHold(bytes) && (await this.#save(held, never))) continue
      learnSize(generation)
      this.#options.lost(generation, 'shed')
    }
  }

  #next(limits: HeldLimits): HeldFile | undefined {
    return planRelief(
      this.#held(
        ({ position }) => position,
        ({ unlinked }) => unlinked,
      ),
      limits,
    )[0]
  }

  /** Deleted files that are held open and have bytes behind `done`, of each log from the oldest to the newest. */
  *#held(done: (one: Generation) => number, isDeleted: (one: Generation) => boolean): Generator<HeldFile> {
    for (const family of this.#options.families()) {
      const pod = family.origin.identity?.uid ?? family.key
      for (const generation of family.generations) {
        const { file, spooled, state, sizeUnknown } = generation
        if (file === undefined || spooled || state === 'done' || !isDeleted(generation)) continue
        const { size } = file.stat()
        // It may have been written to since the last look.
        if (!file.gzip) generation.size = Math.max(generation.size, size)
        const bytes = sizeUnknown ? size : generation.size - done(generation)
        if (bytes > 0) yield { pod, bytes, family, generation }
      }
    }
  }

  /** False when it is not in the spool now; then it is where it was. */
  async #save({ family, generation }: HeldFile, signal: AbortSignal): Promise<boolean> {
    const { spool } = this.#options
    const { file, frontier, size } = generation
    generation.saving = true
    try {
      const from = frontier.offset
      const header = await describeForSpool(family.origin, generation, file!, from)
      const spooled = header && (await spool.save({ header, from, size, file: file! }, signal))
      if (spooled === undefined) return false
      // Meanwhile it may have been excluded, or have begun anew.
      if (generation.file === file) moveToSpool(generation, spooled, spool.file(spooled))
      else await spool.remove(spooled)
      return true
    } catch (error) {
      this.#options.log.error(
        { path: generation.path, reason: (error as Error).message },
        'a deleted file cannot be read',
      )
      return false
    } finally {
      generation.saving = false
    }
  }
}

/** How much a compressed file has, which is known before its end only roughly, so that what is given up has a range. */
function learnSize(generation: Generation): void {
  const { file, size, sizeUnknown } = generation
  if (sizeUnknown && file instanceof GzipFile) generation.size = Math.max(size, file.contentBytes())
}
