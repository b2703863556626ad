/** Pure: how a request becomes statements of the engine. */

/** Settings a request may give. Everything else is refused, so that a new one is a decision made here. */
const allowedSettings = new Set([
  'max_execution_time',
  'timeout_overflow_mode',
  'max_threads',
  'max_block_size',
  'preferred_block_size_bytes',
  'max_memory_usage',
  'max_result_rows',
  'max_result_bytes',
  'result_overflow_mode',
  'max_rows_to_read',
  'max_bytes_to_read',
  'read_overflow_mode',
  'readonly',
  'optimize_read_in_order',
  'optimize_aggregation_in_order',
  'max_bytes_before_external_group_by',
  'max_bytes_before_external_sort',
  'query_plan_optimize_lazy_materialization',
  'query_plan_max_limit_for_lazy_materialization',
  'use_skip_indexes',
  'insert_deduplicate',
  'materialize_skip_indexes_on_insert',
  'insert_deduplication_token',
  'insert_distributed_sync',
  'insert_quorum',
  'insert_quorum_parallel',
  'insert_shard_id',
  'distributed_product_mode',
  'select_sequential_consistency',
  'deduplicate_blocks_in_dependent_materialized_views',
  'mutations_sync',
  'alter_sync',
  'async_insert',
  'max_insert_threads',
  'max_partitions_per_insert_block',
  'date_time_input_format',
  'date_time_output_format',
  'output_format_json_quote_64bit_integers',
  'output_format_json_quote_denormals',
  'output_format_json_quote_decimals',
  'output_format_json_named_tuples_as_objects',
  'output_format_json_validate_utf8',
  'short_circuit_function_evaluation',
  'join_use_nulls',
  'aggregate_functions_null_for_empty',
  'group_by_use_nulls',
  'regexp_max_matches_per_row',
])

export function isAllowedSetting(name: string): boolean {
  return allowedSettings.has(name)
}

/** A string literal of the engine. Backslash and quote are all that can end or escape within one. */
export function quoteLiteral(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`
}

/** `` `name` ``, for names of databases. */
export function quoteIdentifier(name: string): string {
  return `\`${name.replace(/[\\`]/g, '\\$&')}\``
}

/** One SET statement; '' when nothing is to change. A value of undefined means the engine's default. */
export function setStatement(changes: ReadonlyMap<string, string | undefined>): string {
  const parts = [...changes].map(
    ([name, value]) => `${name} = ${value === undefined ? 'DEFAULT' : quoteLiteral(value)}`,
  )
  return parts.length === 0 ? '' : `SET ${parts.join(', ')}`
}

/** Names of the bound parameters a statement asks for, such as `{app:String}`. */
export function parameterNames(sql: string): Set<string> {
  return new Set([...sql.matchAll(/\{\s*([A-Za-z_]\w*)\s*:/g)].map((match) => match[1]!))
}

/** The format named at the statement's end; undefined when there is none. */
export function formatOf(sql: string): string | undefined {
  return /\bFORMAT\s+(\w+)\s*;?\s*$/i.exec(sql)?.[1]
}

export interface DataInsert {
  readonly table: string
  /** Column list in parentheses, as it stood in the statement; '' for all columns. */
  readonly columns: string
  readonly format: string
}

/** `INSERT INTO t (a, b) FORMAT Native`, whose rows come in the request's body. Undefined for every other statement. */
export function dataInsertOf(sql: string): DataInsert | undefined {
  const match = /^\s*INSERT\s+INTO\s+(\w+)\s*(\([\w\s,]*\))?\s+FORMAT\s+(\w+)\s*;?\s*$/i.exec(sql)
  return match === null ? undefined : { table: match[1]!, columns: match[2] ?? '', format: match[3]! }
}

/** The same insert reading its rows from a file: inline data ends at a blank line and what follows it would run as SQL. */
export function insertFromFile(insert: DataInsert, path: string): string {
  const { table, columns, format } = insert
  return `INSERT INTO ${table} ${columns} SELECT * FROM file(${quoteLiteral(path)}, ${quoteLiteral(format)})`
}

/** Formats whose rows stand by themselves, so that a result can be sent while it is made. */
const streamed = new Set(['JSONEachRow', 'JSONCompactEachRow', 'JSONStringsEachRow', 'TabSeparated', 'RowBinary'])

export function isStreamable(format: string): boolean {
  return streamed.has(format)
}
