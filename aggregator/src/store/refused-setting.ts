/**
 * Pure: servers that aren't ours may refuse settings, because they are too old to know them, or forbid or limit their change. What only
 * makes things better is left out then; what keeps data right is not.
 */
import type { ClickHouseSettings } from '@clickhouse/client'
import type { StoreError } from './error.ts'

/** UNKNOWN_SETTING, and READONLY: a profile that allows no changes. */
const always = [115, 164]
/** SETTING_CONSTRAINT_VIOLATION: another value may be taken. */
const thisValue = 452

/** Without these rows would be doubled, torn, or numbers and answers wrong. */
const required = new Set([
  'async_insert',
  'distributed_product_mode',
  'insert_deduplicate',
  'insert_deduplication_token',
  'insert_distributed_sync',
  'insert_quorum',
  'insert_quorum_parallel',
  'insert_shard_id',
  'output_format_json_quote_64bit_integers',
  'select_sequential_consistency',
])

export interface RefusedSetting {
  readonly name: string
  readonly required: boolean
  /** Whatever its value. */
  readonly always: boolean
}

/** Which of the settings of a request an error refuses; undefined when it is about something else. */
export function refusedSetting(error: StoreError, settings: ClickHouseSettings): RefusedSetting | undefined {
  const code = error.clickhouseCode ?? 0
  if (code !== thisValue && !always.includes(code)) return undefined
  // The longest name first: one may be the beginning of another.
  const names = Object.keys(settings).sort((a, b) => b.length - a.length)
  const name = names.find((name) => new RegExp(`\\b${name}\\b`).test(error.message))
  return name === undefined ? undefined : { name, required: required.has(name), always: code !== thisValue }
}
