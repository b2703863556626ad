/**
 * Keeps the volume of the embedded store from running full: before it is, the oldest days go, older than is wanted or not. The store
 * would recover from a full disk by itself, but until somebody made room nothing new could be stored.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../log.ts'
import type { StoreClient } from '../store/client.ts'
import { type DayPartition, dayPartitions, dropPartition } from './day-partitions.ts'
import { DiskReserve, reserveBytes, type Volume, volumeOf } from './disk-reserve.ts'
import { recordExpired } from './expired-rows.ts'
import type { RetentionMetrics } from './metrics.ts'
import { dayMs } from './policy.ts'
import { finishDeletions, openDeletions } from './row-expiry.ts'

/** A size, or a part of the volume. */
export type DiskAmount = { readonly bytes: number } | { readonly percent: number }

export interface DiskLimits {
  /** What stays free on the volume. */
  readonly minFree: DiskAmount
  /** What the store's rows may take; 0, as in other limits: what they like. */
  readonly maxUsage?: DiskAmount | undefined
}

/** How many bytes must go, 0 when none. Pure. */
export function excessBytes({ size, free }: Volume, used: number, { minFree, maxUsage }: DiskLimits): number {
  const bytes = (amount: DiskAmount) => ('bytes' in amount ? amount.bytes : (size * amount.percent) / 100)
  const most = maxUsage === undefined ? 0 : bytes(maxUsage)
  const overUsage = most === 0 ? 0 : used - most
  return Math.max(0, Math.ceil(bytes(minFree) - free), Math.ceil(overUsage))
}

/**
 * Which days go to free so many bytes: the oldest, and never the newest that is not in the future. Pure.
 *
 * @param now milliseconds since 1970
 */
export function daysToDrop<P extends Pick<DayPartition, 'day' | 'bytes'>>(
  partitions: readonly P[],
  excess: number,
  now: number,
): P[] {
  const days = [...new Set(partitions.map(({ day }) => day))].sort()
  const newest = days.filter((day) => Date.parse(`${day}T00:00:00Z`) < now + dayMs).at(-1) ?? days.at(-1)
  const dropped: P[] = []
  let freed = 0
  for (const day of days) {
    if (freed >= excess) break
    if (day === newest) continue
    const parts = partitions.filter((one) => one.day === day)
    dropped.push(...parts)
    freed += parts.reduce((sum, { bytes }) => sum + bytes, 0)
  }
  return dropped
}

export interface DiskGuardOptions {
  readonly client: StoreClient
  /** On the volume: where the store has its files. */
  readonly directory: string
  readonly limits: DiskLimits
  readonly log: Logger
  readonly metrics: RetentionMetrics
  /** Runs one piece of work at a time: not while expired rows are being counted and deleted. */
  readonly alone?: <T>(work: () => Promise<T>) => Promise<T>
  readonly now?: () => number
}

/** How often the volume is looked at, milliseconds: at 100 MB/s a gigabyte fills up between two looks. */
const interval = 10_000

export class DiskGuard {
  readonly #options: DiskGuardOptions
  readonly #reserve: DiskReserve
  #short = false

  constructor(options: DiskGuardOptions) {
    this.#options = options
    this.#reserve = new DiskReserve(join(options.directory, 'reserve'))
  }

  /** Looks at the volume until `signal`. What fails is logged and tried again the next time. */
  async run(signal: AbortSignal, every = interval): Promise<void> {
    const { alone = (work) => work(), log } = this.#options
    while (!signal.aborted) {
      try {
        await alone(() => this.check(signal))
      } catch (err) {
        if (!signal.aborted) log.warn({ err }, 'the disk guard could not look at the store')
      }
      // The signal ends the wait, and with it the loop.
      await sleep(every, undefined, { signal, ref: false }).catch(() => {})
    }
  }

  /** Looks once, and drops what must go. Returns it. Throws StoreError. */
  async check(signal?: AbortSignal): Promise<DayPartition[]> {
    const { client, directory, limits, log, metrics, now = Date.now } = this.#options
    const volume = await volumeOf(directory)
    const partitions = await dayPartitions(client)
    const used = partitions.reduce((sum, { bytes }) => sum + bytes, 0)
    const excess = excessBytes(volume, used, limits)
    metrics.diskSize.set(volume.size)
    metrics.diskFree.set(volume.free)
    metrics.diskUsed.set(used)
    const victims = excess === 0 ? [] : daysToDrop(partitions, excess, now())
    this.#tell(excess, victims)
    if (victims.length === 0) {
      await this.#keepReserve(volume, used)
      return []
    }
    if (volume.free < reserveBytes(volume.size)) await this.#reserve.giveUp()
    const open = await openDeletions(client)
    for (const victim of victims) {
      signal?.throwIfAborted()
      // As it is by now: rows may have come for it while others were dropped.
      const partition = (await dayPartitions(client)).find(sameAs(victim)) ?? victim
      if (partition.table === 'logs') {
        await finishDeletions(client, partition, open.get(partition.day))
        await recordExpired(client, partition, 'disk')
      }
      await dropPartition(client, partition)
      metrics.dropped(partition.table, 'disk', partition.rows)
      log.error({ ...partition, ...volume, used }, 'a day was dropped from the store because its volume is nearly full')
    }
    return victims
  }

  /** Unless that would be one reason more to drop days, or none are dropped however full the volume is. */
  async #keepReserve({ size, free }: Volume, used: number): Promise<void> {
    const { limits } = this.#options
    const bytes = reserveBytes(size)
    const excessAt = (left: number) => excessBytes({ size, free: left }, used, limits)
    if (excessAt(free - bytes) === 0 && excessAt(0) > 0) await this.#reserve.keep(bytes)
  }

  /** That nothing is left to drop is told once, and by the gauge for as long as it is so. */
  #tell(excess: number, victims: readonly DayPartition[]): void {
    const short = excess > 0 && victims.length === 0
    this.#options.metrics.diskExcess.set(short ? excess : 0)
    if (short && !this.#short) {
      this.#options.log.error(
        { excessBytes: excess },
        'the volume of the store is nearly full and only its newest day is left: senders wait when it is full',
      )
    }
    this.#short = short
  }
}

const sameAs = (day: DayPartition) => (other: DayPartition) => other.table === day.table && other.id === day.id
