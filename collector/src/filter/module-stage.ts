import type { StreamMetadata } from '@tributary/protocol/chunk.ts'
import { stderr } from '@tributary/protocol/records.ts'
import type { FilterModule, ModuleRecord } from './module.ts'
import { type RecordView, reservedAttributes } from './record-view.ts'
import type { Stage } from './stage.ts'
import type { Tally } from './tally.ts'

/** Attributes of one record, and bytes of its line: a record must fit into a chunk whatever a module makes of it. */
const maxAttributes = 64
const maxBytes = 1024 * 1024

/** Asks a module about each record. */
export function moduleStage(name: string, filter: FilterModule, stream: StreamMetadata, tally: Tally): Stage {
  const shared = { labels: Object.freeze({ ...stream.labels }), metadata: Object.freeze({ ...stream.metadata }) }
  return {
    name,
    apply(record) {
      const given = recordOf(record)
      try {
        const { line, attributes } = given
        const before = { line, attributes: { ...attributes } }
        const result = filter(given, shared)
        if (result === null) return 'dropped'
        take(record, before, check(result))
      } catch (error) {
        tally.moduleErrors++
        tally.moduleError = `${name}: ${error instanceof Error ? error.message : String(error)}`
      }
      return undefined
    },
  }
}

function recordOf(record: RecordView): ModuleRecord {
  return {
    line: record.bytes.toString('utf8', record.lineStart, record.lineEnd),
    attributes: Object.fromEntries(record.attributes),
    stream: record.stream === stderr ? 'stderr' : 'stdout',
    time: BigInt(record.seconds) * 1_000_000_000n + BigInt(record.nanoseconds),
    offset: record.offset,
  }
}

type Content = Pick<ModuleRecord, 'line' | 'attributes'>

/** Throws what is wrong with what a module returned. */
function check(result: unknown): Content {
  if (typeof result !== 'object' || result === null || result instanceof Promise)
    throw new Error('a filter returns the record or null, and no promise')
  const { line, attributes } = result as Partial<Content>
  if (typeof line !== 'string') throw new Error('the record that was returned has no line')
  if (typeof attributes !== 'object' || attributes === null)
    throw new Error('the record that was returned has no attributes')
  const entries = Object.entries(attributes)
  if (entries.length > maxAttributes) throw new Error(`a record has ${maxAttributes} attributes at most`)
  let bytes = line.length
  for (const [name, value] of entries) {
    if (typeof value !== 'string') throw new Error(`the attribute ${name} is not a string`)
    if (name === '' || reservedAttributes.has(name)) throw new Error(`no attribute may have the name "${name}"`)
    bytes += name.length + value.length
  }
  if (bytes > maxBytes) throw new Error(`a record has ${maxBytes} characters at most`)
  return { line, attributes }
}

function take(record: RecordView, before: Content, after: Content): void {
  if (after.line !== before.line) {
    const bytes = Buffer.from(after.line)
    record.replaceLine(bytes, 0, bytes.length)
  }
  const names = Object.keys(after.attributes)
  for (const name of Object.keys(before.attributes))
    if (!Object.hasOwn(after.attributes, name)) record.removeAttribute(name)
  for (const name of names) {
    const value = after.attributes[name]!
    if (before.attributes[name] !== value) record.setAttribute(name, value)
  }
}
