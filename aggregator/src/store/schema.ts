/** The statements that make the schema, in order. A statement that was released is never changed: what is wrong gets a new one. */

export interface Migration {
  readonly version: number
  readonly name: string
  readonly statements: readonly string[]
}

/**
 * Inserts that are told apart by their token, per table. Only the last block can be inserted twice; the rest is room for blocks of
 * many days, as each day of a block counts.
 */
const deduplicationWindow = 10_000

/** What a power cut must not take: the engine's defaults sync nothing. They stand here too for servers that aren't ours. */
const durable = `
  non_replicated_deduplication_window = ${deduplicationWindow},
  fsync_after_insert = 1,
  fsync_part_directory = 1,
  min_rows_to_fsync_after_merge = 1,
  min_compressed_bytes_to_fsync_after_merge = 1`

/** The bucket is toStartOfFiveMinutes: the engine does not recognise toStartOfInterval(…) in a condition and reads ten times as much. */
const logs = `CREATE TABLE IF NOT EXISTS logs (
  tenant LowCardinality(String),
  ts DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
  sid UInt64 CODEC(ZSTD(1)),
  cluster LowCardinality(String) CODEC(ZSTD(1)),
  namespace LowCardinality(String) CODEC(ZSTD(1)),
  pod LowCardinality(String) CODEC(ZSTD(1)),
  container LowCardinality(String) CODEC(ZSTD(1)),
  node LowCardinality(String) CODEC(ZSTD(1)),
  app LowCardinality(String) CODEC(ZSTD(1)),
  service_name LowCardinality(String) CODEC(ZSTD(1)),
  stream LowCardinality(String) CODEC(ZSTD(1)),
  labels Map(LowCardinality(String), String) CODEC(ZSTD(1)),
  level LowCardinality(String) CODEC(ZSTD(1)),
  meta Map(LowCardinality(String), String) CODEC(ZSTD(1)),
  line String CODEC(ZSTD(1)),
  source FixedString(16) CODEC(ZSTD(1)),
  offset UInt64 CODEC(Delta, ZSTD(1)),
  INDEX line_tokens line TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (tenant, toStartOfFiveMinutes(ts), namespace, app, pod, container, ts)
SETTINGS ${durable}`

const streams = `CREATE TABLE IF NOT EXISTS streams (
  tenant LowCardinality(String),
  day Date,
  sid UInt64,
  labels SimpleAggregateFunction(anyLast, Map(String, String)) CODEC(ZSTD(1)),
  first_ts SimpleAggregateFunction(min, DateTime64(9, 'UTC')),
  last_ts SimpleAggregateFunction(max, DateTime64(9, 'UTC')),
  entries SimpleAggregateFunction(sum, UInt64),
  bytes SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY day
ORDER BY (tenant, day, sid)
SETTINGS ${durable}`

/** How many rows of which source retention has dropped, so that an audit doesn't miss them. See expired-rows.ts. */
const expired = `CREATE TABLE IF NOT EXISTS expired (
  day Date,
  generation UInt64,
  source FixedString(16),
  rows UInt64,
  recorded Date DEFAULT today()
)
ENGINE = ReplacingMergeTree
ORDER BY (day, generation, source)
TTL recorded + INTERVAL 90 DAY
SETTINGS ${durable}`

export const migrations: readonly Migration[] = [
  { version: 1, name: 'logs and streams', statements: [logs, streams] },
  { version: 2, name: 'expired rows', statements: [expired] },
]
