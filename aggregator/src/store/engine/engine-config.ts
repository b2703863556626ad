/** The engine's configuration file. Its own defaults are unsafe and greedy: they sync nothing and take 90 % of the memory. */
import type { Purpose } from './session-counts.ts'

/** A query may take this part of the engine's memory, so that inserts go on beside it. */
const queryShare = 0.6

/**
 * Compressed bytes of a part from which the engine compresses nothing by itself. The columns of `logs` name their codec, so what is left is the token
 * index: bits without much order, of which LZ4 saves a fifth, a fortieth of the part. Where an eighth of the rows had it, taking it apart was a fifth
 * of a search. The rollup of volume is counted by itself, and is to stay compressed: it is as large only where one part has
 * some ten million minutes of streams.
 */
const uncompressedFrom = 32_000_000

/**
 * Server configuration, XML, as `--config-file` reads it. `memoryBytes` is what all of the engine may take, `more` further elements.
 *
 * Parts are merged column by column (vertically) whatever their rows: the other way, the default below 131,072 rows, puts each value of ten dictionaries
 * into its place by itself, and was measured to take twice the CPU time.
 */
export function engineConfig(memoryBytes: number, more = ''): string {
  return `<clickhouse>
  <logger><level>none</level><console>0</console></logger>
  <max_server_memory_usage>${Math.round(memoryBytes)}</max_server_memory_usage>
  <mark_cache_size>33554432</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <index_mark_cache_size>16777216</index_mark_cache_size>
  <background_pool_size>2</background_pool_size>
  <merge_tree>
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>1</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    <number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation>
    <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>1</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
    <fsync_after_insert>1</fsync_after_insert>
    <fsync_part_directory>1</fsync_part_directory>
    <min_rows_to_fsync_after_merge>1</min_rows_to_fsync_after_merge>
    <min_compressed_bytes_to_fsync_after_merge>1</min_compressed_bytes_to_fsync_after_merge>
    <vertical_merge_algorithm_min_rows_to_activate>1</vertical_merge_algorithm_min_rows_to_activate>
    <max_suspicious_broken_parts>100000</max_suspicious_broken_parts>
    <max_suspicious_broken_parts_bytes>1099511627776</max_suspicious_broken_parts_bytes>
  </merge_tree>
  <compression>
    <case>
      <min_part_size>${uncompressedFrom}</min_part_size>
      <min_part_size_ratio>0</min_part_size_ratio>
      <method>none</method>
    </case>
  </compression>${more}
</clickhouse>
`
}

/**
 * A query gets a thread for so much of the engine's memory as is free, bytes: what a thread takes that reads all columns. The engine's own
 * default, 1 GiB, would leave an engine of this size with one thread for each query, whatever the cores.
 */
const memoryOfThread = 64 * 1024 * 1024

/** What every statement starts from. A setting that a request gives goes back to this when the request is done. */
export function baseSettings(memoryBytes: number, purpose: Purpose): ReadonlyMap<string, string> {
  return new Map([
    ['session_timezone', 'UTC'],
    ['log_queries', '0'],
    // Bound parameters are set by a statement, and a list of streams makes it long.
    ['max_query_size', String(64 * 1024 * 1024)],
    ['async_insert', '0'],
    // One thread, so that a repeated insert is cut into the same blocks, which the deduplication token numbers.
    ['max_insert_threads', '1'],
    // Records may carry any time: a block over a hundred days must not be refused.
    ['max_partitions_per_insert_block', '0'],
    ['max_threads_min_free_memory_per_thread', String(memoryOfThread)],
    ['max_memory_usage', purpose === 'query' ? String(Math.round(memoryBytes * queryShare)) : '0'],
  ])
}
