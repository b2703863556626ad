/** What rows of one stream and source share. */

/** Stream labels that have a column of their own. */
export const labelColumns = [
  'cluster',
  'namespace',
  'pod',
  'container',
  'node',
  'app',
  'service_name',
  'stream',
] as const
export type LabelColumn = (typeof labelColumns)[number]

/**
 * What is the same for a run of rows. Blocks remember the object itself: give the same one for the same stream, and don't change
 * it. A label that the stream does not have is ''.
 */
export interface RowStream extends Readonly<Record<LabelColumn, string>> {
  readonly tenant: string
  /** Hash of the stream's labels. */
  readonly sid: bigint
  /** Stream labels without a column of their own. */
  readonly labels: Readonly<Record<string, string>>
  /** Structured metadata but for `detected_level`. */
  readonly meta: Readonly<Record<string, string>>
  /** The source of the rows, 16 bytes. */
  readonly source: Buffer
}

/** Begins what stands for the source of rows that came from other senders: the ledger knows nothing of them. */
export const foreignPrefix = Buffer.alloc(6)
/** The condition on `source` that holds for rows of files only. */
export const ofFiles = `NOT startsWith(source, unhex('${foreignPrefix.toString('hex')}'))`

/** All labels of a stream, those with a column of their own too. */
export function allLabels(stream: RowStream): Record<string, string> {
  const labels: Record<string, string> = { ...stream.labels }
  for (const name of labelColumns) if (stream[name] !== '') labels[name] = stream[name]
  return labels
}
