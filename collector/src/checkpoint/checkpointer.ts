/** Saves the checkpoints again and again, off the path of reading. */
import type { Disk } from '@tributary/protocol/disk.ts'
import type { Logger } from 'pino'
import type { CollectorMetrics } from '../metrics.ts'
import { Wake } from '../tail/wake.ts'
import { encodeCheckpoints, type Saved, saveCheckpoints } from './checkpoint-file.ts'

export interface CheckpointerOptions {
  readonly disk: Disk
  readonly path: string
  /** Milliseconds between two saves. */
  readonly interval: number
  readonly log: Logger
  readonly metrics: CollectorMetrics
  take(): Saved
  /** What {@link take} gave last is on disk. */
  saved(): void
  /** Changes whenever what {@link take} gives does. Asked for at every interval. */
  progress(): string
}

/** Saving takes at most one part in this many of the time, however many sources there are. */
const dutyCycle = 20

export class Checkpointer {
  readonly #options: CheckpointerOptions
  readonly #stop = new AbortController()
  readonly #wake = new Wake()
  readonly #running: Promise<void>
  /** The progress that was saved last. */
  #saved: string | undefined
  #failing = false

  constructor(options: CheckpointerOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  /** Something waits for the next save: it does not wait for its time. */
  hurry(): void {
    this.#wake.now()
  }

  /** Saves once more and stops. */
  async close(): Promise<void> {
    this.#stop.abort()
    this.#wake.now()
    await this.#running
    await this.#save()
  }

  async #run(): Promise<void> {
    const { interval } = this.#options
    let took = 0
    while (!this.#stop.signal.aborted) {
      await this.#wake.after(Math.max(interval, took * dutyCycle))
      if (this.#stop.signal.aborted) return
      const began = performance.now()
      await this.#save()
      took = performance.now() - began
    }
  }

  /** A disk that refuses is no reason to stop reading: after a restart the ledger tells where to go on. */
  async #save(): Promise<void> {
    const { disk, path, metrics, log } = this.#options
    try {
      const progress = this.#options.progress()
      if (progress === this.#saved) return
      await saveCheckpoints(disk, path, encodeCheckpoints(this.#options.take()))
      this.#saved = progress
      this.#options.saved()
      this.#failing = false
      metrics.checkpointWrites.inc()
    } catch (error) {
      metrics.checkpointErrors.inc()
      if (!this.#failing) log.error({ path, reason: (error as Error).message }, 'checkpoints not saved, trying again')
      this.#failing = true
    }
  }
}
