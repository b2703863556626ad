/** How results are printed. Pure. */
import type { Entry, QueryResult } from './api-client.ts'
import { formatNanoseconds } from './time.ts'

export const outputs = ['table', 'jsonl', 'raw'] as const
export type Output = (typeof outputs)[number]

/** One entry as one line of output, without its line feed. */
export function formatEntry({ timestamp, labels, line }: Entry, output: Output): string {
  if (output === 'raw') return line
  if (output === 'jsonl') return JSON.stringify({ timestamp: formatNanoseconds(timestamp), labels, line })
  const where = [labels['namespace'], labels['pod'] ?? labels['filename'], labels['container']]
    .filter(Boolean)
    .join('/')
  return `${formatNanoseconds(timestamp)}  ${where || JSON.stringify(labels)}  ${line}`
}

/** The samples of a metric, one per line. */
export function formatSamples(result: QueryResult, output: Output): string[] {
  return samplesOf(result).map(({ metric, time, value }) => {
    const timestamp = new Date(time * 1000).toISOString()
    if (output === 'jsonl') return JSON.stringify({ timestamp, metric, value })
    return output === 'raw' ? value : `${timestamp}  ${formatLabels(metric)}  ${value}`
  })
}

function samplesOf(result: QueryResult): { metric: Record<string, string>; time: number; value: string }[] {
  switch (result.resultType) {
    case 'matrix':
      return result.result.flatMap(({ metric, values }) => values.map(([time, value]) => ({ metric, time, value })))
    case 'vector':
      return result.result.map(({ metric, value: [time, value] }) => ({ metric, time, value }))
    case 'scalar':
      return [{ metric: {}, time: result.result[0], value: result.result[1] }]
    case 'streams':
      return []
  }
}

export function formatLabels(labels: Readonly<Record<string, string>>): string {
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(', ')}}`
}

/** Rows under a heading, columns as wide as they must be; columns of numbers to the right. */
export function formatTable(heading: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  const cells = rows.map((row) => row.map(String))
  const widths = heading.map((name, i) => Math.max(name.length, ...cells.map((row) => row[i]!.length)))
  const isNumber = heading.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === 'number'))
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (isNumber[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd()
  return [line(heading), ...cells.map(line)]
}
