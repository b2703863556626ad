/** A name that is resolved again and again: when its time to live is over, on a timer, and when a connection failed. */
import type { Logger } from 'pino'
import type { CollectorMetrics } from '../metrics.ts'
import type { Found, NameResolver, Resolution, ResolveError } from './resolver.ts'
import type { Target } from './target.ts'

export interface WatchedNameParts {
  readonly resolver: Pick<NameResolver, 'resolve'>
  /** Longest time between two resolutions, ms. */
  readonly interval: number
  readonly log: Logger
  readonly metrics: CollectorMetrics
  readonly onChange: () => void
}

/** No name is resolved more often, ms, whatever its time to live is and however often connections fail. */
const minPauseMs = 1000

export class WatchedName {
  readonly #address: string
  readonly #target: Exclude<Target, { kind: 'literal' }>
  readonly #parts: WatchedNameParts
  readonly #running: Promise<void>
  #found: readonly Found[] = []
  #trouble: string | undefined
  #refreshing = false
  #closed = false
  /** Ends the pause it is in: for good, or because somebody asks for a resolution. */
  #end: (() => void) | undefined
  #wake: (() => void) | undefined

  constructor(address: string, target: Exclude<Target, { kind: 'literal' }>, parts: WatchedNameParts) {
    this.#address = address
    this.#target = target
    this.#parts = parts
    this.#running = this.#run()
  }

  /** What it last stood for: a name that stops resolving keeps its addresses. */
  get found(): readonly Found[] {
    return this.#found
  }

  /** Why {@link found} may be out of date. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  refresh(): void {
    this.#refreshing = true
    this.#wake?.()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#end?.()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      this.#refreshing = false
      const ttl = await this.#resolve()
      await this.#pause(minPauseMs)
      this.#wake = () => this.#end?.()
      if (!this.#refreshing) await this.#pause(pauseOf(ttl, this.#parts.interval, Math.random()) - minPauseMs)
      this.#wake = undefined
    }
  }

  async #pause(ms: number): Promise<void> {
    if (this.#closed || ms <= 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#end = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#end = undefined
  }

  /** For how long the answer holds, ms. */
  async #resolve(): Promise<number | undefined> {
    const { resolver, metrics } = this.#parts
    try {
      const resolution = await resolver.resolve(this.#target)
      metrics.resolutions.inc(1, 'ok')
      this.#take(resolution)
      return resolution.ttl
    } catch (error) {
      const { reason, message } = error as ResolveError
      metrics.resolutions.inc(1, reason)
      this.#fail(message)
      // Who knows no address at all has nothing to go on with.
      return this.#found.length === 0 ? minPauseMs : undefined
    }
  }

  #take({ found, mayBe }: Resolution): void {
    if (this.#closed) return
    const { log, onChange } = this.#parts
    const before = new Map(this.#found.map((one) => [one.key, one]))
    const kept = this.#found.filter((known) => mayBe(known) && !found.some(({ key }) => key === known.key))
    const now = [...found, ...kept]
    const same = now.length === before.size && now.every((one) => isSame(one, before.get(one.key)))
    if (this.#trouble !== undefined) log.info({ address: this.#address }, 'the name of the aggregator resolves again')
    this.#trouble = undefined
    if (same) return
    const keys = now.map(({ key }) => key)
    log.info({ address: this.#address, aggregators: keys }, 'the name of the aggregator stands for others now')
    this.#found = now
    onChange()
  }

  #fail(message: string): void {
    if (this.#closed) return
    const { log } = this.#parts
    const known = this.#found.length
    // Once per outage in full; the repeats say nothing new.
    log[this.#trouble === undefined ? 'warn' : 'debug'](
      { address: this.#address, reason: message, known },
      'the name of the aggregator does not resolve; the addresses it had are kept',
    )
    this.#trouble = message
  }
}

/**
 * How long to wait until a name is resolved again, ms. Pure.
 *
 * @param ttl of the last answer; undefined when there was none, or nobody told
 * @param random from 0 to 1, so that a fleet does not ask in step
 */
export function pauseOf(ttl: number | undefined, interval: number, random: number): number {
  const longest = Math.min(ttl ?? interval, interval)
  return Math.max(minPauseMs, longest * (1 - random / 10))
}

function isSame(a: Found, b: Found | undefined): boolean {
  return b !== undefined && a.host === b.host && a.weight === b.weight && a.standby === b.standby
}
