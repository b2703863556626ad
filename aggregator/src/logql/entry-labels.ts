/** The labels of an entry by where they come from. */
import { type Labels, labelsFrom } from './labels.ts'
import { extractedSuffix } from './pipeline/working-entry.ts'
import { levelLabel } from './sql.ts'

export interface EntryLabels {
  readonly stream: Labels
  readonly metadata: Labels
  /** Found or made by stages, errors among them. Values can be empty. */
  readonly parsed: Labels
}

/** All of them in one set: what a metric's series is, and what clients see who do not ask for categories. */
export const mergedLabels = ({ stream, metadata, parsed }: EntryLabels): Labels =>
  new Map([...metadata, ...stream, ...parsed].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))

/** Structured metadata as queries see it: what a label of the stream hides is called `<name>_extracted`. */
export function metadataOf(stream: Labels, level: string, meta: Iterable<readonly [string, string]>): Labels {
  const entries: (readonly [string, string])[] = level === '' ? [] : [[levelLabel, level]]
  for (const pair of meta) if (pair[0] !== levelLabel) entries.push(pair)
  if (entries.length === 0) return noMetadata
  const own = entries.filter(([name]) => !stream.has(name))
  const taken = new Set(own.map(([name]) => name))
  for (const [name, value] of entries) {
    const shown = `${name}${extractedSuffix}`
    if (stream.has(name) && !stream.has(shown) && !taken.has(shown)) own.push([shown, value])
  }
  return labelsFrom(own)
}

const noMetadata: Labels = new Map()
