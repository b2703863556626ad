/**
 * Finds out what became of claims whose aggregator is gone, and keeps the own ones from being taken for such. First the claim is contested in
 * the log, so that its writer can't settle it any more; then the store decides, day by day, whether the rows are in it or never will
 * be; then the log says so. Each step can be repeated, by anybody.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Resolution } from './entry.ts'
import type { LogStore } from './log-store.ts'
import type { SharedLog } from './shared-log.ts'
import type { OpenClaim } from './state.ts'

export interface ResolverOptions {
  readonly log: SharedLog
  readonly store: Pick<LogStore, 'decide'>
  /** An aggregator of which nothing came for so long is gone, ms. */
  readonly after: number
  readonly onResolved?: (claim: OpenClaim, resolution: Resolution) => void
  readonly onError?: (error: unknown) => void
  readonly now?: () => number
}

/** Inserts after which the store may have forgotten a token: its window is ten times as long, and each may have several days. */
const rememberedClaims = 1000

export class Resolver {
  readonly #options: ResolverOptions
  readonly #now: () => number
  /** When an entry was last asked for only to tell that this aggregator is alive. */
  #told = Number.NEGATIVE_INFINITY

  constructor(options: ResolverOptions) {
    this.#options = options
    this.#now = options.now ?? performance.now.bind(performance)
  }

  /** Looks again and again until `signal`. */
  async run(signal: AbortSignal): Promise<void> {
    const { after, log, onError } = this.#options
    while (!signal.aborted) {
      await sleep(Math.min(1000, after / 4), undefined, { signal, ref: false }).catch(() => {}) // ends the loop
      if (signal.aborted || !log.loaded) continue
      this.#tell()
      await this.look().catch((error: unknown) => {
        if (!signal.aborted) onError?.(error)
      })
    }
  }

  /** Resolves all that can be resolved now. Throws StoreError; what was not done is done at the next look. */
  async look(): Promise<void> {
    const { after, log } = this.#options
    // What was written since the last look counts as a sign of life.
    await log.refresh()
    for (const claim of [...log.state.claims.values()]) {
      const gone = claim.writer !== log.writer && log.silence(claim.writer) > after
      if (gone && !claim.contested) await this.#contest(claim)
      if (claim.contested) await this.#resolve(claim)
    }
  }

  async #contest({ seq, writer }: OpenClaim): Promise<void> {
    const { after, log } = this.#options
    await log.submit({
      prepare: ({ claims }) =>
        claims.get(seq)?.contested === false && log.silence(writer) > after ? { contested: [seq] } : 'needless',
    })
  }

  async #resolve(claim: OpenClaim): Promise<void> {
    const { log, onResolved, store } = this.#options
    const { seq } = claim
    const old = log.state.next - seq > rememberedClaims
    const stored: number[] = []
    for (const day of claim.days) if (await store.decide(log.state.id, claim, day, old)) stored.push(day)
    const resolution = { claim: seq, stored }
    const entry = await log.submit({
      prepare: ({ claims }) => (claims.get(seq)?.contested === true ? { resolved: [resolution] } : 'needless'),
    })
    if (entry !== undefined) onResolved?.(claim, resolution)
  }

  /** While a claim is open, the others must hear of this aggregator. */
  #tell(): void {
    const { after, log, onError } = this.#options
    const open = [...log.state.claims.values()].some(({ writer }) => writer === log.writer)
    if (!open || log.silence(log.writer) < after / 4 || this.#now() - this.#told < after / 4) return
    this.#told = this.#now()
    log.submit({ prepare: () => ({}) }).catch((error: unknown) => onError?.(error))
  }
}
