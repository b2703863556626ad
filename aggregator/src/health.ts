/** Health is progress: a process that answers and moves nothing is not healthy. Pure but for the state it is given. */
import { comparePositions, type WalPosition } from './wal/position.ts'

/** What moves nothing for this long, with work waiting, is stuck. Longer than any single insert or commit takes. Milliseconds. */
const patience = 120_000

export interface Progress {
  /** Up to where the write-ahead log is durable, and up to where it is in the store. */
  readonly committed: WalPosition
  readonly stored: WalPosition
  /** Received bytes that wait to become durable. */
  readonly undurableBytes: number
  /** The write-ahead log takes no more: then nothing is expected to become durable. */
  readonly walFull: boolean
  /** The store answered lately, and takes what it is given. While it doesn't, waiting for it is all that can be done. */
  readonly storeAnswers: boolean
  /** Why the loader's last attempt failed; undefined when it didn't. */
  readonly loadError: string | undefined
}

export class Health {
  #storedAt: number
  #committedAt: number
  #last: Progress | undefined

  /** @param now milliseconds of any clock that only goes forward */
  constructor(now: number) {
    this.#storedAt = this.#committedAt = now
  }

  /** Takes notice of where things are. To be called every few seconds. */
  observe(progress: Progress, now: number): void {
    const last = this.#last
    const loading = comparePositions(progress.stored, progress.committed) < 0 && progress.storeAnswers
    if (!loading || last === undefined || comparePositions(progress.stored, last.stored) !== 0) this.#storedAt = now
    const committing = progress.undurableBytes > 0 && !progress.walFull
    if (!committing || last === undefined || comparePositions(progress.committed, last.committed) !== 0) {
      this.#committedAt = now
    }
    this.#last = progress
  }

  /** Why the process is not healthy; undefined when it is. */
  problem(now: number): string | undefined {
    if (now - this.#committedAt > patience) {
      return `received data waits for the write-ahead log, and nothing became durable for ${seconds(now - this.#committedAt)} s`
    }
    if (now - this.#storedAt > patience) {
      const why = this.#last?.loadError === undefined ? '' : `: ${this.#last.loadError}`
      return `the write-ahead log is not loaded although the store answers, for ${seconds(now - this.#storedAt)} s${why}`
    }
    return undefined
  }
}

function seconds(ms: number): number {
  return Math.round(ms / 1000)
}
