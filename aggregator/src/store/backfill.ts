/** What a migration leaves to the engine to do in the background: how far it is, until it is done. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../log.ts'
import type { StoreClient } from './client.ts'
import { logsTable } from './schema.ts'
import { countVolume } from './volume.ts'

/** How often it is looked, milliseconds. */
const defaultInterval = 10_000

export interface Backfill {
  /** Parts of `logs` that the rollup of volume does not have yet. They are counted from their rows. */
  readonly parts: number
  /** Why it is tried again and again; '' when nothing is wrong. */
  readonly failure: string
}

export async function volumeBackfill(client: StoreClient): Promise<Backfill> {
  const { dialect } = client
  const { rows } = await client.query<{ parts: string; failure: string }>(
    `SELECT toString(sum(parts_to_do)) AS parts, max(latest_fail_reason) AS failure FROM ${dialect.system('mutations')}
     WHERE database = {database:String} AND table = {table:String} AND NOT is_done AND command LIKE {command:String}`,
    {
      database: dialect.database,
      table: dialect.partsOf(logsTable.name, logsTable.placement),
      command: `%${countVolume}%`,
    },
  )
  return { parts: Number(rows[0]?.parts ?? 0), failure: rows[0]?.failure ?? '' }
}

/** Tells how far the rollup of what was there before is, until it is done or `signal`. Never rejects. */
export async function watchBackfill(
  client: StoreClient,
  log: Logger,
  signal: AbortSignal,
  interval = defaultInterval,
): Promise<void> {
  let last: Backfill | undefined
  while (!signal.aborted) {
    try {
      const now = await volumeBackfill(client)
      if (now.failure !== '' && now.failure !== last?.failure)
        log.warn({ parts: now.parts, detail: now.failure }, 'counting stored lines by minute fails and is tried again')
      else if (now.parts > 0 && now.parts !== last?.parts)
        log.info(
          { parts: now.parts },
          'stored lines are being counted by minute; queries count from the rows meanwhile',
        )
      if (now.parts === 0) {
        if (last !== undefined) log.info('stored lines are counted by minute')
        return
      }
      last = now
    } catch (err) {
      if (!signal.aborted) log.debug({ err }, 'how far counting by minute is could not be asked')
    }
    await sleep(interval, undefined, { signal, ref: false }).catch(() => {}) // closing ends the loop
  }
}
