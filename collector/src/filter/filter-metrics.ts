/** Where the filters' counts go. */
import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import type { Logger } from 'pino'
import type { CollectorMetrics } from '../metrics.ts'
import type { Tally } from './tally.ts'

/** Pods that have a counter of their own; beyond it the one that was limited least recently loses its. */
const maxPods = 100
/** How often a module's errors are told in the log, ms. */
const moduleErrorInterval = 60_000

/** Of the collector's metrics. */
export type FilterMetrics = Pick<
  CollectorMetrics,
  'parseErrors' | 'redactions' | 'withheldLines' | 'rateLimitedRecords' | 'moduleErrors'
>

interface Options {
  readonly metrics: FilterMetrics
  readonly log: Pick<Logger, 'error' | 'warn'>
  readonly now?: () => number
}

/** Takes the tally of each chunk. */
export class FilterCounts {
  readonly #options: Options
  /** By namespace and pod, least recently limited first. */
  readonly #pods = new Map<string, { namespace: string; pod: string }>()
  #toldAt = Number.NEGATIVE_INFINITY

  constructor(options: Options) {
    this.#options = options
  }

  add(tally: Tally, { labels }: Pick<StreamMetadata, 'labels'>): void {
    const { metrics } = this.#options
    for (const [parser, count] of tally.parseErrors) metrics.parseErrors.inc(count, parser)
    for (const [rule, count] of tally.redactions) metrics.redactions.inc(count, rule)
    if (tally.withheld > 0) metrics.withheldLines.inc(tally.withheld)
    if (tally.rateLimited > 0)
      this.#limited({ namespace: labels['namespace'] ?? '', pod: labels['pod'] ?? '' }, tally.rateLimited)
    if (tally.moduleErrors > 0) this.#moduleFailed(tally)
  }

  onSlow(mean: number): void {
    this.#options.log.warn(
      { ms: Math.round(mean) },
      'the filters take long for each chunk; they work in a thread of their own from now on',
    )
  }

  onFailed(error: Error): void {
    this.#options.log.error(
      { reason: error.message },
      'the thread of the filters ended; they work beside reading again',
    )
  }

  #limited(pod: { namespace: string; pod: string }, count: number): void {
    const { rateLimitedRecords } = this.#options.metrics
    rateLimitedRecords.inc(pod, count)
    const key = JSON.stringify(pod)
    this.#pods.delete(key)
    this.#pods.set(key, pod)
    if (this.#pods.size <= maxPods) return
    const [oldest, labels] = this.#pods.entries().next().value!
    this.#pods.delete(oldest)
    rateLimitedRecords.remove(labels)
  }

  #moduleFailed({ moduleErrors, moduleError }: Tally): void {
    const { metrics, log, now = () => performance.now() } = this.#options
    metrics.moduleErrors.inc(moduleErrors)
    if (now() - this.#toldAt < moduleErrorInterval) return
    this.#toldAt = now()
    log.error({ reason: moduleError }, 'a filter module failed; its records are kept as they were')
  }
}
