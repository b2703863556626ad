/** What keeps a log from being read: counted and logged once in a while, kept for `why`. */
import type { Logger } from 'pino'
import type { Journal } from '../diagnosis/journal.ts'
import type { CollectorMetrics, InputProblem } from '../metrics.ts'

const denied =
  "a log may not be read; the others are: containers' logs belong to root, let the collector run as it, or give its user the right to"

/** A problem with the same file is logged once in this time, ms. */
const quietMs = 60_000

export interface InputProblemsOptions {
  readonly journal: Journal
  readonly log: Logger
  readonly metrics: CollectorMetrics
}

export class InputProblems {
  readonly #options: InputProblemsOptions
  /** When a problem with a path was told, ms on the monotonic clock. */
  readonly #told = new Map<string, number>()

  constructor(options: InputProblemsOptions) {
    this.#options = options
  }

  tell(path: string, reason: InputProblem, error?: Error, what = 'a log cannot be read; the others are'): void {
    const { journal, log, metrics } = this.#options
    const now = performance.now()
    journal.trouble(path, error?.message ?? reason.replaceAll('_', ' '), now)
    const key = `${reason} ${path}`
    if (this.#told.has(key)) return
    this.#told.set(key, now)
    metrics.inputProblems.inc(1, reason)
    log.warn({ path, reason, ...(error ? { error: error.message } : {}) }, what)
  }

  /** A file lost its end. Nothing keeps it from being read. `at`: where in it what is new begins, bytes. */
  tellCutBack(path: string, at: number): void {
    const { log, metrics } = this.#options
    metrics.inputProblems.inc(1, 'cut_back')
    const what =
      'a log lost its end and kept its beginning, which rotation never does; what it has from there on is a source of its own'
    log.warn({ path, reason: 'cut_back', from: at }, what)
  }

  /** A file failed to be read: whether it is broken, or could not be had. */
  tellError(path: string, error: NodeJS.ErrnoException): void {
    const reason = error.code?.startsWith('Z_') ? 'corrupt_gzip' : 'unreadable'
    if (error.code !== 'EACCES' && error.code !== 'EPERM') this.tell(path, reason, error)
    else this.tell(path, reason, error, denied)
  }

  /** Lets what was told long ago be told again. To be called now and then. */
  forget(now: number): void {
    for (const [key, at] of this.#told) if (now - at > quietMs) this.#told.delete(key)
  }
}
