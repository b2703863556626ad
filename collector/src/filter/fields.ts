/**
 * `set`, `rename` and `remove`: structured metadata that all records of a log share is changed once; what records have of their own,
 * record by record.
 */
import type { RecordView } from './record-view.ts'
import type { Stage } from './stage.ts'

type Metadata = Readonly<Record<string, string>>

export interface FieldChange {
  readonly metadata: Metadata
  /** For records with attributes of their own. */
  apply(record: RecordView): void
}

export function setFields(metadata: Metadata, values: Metadata): FieldChange {
  const names = Object.keys(values)
  return {
    metadata: { ...metadata, ...values },
    apply: (record) => {
      for (const name of names) record.removeAttribute(name)
    },
  }
}

export function removeFields(metadata: Metadata, names: readonly string[]): FieldChange {
  const gone = new Set(names)
  return {
    metadata: Object.fromEntries(Object.entries(metadata).filter(([name]) => !gone.has(name))),
    apply: (record) => {
      for (const name of names) record.removeAttribute(name)
    },
  }
}

/** All are taken away before any is put anywhere: two names can be swapped. */
export function renameFields(metadata: Metadata, names: Metadata): FieldChange {
  const pairs = Object.entries(names)
  const shared = new Map(
    pairs.filter(([from]) => Object.hasOwn(metadata, from)).map(([from, to]) => [to, metadata[from]!]),
  )
  const { metadata: rest } = removeFields(metadata, Object.keys(names))
  return {
    metadata: { ...rest, ...Object.fromEntries(shared) },
    apply(record) {
      const own = pairs.map(([from]) => record.attribute(from))
      for (const [from] of pairs) record.removeAttribute(from)
      for (const [i, [, to]] of pairs.entries()) {
        const value = own[i]
        if (value !== undefined) record.setAttribute(to, value)
        // The record's own value would hide the one that was renamed to it.
        else if (shared.has(to)) record.removeAttribute(to)
      }
    },
  }
}

export function fieldStage(name: string, change: FieldChange): Stage {
  return {
    name,
    apply(record) {
      if (record.hasAttributes) change.apply(record)
      return undefined
    },
  }
}
