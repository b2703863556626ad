/**
 * All aggregators that the collector knows: those of the present addresses, and those that left and for which something still waits. Keeps
 * connections to them, knows which of them take sources at the moment, and when what waits for one must go to others.
 */
import type { Logger } from 'pino'
import type { CollectorMetrics, TakeoverReason } from '../metrics.ts'
import type { Endpoint } from '../resolve/directory.ts'
import { Aggregator } from './aggregator.ts'
import { candidatesOf } from './candidates.ts'
import { chooseLedger } from './ledger-choice.ts'
import type { Parcel } from './parcel.ts'
import type { Sender } from './sender.ts'

export interface AggregatorsOptions {
  readonly open: (endpoint: Endpoint) => Sender<Parcel>
  /** `fluentd`: nobody keeps a ledger, and any takes all. */
  readonly format: 'tributary' | 'fluentd'
  /** How long an aggregator is silent before it counts as gone, ms. */
  readonly takeoverAfter: number
  /** The ledger that an earlier process used. */
  readonly ledger: string | undefined
  /** A connection failed or was closed. */
  readonly onTrouble: () => void
  readonly log: Logger
  readonly metrics: CollectorMetrics
}

/** What waits for one aggregator must go to others; `queries`: only what changes nothing wherever it is answered. */
export interface Takeover {
  readonly from: Aggregator
  readonly what: 'all' | 'queries'
}

/** How often the aggregators are looked at, ms. */
const lookMs = 250

export class Aggregators {
  readonly #options: AggregatorsOptions
  readonly #all = new Map<string, Aggregator>()
  readonly #timer: NodeJS.Timeout
  readonly #openedAt = performance.now()
  readonly #closing = new Set<Promise<void>>()
  #order: readonly string[] = []
  #ledger: string | undefined
  #candidates: readonly Aggregator[] = []
  #usable = false
  #refused = ''
  /** Other aggregators take sources than before. */
  onChange: () => void = () => undefined
  /** The ledger used from now on is an earlier state of the one used before: it was restored from a backup. */
  onRestored: () => void = () => undefined
  onTakeover: (takeover: Takeover) => void = () => undefined

  constructor(options: AggregatorsOptions) {
    this.#options = options
    this.#ledger = options.ledger
    this.#timer = setInterval(() => this.#look(), lookMs)
  }

  /** In the order of the configuration, those that left at the end. */
  get all(): Aggregator[] {
    const rank = (key: string) => this.#order.indexOf(key) + 1 || this.#order.length + 1
    return [...this.#all.values()].sort((a, b) => rank(a.key) - rank(b.key))
  }

  get(key: string): Aggregator | undefined {
    return this.#all.get(key)
  }

  /** Those that take sources; the same array for as long as they are the same. */
  get candidates(): readonly Aggregator[] {
    return this.#candidates
  }

  /** At least one of the candidates can be sent to. */
  get usable(): boolean {
    return this.#usable
  }

  /** The ledger in use; undefined as long as none is known, and with Fluentd. */
  get ledger(): string | undefined {
    return this.#ledger
  }

  /** Listed aggregators that are not used because their ledger is another. */
  get refused(): Aggregator[] {
    return this.all.filter((one) => one.listed && one.identity !== undefined && !one.member)
  }

  /** The ledger in use is kept by one aggregator alone. */
  get alone(): boolean {
    return this.all.some(({ member, identity }) => member && identity?.shared === false)
  }

  /** These are the present addresses. */
  update(endpoints: readonly Endpoint[]): void {
    this.#order = endpoints.map(({ key }) => key)
    for (const one of this.#all.values()) one.listed = false
    for (const endpoint of endpoints) {
      const known = this.#all.get(endpoint.key)
      known?.update(endpoint)
      const one = known ?? this.#add(endpoint)
      one.listed = true
    }
    this.#reconsider()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all([...this.#closing, ...[...this.#all.values()].map(({ sender }) => sender.close())])
  }

  #add(endpoint: Endpoint): Aggregator {
    const { open, takeoverAfter, onTrouble } = this.#options
    const sender = open(endpoint)
    const one = new Aggregator(endpoint, sender, takeoverAfter)
    sender.onOpen = () => {
      one.opened()
      this.#reconsider()
      if (one.member) sender.resume()
    }
    sender.onClose = () => {
      onTrouble()
      this.#reconsider()
    }
    this.#all.set(endpoint.key, one)
    return one
  }

  #look(): void {
    const now = performance.now()
    for (const one of this.#all.values()) one.look(now)
    this.#reconsider()
    this.#takeOver()
    this.#letGo()
  }

  /** Which ledger is used, and who takes sources. */
  #reconsider(): void {
    const all = this.all
    if (this.#options.format === 'fluentd') for (const one of all) one.member = true
    else this.#chooseLedger(all)
    const candidates = this.#narrow(candidatesOf(all.filter(({ member }) => member)))
    const usable = candidates.some((one) => one.usable)
    const same =
      candidates.length === this.#candidates.length && candidates.every((one, i) => one === this.#candidates[i])
    if (same && usable === this.#usable) return
    if (!same) this.#candidates = candidates
    this.#usable = usable
    this.onChange()
  }

  #chooseLedger(all: readonly Aggregator[]): void {
    const { takeoverAfter } = this.#options
    const before = this.#ledger
    this.#ledger = chooseLedger(before, all, { waitedMs: performance.now() - this.#openedAt, takeoverAfter })
    for (const one of all) one.member = this.#ledger !== undefined && one.identity?.ledger === this.#ledger
    if (before !== this.#ledger && before !== undefined) this.#tellChange(before, all)
    this.#tellRefused()
    // One that turned out to be refused, and is not any more.
    for (const one of all) if (one.member) one.sender.resume()
  }

  #tellChange(before: string, all: readonly Aggregator[]): void {
    const { log } = this.#options
    const ledger = this.#ledger
    if (all.some(({ identity }) => identity?.ledger === ledger && identity?.before?.includes(before))) {
      log.warn(
        { before, ledger },
        'the ledger was restored from a backup: what it does not have is sent again, where the files still have it',
      )
      this.onRestored()
    } else {
      log.warn(
        { before, ledger },
        'no aggregator keeps the ledger that was used; what was not acknowledged is sent to another, which takes it as new',
      )
    }
  }

  /** A ledger that is not shared has one keeper. Several addresses lead to the same one then, and one of them is used at a time. */
  #narrow(candidates: Aggregator[]): Aggregator[] {
    if (this.#options.format === 'fluentd' || !this.alone || candidates.length < 2) return candidates
    return [candidates.find((one) => one === this.#candidates[0]) ?? candidates[0]!]
  }

  #tellRefused(): void {
    const refused = this.refused
    const keys = refused.map(({ key }) => key).join(', ')
    if (keys === this.#refused) return
    this.#refused = keys
    if (refused.length > 0) this.#options.log.error({ refused: keys, used: this.usedKeys }, this.refusal!)
  }

  /** Addresses that keep the ledger in use. */
  get usedKeys(): string {
    return this.all
      .filter(({ member }) => member)
      .map(({ key }) => key)
      .join(', ')
  }

  /** Why aggregators are refused, and the way out; undefined while none is. */
  get refusal(): string | undefined {
    const refused = this.refused
    if (refused.length === 0) return undefined
    const keys = refused.map(({ key }) => key).join(', ')
    return `${keys} ${refused.length === 1 ? 'is' : 'are'} not sent to, only ${this.usedKeys || 'the one used before'}: each keeps a ledger of its own, and a chunk sent to both would be stored twice. Give them one store with store.engine: clickhouse, or leave one address in aggregator.address and one replica of the aggregator`
  }

  /** Finds what waits for aggregators that will not acknowledge it while others can. */
  #takeOver(): void {
    const { log, metrics } = this.#options
    for (const from of this.#all.values()) {
      if (from.sender.waiting === 0 || !this.#candidates.some((one) => one !== from && one.usable)) continue
      const reason = this.#whyTakeOver(from)
      if (reason !== undefined) {
        const { waiting } = from.sender
        metrics.takeovers.inc(1, reason)
        log.warn({ address: from.key, reason, waiting }, 'what waited for an aggregator is sent to others')
        this.onTakeover({ from, what: 'all' })
      } else if (!from.usable) this.onTakeover({ from, what: 'queries' })
    }
  }

  #whyTakeOver(from: Aggregator): TakeoverReason | undefined {
    if (!from.member && from.identity !== undefined) return 'ledger'
    if (from.usable) return undefined
    if (this.#options.format === 'tributary' && this.alone) return 'moved'
    return from.silentMs >= this.#options.takeoverAfter ? 'gone' : undefined
  }

  /** Connections to aggregators that left and owe nothing are closed. */
  #letGo(): void {
    for (const one of this.#all.values()) {
      if (one.listed || one.sender.waiting > 0 || this.#candidates.includes(one)) continue
      this.#all.delete(one.key)
      const closed = one.sender.close().then(() => void this.#closing.delete(closed))
      this.#closing.add(closed)
    }
  }
}

export const aggregatorStates = ['in_use', 'standby', 'leaving', 'suspect', 'away', 'refused'] as const
export type AggregatorState = (typeof aggregatorStates)[number]

export function stateOf(one: Aggregator, candidates: readonly Aggregator[]): AggregatorState {
  if (!one.sender.connected) return 'away'
  if (!one.member) return 'refused'
  if (one.suspect) return 'suspect'
  if (candidates.includes(one)) return 'in_use'
  return one.listed ? 'standby' : 'leaving'
}
