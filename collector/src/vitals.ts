/** Looks every second whether the collector gets on, for /healthz and /readyz. */
import { aggregatorStates } from './forward/aggregators.ts'
import type { Courier } from './forward/courier.ts'
import { type Health, HealthCheck } from './health.ts'
import type { CollectorMetrics } from './metrics.ts'
import type { Family } from './tail/family.ts'
import { type Backlog, backlogOf } from './tail/snapshot.ts'
import type { Tailer } from './tail/tailer.ts'

export interface VitalsOptions {
  readonly logsPath: string
  readonly tailer: Pick<Tailer, 'view' | 'ready' | 'changes'>
  readonly courier: Pick<Courier, 'connected' | 'aggregators' | 'refusal'>
  readonly metrics: CollectorMetrics
  /** How long it may stand still, ms. */
  readonly stallMs?: number | undefined
}

const lookMs = 1000

export class Vitals {
  readonly #options: VitalsOptions
  readonly #check: HealthCheck
  readonly #timer: NodeJS.Timeout
  #health: Health = { healthy: true }
  #backlog: Backlog | undefined
  #backlogAfter: number | undefined

  constructor(options: VitalsOptions) {
    this.#options = options
    this.#check = new HealthCheck(options.stallMs)
    this.#look()
    this.#timer = setInterval(() => this.#look(), lookMs)
  }

  get health(): Health {
    const { refusal } = this.#options.courier
    return refusal === undefined ? this.#health : { ...this.#health, notice: refusal }
  }

  get ready(): Health {
    const { tailer, logsPath } = this.#options
    return tailer.ready ? { healthy: true } : { healthy: false, reason: `${logsPath} was not read yet` }
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const { courier, metrics } = this.#options
    const now = performance.now()
    const { readableBytes, oldestSince, worst } = this.#lookAtLogs(now)
    metrics.oldestUnread.set(oldestSince === undefined ? 0 : (now - oldestSince) / 1000)
    const aggregators = courier.aggregators()
    const waitingChunks = aggregators.reduce((sum, { waiting }) => sum + waiting, 0)
    for (const state of aggregatorStates)
      metrics.aggregators.set({ state }, aggregators.filter((one) => one.state === state).length)
    metrics.inFlightChunks.set(waitingChunks)
    const acked = metrics.ackedChunks.total + metrics.inputAcked.total
    this.#health = this.#check.observe(
      { connected: courier.connected, readableBytes, waitingChunks, acked, worst },
      now,
    )
  }

  /** On a quiet node, where nothing is unread, all logs are as they were: they are not gone through again. */
  #lookAtLogs(now: number): Backlog {
    const { tailer, metrics } = this.#options
    const { changes } = tailer
    const before = this.#backlog
    const quiet = before?.readableBytes === 0 && before.unfinishedBytes === 0
    if (quiet && changes !== undefined && changes === this.#backlogAfter) return before
    const backlog = backlogOf(tailer.view, now)
    this.#backlog = backlog
    this.#backlogAfter = changes
    metrics.unfinishedBytes.set(backlog.unfinishedBytes)
    for (const [state, count] of countLogs(tailer.view.families)) metrics.logs.set({ state }, count)
    return backlog
  }
}

function countLogs(families: Iterable<Pick<Family, 'decision'>>): Map<'read' | 'waiting' | 'excluded', number> {
  const counts = new Map<'read' | 'waiting' | 'excluded', number>([
    ['read', 0],
    ['waiting', 0],
    ['excluded', 0],
  ])
  for (const { decision } of families) {
    const verdict = decision?.verdict ?? 'wait'
    const state = verdict === 'wait' ? 'waiting' : verdict
    counts.set(state, counts.get(state)! + 1)
  }
  return counts
}
