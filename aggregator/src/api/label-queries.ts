/** Labels, their values and series: read from the `streams` table alone. */

import type { Matcher } from '../logql/ast.ts'
import { LogqlError } from '../logql/error.ts'
import { compareLabels, type Labels } from '../logql/labels.ts'
import { parseQuery, parseSelectorQuery } from '../logql/parser.ts'
import type { Reader } from '../logql/rows.ts'
import { all, Parameters } from '../logql/sql.ts'
import { findStreams, streamConditions } from '../logql/streams.ts'
import { hiddenTenantLabel, tenantLabel } from '../logql/tenant-scope.ts'
import { ParameterError, type TimeRange } from './params.ts'
import { countVolume } from './volume-queries.ts'

/** The matchers of a selector; an absent one selects every stream. */
export function readSelector(text: string | null): readonly Matcher[] {
  if (!text) return []
  try {
    return parseSelectorQuery(text).matchers
  } catch (error) {
    if (!(error instanceof LogqlError)) throw error
    // Throws where it is no query either.
    parseQuery(text)
    throw new ParameterError('only label matchers are supported')
  }
}

export async function readLabelNames(
  reader: Reader,
  matchers: readonly Matcher[],
  range: TimeRange,
): Promise<string[]> {
  const parameters = new Parameters()
  const statement = parameters.statement(
    'SELECT DISTINCT arrayJoin(mapKeys(labels)) AS name FROM streams',
    `WHERE ${all(streamConditions(parameters, reader.tenant, matchers, range.start, range.end))}`,
  )
  const rows = await reader.read<{ name: string }>(statement)
  const { several } = reader.tenant
  const names = rows.map(({ name }) => (several && name === tenantLabel ? hiddenTenantLabel : name))
  if (several && names.length > 0) names.push(tenantLabel)
  return [...new Set(names)].sort()
}

export async function readLabelValues(
  reader: Reader,
  name: string,
  matchers: readonly Matcher[],
  range: TimeRange,
): Promise<string[]> {
  const parameters = new Parameters()
  const value = reader.tenant.label(parameters, name)
  const conditions = streamConditions(parameters, reader.tenant, matchers, range.start, range.end)
  const statement = parameters.statement(
    `SELECT DISTINCT ${value} AS value FROM streams`,
    `WHERE ${all([...conditions, `${value} != ''`])}`,
  )
  const rows = await reader.read<{ value: string }>(statement)
  return rows.map((row) => row.value).sort()
}

/** The label sets of the streams that any of the selectors chooses. */
export async function readSeries(
  reader: Reader,
  selectors: readonly (readonly Matcher[])[],
  range: TimeRange,
): Promise<Labels[]> {
  const found = new Map<string, Labels>()
  for (const matchers of selectors) {
    const parameters = new Parameters()
    const conditions = streamConditions(parameters, reader.tenant, matchers, range.start, range.end)
    const statement = parameters.statement(
      `SELECT ${reader.tenant.streamId} AS id, tenant AS owner, any(labels) AS pairs FROM streams`,
      `WHERE ${all(conditions)} GROUP BY tenant, sid`,
    )
    for (const row of await reader.read<{ id: string; owner: string; pairs: Record<string, string> }>(statement))
      if (!found.has(row.id)) found.set(row.id, reader.tenant.labelsOf(row.owner, row.pairs))
  }
  return [...found.values()].sort(compareLabels)
}

/** What an answer would have to read. */
export interface IndexStats {
  readonly streams: number
  /** A stream's day is the nearest thing to a chunk of Loki. */
  readonly chunks: number
  readonly bytes: number
  readonly entries: number
}

export async function readIndexStats(
  reader: Reader,
  matchers: readonly Matcher[],
  range: TimeRange,
): Promise<IndexStats> {
  const parameters = new Parameters()
  const statement = parameters.statement(
    'SELECT toString(uniqExact(tenant, sid, day)) AS chunks, toString(uniqExact(tenant, sid)) AS streams FROM streams',
    `WHERE ${all(streamConditions(parameters, reader.tenant, matchers, range.start, range.end))}`,
  )
  const [row] = await reader.read<{ chunks: string; streams: string }>(statement)
  const streams = await findStreams(reader, matchers, range.start, range.end)
  let entries = 0
  let bytes = 0
  for (const volume of await countVolume(reader, streams, range)) {
    entries += Number(volume.entries)
    bytes += Number(volume.size)
  }
  return { streams: Number(row?.streams ?? 0), chunks: Number(row?.chunks ?? 0), bytes, entries }
}
