/**
 * Deletes single rows of a day that is kept in part. So that the audit knows exactly how many of which source went, a deletion is
 * written down first (which day, which times), then its rows are counted under its number, then deleted, then it is marked as done. One that
 * was cut short is done again, exactly as it was written down, before anything else of its day is deleted: counting the same rows
 * again changes nothing.
 */
import { Parameters, wideLabels } from '../logql/sql.ts'
import type { StoreClient } from '../store/client.ts'
import { logsTable, streamsTable } from '../store/schema.ts'
import { type DayPartition, deleteRows } from './day-partitions.ts'
import { recordRows } from './expired-rows.ts'
import { type Cutoffs, cutoffExpression } from './policy.ts'

/** Numbers of deletions begin here, so that none is the number of a block. */
const firstNumber = 1n << 63n

/** The number of the deletion that begins at `now`, milliseconds since 1970. Those of one day rise. */
export function deletionNumber(now: number): string {
  return (firstNumber + BigInt(Math.floor(now))).toString()
}

interface Condition {
  readonly sql: string
  readonly params: Readonly<Record<string, unknown>>
}

/** For rows of `logs` that go. */
function rowCondition(cutoffs: Cutoffs): Condition {
  const parameters = new Parameters()
  const inMap = mapLabel(parameters)
  const expression = cutoffExpression(parameters, cutoffs, (name) => (wideLabels.has(name) ? name : inMap(name)))
  return parameters.statement(`ts < ${expression}`)
}

/** For rows of `streams` all of whose entries go. */
function streamCondition(cutoffs: Cutoffs, column: 'first_ts' | 'last_ts'): Condition {
  const parameters = new Parameters()
  return parameters.statement(`${column} < ${cutoffExpression(parameters, cutoffs, mapLabel(parameters))}`)
}

function mapLabel(parameters: Parameters): (name: string) => string {
  return (name) => `labels[${parameters.string(name)}]`
}

/** Deletes from a day what is older than the cutoffs. Returns how many rows of `logs` that were. Throws StoreError. */
export async function expireRows(
  client: StoreClient,
  day: DayPartition,
  cutoffs: Cutoffs,
  number: string,
): Promise<number> {
  // The streams tell, and are few.
  if ((await count(client, 'streams', 'day', day.day, streamCondition(cutoffs, 'first_ts'))) === 0) return 0
  const rows = await count(client, 'logs', 'toDate(ts)', day.day, rowCondition(cutoffs))
  if (rows === 0) return 0
  await mark(client, day.day, number, cutoffs, false)
  await carryOut(client, day, cutoffs, number)
  return rows
}

/** A deletion that was written down and not marked as done. */
export interface OpenDeletion {
  readonly number: string
  readonly cutoffs: Cutoffs
}

/** Those of each day, oldest first. */
export async function openDeletions(client: StoreClient): Promise<ReadonlyMap<string, readonly OpenDeletion[]>> {
  const { rows } = await client.query<{ on: string; id: string; times: string }>(
    `SELECT toString(day) AS on, toString(number) AS id, any(cutoffs) AS times
     FROM deletions GROUP BY day, number HAVING max(done) = 0 ORDER BY number`,
    {},
    { settings: client.dialect.consistentRead },
  )
  const open = new Map<string, OpenDeletion[]>()
  for (const { on, id, times } of rows) {
    open.set(on, [...(open.get(on) ?? []), { number: id, cutoffs: JSON.parse(times) as Cutoffs }])
  }
  return open
}

/** Does them again, as they were written down. To be called before anything else of the day is dropped. */
export async function finishDeletions(
  client: StoreClient,
  day: DayPartition,
  open: readonly OpenDeletion[] = [],
): Promise<void> {
  for (const { number, cutoffs } of open) await carryOut(client, day, cutoffs, number)
}

async function carryOut(client: StoreClient, day: DayPartition, cutoffs: Cutoffs, number: string): Promise<void> {
  const rows = rowCondition(cutoffs)
  await recordRows(client, day.day, number, 'retention', rows)
  await deleteRows(client, logsTable, day, rows)
  // A stream that goes on has a row with a later time, which stays; entries that were deleted stay in the sums of what stays.
  await deleteRows(client, streamsTable, day, streamCondition(cutoffs, 'last_ts'))
  await mark(client, day.day, number, cutoffs, true)
}

async function mark(client: StoreClient, day: string, number: string, cutoffs: Cutoffs, done: boolean): Promise<void> {
  await client.command(
    'INSERT INTO deletions (day, number, cutoffs, done) SELECT {day:Date}, {number:UInt64}, {cutoffs:String}, {done:UInt8}',
    { day, number, cutoffs: JSON.stringify(cutoffs), done: done ? 1 : 0 },
    { settings: client.dialect.consistentInsert },
  )
}

async function count(
  client: StoreClient,
  table: string,
  dayOf: string,
  day: string,
  { sql, params }: Condition,
): Promise<number> {
  const { rows } = await client.query<{ n: string }>(
    `SELECT count() AS n FROM ${table} WHERE ${dayOf} = {day:Date} AND (${sql})`,
    { ...params, day },
  )
  return Number(rows[0]?.n ?? 0)
}

/** Of how many rows of a day one may be deleted and still take its disk: removing them rewrites what they lie among. */
const maxDeletedShare = 1 / 4

/** Whether so many rows of a day are deleted that removing them from disk pays. */
export async function worthRemoving(client: StoreClient, day: DayPartition): Promise<boolean> {
  if (!day.masked) return false
  const left = await count(client, 'logs', 'toDate(ts)', day.day, { sql: '1', params: {} })
  return day.rows - left >= day.rows * maxDeletedShare
}
