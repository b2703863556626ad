/** What other senders bring beyond the limits of their tenant: labels become structured metadata, so that nothing is lost. Pure. */
import type { Limits } from '../access/config.ts'
import { labelColumns } from '../store/row-stream.ts'
import type { Labels } from './labels.ts'

type LabelLimits = Pick<Limits, 'maxLabelNames' | 'maxLabelNameBytes' | 'maxLabelValueBytes'>

export interface Fitted {
  readonly labels: Labels
  readonly metadata: Readonly<Record<string, string>>
}

/** Labels that have a column of their own stay before others, and the others in the order of their names. */
export function fitLabels(labels: Labels, metadata: Fitted['metadata'], limits: LabelLimits): Fitted {
  const { maxLabelNames, maxLabelNameBytes, maxLabelValueBytes } = limits
  const names = Object.keys(labels).sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
  const kept: Record<string, string> = {}
  const moved: Record<string, string> = {}
  let count = 0
  for (const name of names) {
    const value = labels[name]!
    const fits =
      within(Buffer.byteLength(name), maxLabelNameBytes) &&
      within(Buffer.byteLength(value), maxLabelValueBytes) &&
      within(count + 1, maxLabelNames)
    if (fits) {
      kept[name] = value
      count++
    } else moved[name] = value
  }
  return count === names.length ? { labels, metadata } : { labels: kept, metadata: { ...moved, ...metadata } }
}

function rank(name: string): number {
  return labelColumns.some((column) => column === name) ? 0 : 1
}

function within(value: number, limit: number): boolean {
  return limit === 0 || value <= limit
}

/** Where a line of at most `max` bytes ends: not within a character of UTF-8. */
export function fitLine(line: Buffer, max: number): number {
  if (line.length <= max) return line.length
  let end = max
  // Back over the bytes that go on with a character, three at most.
  while (end > max - 3 && (line[end]! & 0xc0) === 0x80) end--
  return (line[end]! & 0xc0) === 0x80 ? max : end
}
