/** From a selector to streams: the `streams` table has one row for each stream, day and insert, so it is small. */
import type { Matcher } from './ast.ts'
import type { Labels } from './labels.ts'
import type { Reader, Statement } from './rows.ts'
import { all, clampTime, matcherCondition, Parameters, wideLabels } from './sql.ts'
import type { TenantScope } from './tenant-scope.ts'
import { max, min } from './windows.ts'

export interface Stream {
  /** As {@link TenantScope.streamId} has it. */
  readonly id: string
  /** UInt64, decimal. */
  readonly sid: string
  readonly labels: Labels
}

/** What `streams.longest_word` is where it is not known: no word that is told apart is longer. */
export const unknownWord = 65_535

/** The streams that a selector chose, and the times between which they have entries. */
export interface StreamSet {
  readonly scope: TenantScope
  readonly streams: ReadonlyMap<string, Stream>
  readonly matchers: readonly Matcher[]
  /** Nanoseconds, both included; first > last when there are no streams. */
  readonly first: bigint
  readonly last: bigint
  /** About how many entries they have together in each nanosecond. */
  readonly density: number
  /** No line of theirs has a longer word, bytes; {@link unknownWord} where that is not known. */
  readonly longestWord: number
}

/** Conditions for rows of `streams` that match and have entries between first and last, both included. */
export function streamConditions(
  parameters: Parameters,
  tenant: TenantScope,
  matchers: readonly Matcher[],
  first: bigint,
  last: bigint,
): string[] {
  return [
    tenant.condition(parameters),
    `day >= ${parameters.bind('Date', day(first))}`,
    `day <= ${parameters.bind('Date', day(last))}`,
    `last_ts >= ${parameters.time(clampTime(first))}`,
    `first_ts <= ${parameters.time(clampTime(last))}`,
    ...matchers.map((matcher) => matcherCondition(parameters, tenant.label(parameters, matcher.name), matcher, true)),
  ]
}

/** What a Date can hold, in days since 1970. */
const maxDay = 65_535

function day(nanoseconds: bigint): string {
  const days = Math.min(maxDay, Math.max(0, Number(clampTime(nanoseconds) / 86_400_000_000_000n)))
  return new Date(days * 86_400_000).toISOString().slice(0, 10)
}

export function streamsStatement(
  tenant: TenantScope,
  matchers: readonly Matcher[],
  first: bigint,
  last: bigint,
): Statement {
  const parameters = new Parameters()
  const conditions = streamConditions(parameters, tenant, matchers, first, last)
  return parameters.statement(
    `SELECT ${tenant.streamId} AS id, toString(sid) AS number, tenant AS owner, any(labels) AS pairs, toString(sum(entries)) AS rows, max(longest_word) AS word,`,
    'toString(toUnixTimestamp64Nano(min(first_ts))) AS first, toString(toUnixTimestamp64Nano(max(last_ts))) AS last',
    'FROM streams',
    `WHERE ${all(conditions)}`,
    'GROUP BY tenant, sid',
  )
}

interface StreamRow {
  readonly id: string
  readonly number: string
  readonly owner: string
  readonly pairs: Record<string, string>
  readonly rows: string
  readonly word: number
  readonly first: string
  readonly last: string
}

/** A stream, and between which times it has how many entries: all of those of its days, or some. */
interface OccupiedStream extends Stream {
  readonly first: bigint
  readonly last: bigint
  readonly entries: number
  readonly longestWord: number
}

/** Streams are looked up for stretches of whole units, nanoseconds: what is asked up to now soon stands for another time. */
const lookUpUnit = 300_000_000_000n
/** A stream of a few entries at one time says nothing of how many come in another, nanoseconds. */
const shortestLife = 60e9

export async function findStreams(
  reader: Reader,
  matchers: readonly Matcher[],
  first: bigint,
  last: bigint,
): Promise<StreamSet> {
  const from = first - (((first % lookUpUnit) + lookUpUnit) % lookUpUnit)
  const to = last + lookUpUnit - (((last % lookUpUnit) + lookUpUnit) % lookUpUnit)
  const key = JSON.stringify([reader.tenant.tenants, matchers, String(from), String(to)])
  const found = await reader.remembered(
    key,
    () => readStreams(reader, matchers, from, to),
    ({ length }) => length,
  )
  const streams = new Map<string, Stream>()
  let earliest = last + 1n
  let latest = first - 1n
  let density = 0
  // Where rows can be seen before what is noted of their stream, as those of another's replica, it says nothing.
  let longestWord = reader.ownStore ? 0 : unknownWord
  for (const stream of found) {
    if (stream.last < first || stream.first > last) continue
    streams.set(stream.id, stream)
    if (stream.first < earliest) earliest = stream.first
    if (stream.last > latest) latest = stream.last
    density += stream.entries / Math.max(Number(stream.last - stream.first), shortestLife)
    longestWord = Math.max(longestWord, stream.longestWord)
  }
  return {
    scope: reader.tenant,
    streams,
    matchers,
    first: earliest > first ? earliest : first,
    last: latest < last ? latest : last,
    density,
    longestWord,
  }
}

/**
 * Whether a set has all streams that the tenants have between first and last, so that conditions on streams would leave no row out. Rows are
 * inserted behind their streams and deleted before them: where it is so before and after rows are read, none of them was of another stream.
 */
export async function isEverything(reader: Reader, set: StreamSet, first: bigint, last: bigint): Promise<boolean> {
  const { streams } = await findStreams(reader, [], first, last)
  return streams.size <= set.streams.size && [...streams.keys()].every((id) => set.streams.has(id))
}

/** Of so many rows, about, it is worth to look up all streams, which may save the conditions on them: they are asked of each row and each part's index. */
const manyRows = 500_000

/** The same, where rows are so many that it is worth to know; false for stores whose streams would be read anew. */
export async function isAllOfMany(reader: Reader, set: StreamSet, first: bigint, last: bigint): Promise<boolean> {
  const length = Number(min(last, set.last) - max(first, set.first))
  return reader.ownStore && set.density * length > manyRows && isEverything(reader, set, first, last)
}

async function readStreams(
  reader: Reader,
  matchers: readonly Matcher[],
  first: bigint,
  last: bigint,
): Promise<readonly OccupiedStream[]> {
  const rows = await reader.read<StreamRow>(streamsStatement(reader.tenant, matchers, first, last))
  return rows.map((row) => ({
    id: row.id,
    sid: row.number,
    labels: reader.tenant.labelsOf(row.owner, row.pairs),
    first: BigInt(row.first),
    last: BigInt(row.last),
    entries: Number(row.rows),
    longestWord: row.word,
  }))
}

/** Above so many streams a statement names them by a subquery instead: its text is limited to 256 KiB by default. */
const maxListed = 5000

/** The leading columns of the sort key. Any set of values for them that covers the streams is right; small ones prune well. */
const keyColumns = ['namespace', 'app', 'pod', 'container'] as const
const maxKeyValues = 64
const maxKeyBytes = 4096

/** Conditions for rows of `logs` that belong to the streams. */
export function rowConditions(
  parameters: Parameters,
  tenant: TenantScope,
  set: StreamSet,
  first: bigint,
  last: bigint,
): string[] {
  const conditions: string[] = []
  for (const column of keyColumns) {
    const values = distinctValues(set, column)
    if (values) conditions.push(`${column} IN ${parameters.bind('Array(String)', values)}`)
  }
  return [...streamIdConditions(parameters, tenant, set, first, last), ...conditions]
}

/** The same, by nothing but tenant and `sid`. */
export function streamIdConditions(
  parameters: Parameters,
  tenant: TenantScope,
  set: StreamSet,
  first: bigint,
  last: bigint,
): string[] {
  const conditions = [tenant.condition(parameters)]
  if (set.streams.size > maxListed) {
    const inner = all(streamConditions(parameters, tenant, set.matchers, first, last))
    const columns = tenant.streamColumns.join(', ')
    conditions.push(`(${columns}) IN (SELECT ${columns} FROM streams WHERE ${inner})`)
  } else {
    const sids = new Set([...set.streams.values()].map(({ sid }) => BigInt(sid).toString()))
    conditions.push(`sid IN (${[...sids].join(', ')})`)
    // A stream that only another tenant has is not meant by the number it shares.
    if (tenant.several)
      conditions.push(`${tenant.streamId} IN ${parameters.bind('Array(String)', [...set.streams.keys()])}`)
  }
  return conditions
}

function distinctValues(set: StreamSet, column: string): string[] | undefined {
  const values = new Set<string>()
  let bytes = 0
  for (const { labels } of set.streams.values()) {
    const value = labels.get(column) ?? ''
    if (values.has(value)) continue
    values.add(value)
    bytes += Buffer.byteLength(value)
    if (values.size > maxKeyValues || bytes > maxKeyBytes) return undefined
  }
  return [...values].sort()
}

/** How many of the streams have the label. */
export function coverage(set: StreamSet, name: string): 'all' | 'some' | 'none' {
  let having = 0
  for (const { labels } of set.streams.values()) if (labels.has(name)) having++
  return having === 0 ? 'none' : having === set.streams.size ? 'all' : 'some'
}

/** The expression of a stream label in a row of `logs`; '' where it is absent. */
export function streamLabel(parameters: Parameters, scope: TenantScope, name: string): string {
  return wideLabels.has(name) ? name : scope.label(parameters, name)
}
