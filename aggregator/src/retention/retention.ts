/** What is older than is kept leaves the store: whole days where all of a day is, else single rows. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../log.ts'
import { volumeBackfill } from '../store/backfill.ts'
import type { StoreClient } from '../store/client.ts'
import { countAgain, type DayPartition, dayPartitions, dropPartition, removeDeleted } from './day-partitions.ts'
import { recordExpired } from './expired-rows.ts'
import type { RetentionMetrics } from './metrics.ts'
import { type Cutoffs, cutoffsAt, dayMs, type RetentionPolicy, wholly } from './policy.ts'
import { deletionNumber, expireRows, finishDeletions, openDeletions, worthRemoving } from './row-expiry.ts'
import { takeTurn } from './turn.ts'

const minute = 60_000
const hour = 60 * minute

/**
 * How often it is looked what is too old, milliseconds: a day ends once in 24 hours, but nobody knows when the process started; a rule
 * that keeps hours is kept to within a sixth of them.
 */
export function sweepInterval({ rules }: RetentionPolicy): number {
  const shortest = Math.min(...rules.map(({ keep }) => keep || Number.POSITIVE_INFINITY))
  return Math.min(hour, Math.max(5 * minute, shortest / 6))
}

export interface RetentionOptions {
  readonly client: StoreClient
  readonly policy: RetentionPolicy
  readonly log: Logger
  readonly metrics: RetentionMetrics
  /** Tells this aggregator from others that share the store. */
  readonly id: string
  /** Runs one piece of work at a time: not while the disk guard drops days. */
  readonly alone?: <T>(work: () => Promise<T>) => Promise<T>
  readonly now?: () => number
}

/** What one sweep dropped. */
export interface Swept {
  readonly days: readonly DayPartition[]
  /** Rows deleted from days that stay. */
  readonly rows: number
}

const nothing: Swept = { days: [], rows: 0 }

export class Retention {
  readonly #options: RetentionOptions

  constructor(options: RetentionOptions) {
    this.#options = options
  }

  /** Drops now what is too old, and then again and again until `signal`. What fails is logged and tried again the next time. */
  async run(signal: AbortSignal): Promise<void> {
    const { alone = (work) => work(), log, policy } = this.#options
    while (!signal.aborted) {
      try {
        await alone(() => this.sweep(signal))
      } catch (err) {
        if (!signal.aborted) log.warn({ err }, 'what is too old was not dropped from the store')
      }
      // The signal ends the wait, and with it the loop.
      await sleep(sweepInterval(policy), undefined, { signal, ref: false }).catch(() => {})
    }
  }

  /** Returns what was dropped. Throws StoreError. */
  async sweep(signal?: AbortSignal): Promise<Swept> {
    const { client, id, policy, now = Date.now } = this.#options
    if (policy.retention === 0 && policy.rules.length === 0) return nothing
    const at = now()
    // Of several aggregators one sweeps at a time: two deletions of the same rows would both be counted.
    if (!(await takeTurn(client, id, Math.floor(at / sweepInterval(policy))))) return nothing
    const cutoffs = cutoffsAt(policy, at)
    const open = await openDeletions(client)
    const counting = (await volumeBackfill(client)).parts > 0
    const days: DayPartition[] = []
    let rows = 0
    for (const partition of await dayPartitions(client)) {
      signal?.throwIfAborted()
      if (partition.table === 'logs') await finishDeletions(client, partition, open.get(partition.day))
      if (wholly(partition.day, policy, at)) {
        await this.#drop(partition)
        days.push(partition)
      } else if (partition.table === 'logs' && !isUntouched(partition, policy, at)) {
        rows += await this.#deleteRows(partition, cutoffs, at)
      }
      // Deleting took the rollup away; where nothing is marked any more, no deletion will take it again soon.
      if (partition.table === 'logs' && !partition.counted && !partition.masked && !counting)
        await this.#countAgain(partition)
    }
    return { days, rows }
  }

  async #drop(partition: DayPartition): Promise<void> {
    const { client, log, metrics } = this.#options
    if (partition.table === 'logs') await recordExpired(client, partition, 'retention')
    await dropPartition(client, partition)
    metrics.dropped(partition.table, 'retention', partition.rows)
    log.info({ ...partition }, 'an expired day was dropped from the store')
  }

  async #countAgain(partition: DayPartition): Promise<void> {
    const { client, log } = this.#options
    await countAgain(client, partition)
    log.info({ day: partition.day }, 'lines of a day are counted by minute again')
  }

  async #deleteRows(partition: DayPartition, cutoffs: Cutoffs, at: number): Promise<number> {
    const { client, log, metrics } = this.#options
    const { day } = partition
    const rows = await expireRows(client, partition, cutoffs, deletionNumber(at))
    if (rows > 0) {
      metrics.dropped('logs', 'retention', rows)
      log.info({ day, rows }, 'expired rows were deleted from the store')
    }
    const now = rows === 0 ? partition : { ...partition, masked: true }
    if (await worthRemoving(client, now)) {
      await removeDeleted(client, now)
      await countAgain(client, now)
      log.info({ day }, 'deleted rows were removed from disk')
    }
    return rows
  }
}

/** Whether nothing of a day can be too old for any rule, nor all of it for rows that no rule is about. */
function isUntouched({ day }: DayPartition, { retention, rules }: RetentionPolicy, now: number): boolean {
  if (rules.length === 0) return true
  const start = Date.parse(`${day}T00:00:00Z`)
  const tooOld = (keep: number, from: number) => keep !== 0 && from < now - keep
  return !tooOld(retention, start + dayMs) && !rules.some(({ keep }) => tooOld(keep, start))
}
