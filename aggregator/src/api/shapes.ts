/** The bodies of Loki's responses. JSON is written by hand where order and exactness matter: label names in order, times never as doubles. */

import { mergedLabels } from '../logql/entry-labels.ts'
import { type Labels, labelsKey } from '../logql/labels.ts'
import type { Entry } from '../logql/logs.ts'
import { shownText } from '../logql/pipeline/lines.ts'
import type { Series } from '../logql/series.ts'
import type { Steps } from '../logql/windows.ts'

/** `{"a":"b"}`. Not JSON.stringify of an object, which would put names that look like numbers first. */
export function labelsJson(labels: Labels): string {
  return `{${[...labels].map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(shownText(value))}`).join(',')}}`
}

const labelText = (labels: Labels): string =>
  `{${[...labels].map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(', ')}}`

/** A number as Go prints it: shortest digits, never an exponent. */
export function formatValue(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  if (Object.is(value, -0)) return '-0'
  const text = String(value)
  const match = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(text)
  if (!match) return text
  const digits = match[2]! + (match[3] ?? '')
  const exponent = Number(match[4])
  return exponent < 0
    ? `${match[1]}0.${'0'.repeat(-exponent - 1)}${digits}`
    : match[1]! + digits.padEnd(exponent + 1, '0')
}

/** Seconds to the millisecond, as a JSON number. */
export function formatSeconds(nanoseconds: bigint): string {
  const milliseconds = nanoseconds / 1_000_000n - (nanoseconds % 1_000_000n < 0n ? 1n : 0n)
  return String(Number(milliseconds) / 1000)
}

const stepTimes = ({ start, step, points }: Steps): string[] =>
  Array.from({ length: points }, (_, i) => formatSeconds(start + BigInt(i) * step))

export function matrixJson(series: readonly Series[], steps: Steps): string {
  const times = stepTimes(steps)
  const items = series.map(({ labels, values }) => {
    const points: string[] = []
    for (const [i, value] of values.entries())
      if (value !== undefined) points.push(`[${times[i]},"${formatValue(value)}"]`)
    return `{"metric":${labelsJson(labels)},"values":[${points.join(',')}]}`
  })
  return `"resultType":"matrix","result":[${items.join(',')}]`
}

export function vectorJson(series: readonly Series[], time: bigint): string {
  const items = series.map(
    ({ labels, values }) =>
      `{"metric":${labelsJson(labels)},"value":[${formatSeconds(time)},"${formatValue(values[0]!)}"]}`,
  )
  return `"resultType":"vector","result":[${items.join(',')}]`
}

export const scalarJson = (value: number, time: bigint): string =>
  `"resultType":"scalar","result":[${formatSeconds(time)},"${formatValue(value)}"]`

/**
 * Entries by stream, in the order they have.
 *
 * @param categorized streams by their own labels, each entry with its structured metadata; else the metadata is part of the labels
 */
export function streamsJson(entries: readonly Entry[], categorized: boolean): string {
  return `"resultType":"streams",${encodingFlags(categorized)}"result":[${streamList(entries, categorized)}]`
}

/**
 * `{"streams":[…],"dropped_entries":[…]}`, a frame of live tail. A stream stands in it as often as others' entries come between its own: logcli
 * prints entries in the order of the frame.
 */
export function tailJson(entries: readonly Entry[], dropped: readonly DroppedEntry[], categorized: boolean): string {
  const lost = dropped.map(({ time, labels }) => `{"labels":${labelsJson(labels)},"timestamp":"${time}"}`)
  const told = lost.length === 0 ? '' : `,"dropped_entries":[${lost.join(',')}]`
  return `{${encodingFlags(categorized)}"streams":[${streamRuns(entries, categorized)}]${told}}`
}

/** What did not fit between the ingest path and a client that is too slow. */
export interface DroppedEntry {
  /** Nanoseconds, decimal. */
  readonly time: string
  readonly labels: Labels
}

const encodingFlags = (categorized: boolean): string => (categorized ? '"encodingFlags":["categorize-labels"],' : '')

function streamList(entries: readonly Entry[], categorized: boolean): string {
  const streams = new Map<string, { labels: Labels; values: string[] }>()
  const known = new Map<Entry['labels'], { labels: Labels; values: string[] }>()
  for (const entry of entries) {
    let stream = known.get(entry.labels)
    if (!stream) known.set(entry.labels, (stream = streamFor(streams, entry, categorized)))
    stream.values.push(entryJson(entry, categorized))
  }
  const sorted = [...streams.values()]
    .map(({ labels, values }) => ({ text: labelText(labels), labels, values }))
    .sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
  return sorted.map(streamJson).join(',')
}

function streamRuns(entries: readonly Entry[], categorized: boolean): string {
  const streams = new Map<string, { labels: Labels; values: string[] }>()
  const known = new Map<Entry['labels'], { labels: Labels; values: string[] }>()
  const runs: { labels: Labels; values: string[] }[] = []
  let last: { labels: Labels } | undefined
  for (const entry of entries) {
    const stream = known.get(entry.labels) ?? streamFor(streams, entry, categorized)
    known.set(entry.labels, stream)
    if (stream !== last) runs.push({ labels: stream.labels, values: [] })
    last = stream
    runs.at(-1)!.values.push(entryJson(entry, categorized))
  }
  return runs.map(streamJson).join(',')
}

const streamJson = ({ labels, values }: { labels: Labels; values: readonly string[] }): string =>
  `{"stream":${labelsJson(labels)},"values":[${values.join(',')}]}`

function streamFor(
  streams: Map<string, { labels: Labels; values: string[] }>,
  entry: Entry,
  categorized: boolean,
): { labels: Labels; values: string[] } {
  const labels = categorized ? entry.labels.stream : mergedLabels(entry.labels)
  const key = labelsKey(labels)
  const found = streams.get(key) ?? { labels, values: [] }
  streams.set(key, found)
  return found
}

function entryJson({ time, line, labels }: Entry, categorized: boolean): string {
  const pair = `"${time}",${JSON.stringify(line)}`
  if (!categorized) return `[${pair}]`
  const parts = [
    ...(labels.metadata.size === 0 ? [] : [`"structuredMetadata":${labelsJson(labels.metadata)}`]),
    ...(labels.parsed.size === 0 ? [] : [`"parsed":${labelsJson(labels.parsed)}`]),
  ]
  return `[${pair},{${parts.join(',')}}]`
}

export const successJson = (data: string, stats: string): string =>
  `{"status":"success","data":{${data},"stats":${stats}}}`
