/**
 * Filters that take long work in one thread beside the one that reads. Chunks that wait for it are copies, and hold their bytes in the
 * budget `limits.inFlightBytes`: reading stops before memory grows.
 */
import { Worker } from 'node:worker_threads'
import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import type { ByteRange } from '@tributary/protocol/ranges.ts'
import { scriptFile } from '@tributary/protocol/script-file.ts'
import type { LogPolicy } from '../metadata/log-policy.ts'
import type { FiltersConfig } from './prepared.ts'
import type { FilteredRecords } from './stream-filter.ts'
import type { Tally } from './tally.ts'

export interface ThreadSetup {
  readonly config: FiltersConfig
  readonly file: string
}

/** A log, as the thread's chain has to know it. */
export interface ThreadLog {
  readonly id: number
  readonly stream: StreamMetadata
  readonly policy: LogPolicy
}

export interface ThreadRequest {
  readonly id: number
  readonly log: ThreadLog
  readonly records: Uint8Array
  readonly count: number
  readonly range: ByteRange
}

export interface ThreadAnswer extends Omit<FilteredRecords, 'records'> {
  readonly id: number
  readonly records: Uint8Array
  readonly tally: Tally | undefined
}

/** A chunk that waits for its answer. */
interface Job extends ThreadRequest {
  readonly records: Buffer
  answer(answer: ThreadAnswer): void
  /** The thread is gone. */
  giveBack(records: Buffer): void
}

/** A chunk and what is made of it need little; a collector's memory is counted. */
const threadLimits = { maxOldGenerationSizeMb: 48, maxYoungGenerationSizeMb: 8 }
/** After so long without work the thread ends, ms: a configuration that was replaced gives it none. */
const idleAfter = 60_000

export class FilterThread {
  readonly #setup: ThreadSetup
  readonly #jobs = new Map<number, Job>()
  #worker: Worker | undefined
  #idle: NodeJS.Timeout | undefined
  #lastId = 0
  /** Why it can't be used any more. */
  failed: Error | undefined

  /** @param setup plain data: it is copied into the thread */
  constructor(setup: ThreadSetup) {
    this.#setup = setup
  }

  /** Chunks that wait. */
  get waiting(): number {
    return this.#jobs.size
  }

  /** Filters a chunk. Where the thread dies of it, `instead` does, with a copy of the records. Never rejects for another reason. */
  run(
    { log, records, count, range }: Omit<ThreadRequest, 'id' | 'records'> & { readonly records: Buffer },
    instead: (records: Buffer) => FilteredRecords,
  ): Promise<FilteredRecords & { readonly tally: Tally | undefined }> {
    return new Promise((resolve) => {
      const id = ++this.#lastId
      const copy = Buffer.from(records)
      this.#jobs.set(id, {
        id,
        log,
        records: copy,
        count,
        range,
        answer({ records, count, leftOut, tally }) {
          resolve({ records: Buffer.from(records.buffer, records.byteOffset, records.length), count, leftOut, tally })
        },
        giveBack: (kept) => {
          const { records, ...rest } = instead(kept)
          // The next chunk may overwrite them.
          resolve({ ...rest, records: Buffer.from(records), tally: undefined })
        },
      })
      const request: ThreadRequest = { id, log, records: copy, count, range }
      this.#running().postMessage(request)
    })
  }

  #running(): Worker {
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => this.#endIfIdle(), idleAfter).unref()
    if (this.#worker !== undefined) return this.#worker
    const code = scriptFile(import.meta.url, './worker.ts', 'filter-worker')
    const worker = new Worker(code, { workerData: this.#setup, resourceLimits: threadLimits })
    // What was not filtered at the end is read again after the next start.
    worker.unref()
    worker.on('message', (answer: ThreadAnswer) => {
      const job = this.#jobs.get(answer.id)
      this.#jobs.delete(answer.id)
      job?.answer(answer)
    })
    worker.on('error', (error) => this.#gone(worker, error))
    worker.on('exit', (code) => this.#gone(worker, new Error(`the thread of the filters ended with code ${code}`)))
    this.#worker = worker
    return worker
  }

  #endIfIdle(): void {
    const worker = this.#worker
    if (worker === undefined || this.#jobs.size > 0) return
    this.#worker = undefined
    void worker.terminate()
  }

  /** What it was asked for is done here: it must not be lost, and might be what the thread died of. */
  #gone(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    this.failed = error
    const jobs = [...this.#jobs.values()]
    this.#jobs.clear()
    for (const job of jobs) job.giveBack(job.records)
  }
}
