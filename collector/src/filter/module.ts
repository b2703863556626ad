/**
 * Types for filters of your own (docs/filters.md), which are TypeScript or JavaScript files with a function as their default export:
 *
 * ```ts
 * import type { FilterModule } from '@tributary/collector/filter/module.ts'
 *
 * const filter: FilterModule = (record) => {
 *   if (record.line.startsWith('#')) return null
 *   return { ...record, attributes: { ...record.attributes, length: String(record.line.length) } }
 * }
 * export default filter
 * ```
 */

/** One record, the function's to change. */
export interface ModuleRecord {
  /** Bytes that are not UTF-8 are U+FFFD in it; they stay what they are unless the line is changed. */
  line: string
  /** The record's own structured metadata, such as what a parser found. */
  attributes: Record<string, string>
  readonly stream: 'stdout' | 'stderr'
  /** When it was written, nanoseconds since 1970. */
  readonly time: bigint
  /** Position in the log file, bytes. */
  readonly offset: number
}

/** What all records of a log share. */
export interface ModuleStream {
  readonly labels: Readonly<Record<string, string>>
  readonly metadata: Readonly<Record<string, string>>
}

/**
 * Called for each record, and waited for: it must be quick, and no promise. Returns the record, changed or not, or null to drop it.
 * A record that it throws at is kept as it was.
 */
export type FilterModule = (record: ModuleRecord, stream: ModuleStream) => ModuleRecord | null
