/** What makes the schema, in order. What was released is never changed: what is wrong gets a new migration. */
import type { Dialect, TableDefinition } from './dialect.ts'
import { longestWordSql } from './longest-word.ts'
import { addVolume, countVolume } from './volume.ts'

export interface Migration {
  readonly version: number
  readonly name: string
  /** Each statement can be repeated: a start may be cut short between any two of them. */
  readonly statements: (dialect: Dialect) => readonly string[]
}

/** The bucket is toStartOfFiveMinutes: the engine does not recognise toStartOfInterval(…) in a condition and reads ten times as much. */
export const logsTable: TableDefinition = {
  name: 'logs',
  columns: `
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
  INDEX line_tokens line TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 1`,
  engine: 'MergeTree',
  clauses: `PARTITION BY toDate(ts)
ORDER BY (tenant, toStartOfFiveMinutes(ts), namespace, app, pod, container, ts)`,
  placement: 'sharded',
  deduplicated: true,
}

export const streamsTable: TableDefinition = {
  name: 'streams',
  columns: `
  tenant LowCardinality(String),
  day Date,
  sid UInt64,
  labels SimpleAggregateFunction(anyLast, Map(String, String)) CODEC(ZSTD(1)),
  first_ts SimpleAggregateFunction(min, DateTime64(9, 'UTC')),
  last_ts SimpleAggregateFunction(max, DateTime64(9, 'UTC')),
  entries SimpleAggregateFunction(sum, UInt64),
  bytes SimpleAggregateFunction(sum, UInt64)`,
  engine: 'AggregatingMergeTree',
  clauses: `PARTITION BY day
ORDER BY (tenant, day, sid)`,
  placement: 'sharded',
  deduplicated: true,
}

/** How many rows of which source were dropped, so that an audit doesn't miss them. See retention/expired-rows.ts. */
export const expiredTable: TableDefinition = {
  name: 'expired',
  columns: `
  day Date,
  generation UInt64,
  source FixedString(16),
  rows UInt64,
  recorded Date DEFAULT today()`,
  engine: 'ReplacingMergeTree',
  clauses: `ORDER BY (day, generation, source)
TTL recorded + INTERVAL 90 DAY`,
  placement: 'everywhere',
  deduplicated: true,
}

/** The log of the ledger that aggregators share (docs/formats/shared-ledger.md). What is written first into a place counts. */
export const ledgerLogTable: TableDefinition = {
  name: 'ledger_log',
  columns: `
  seq UInt64,
  entry String,
  writer String,
  body String CODEC(ZSTD(1)),
  written DateTime64(9, 'UTC') DEFAULT now64(9)`,
  engine: 'MergeTree',
  clauses: `PARTITION BY intDiv(seq, 1000)
ORDER BY seq`,
  placement: 'everywhere',
  deduplicated: true,
}

/** What the log said up to an entry. */
export const ledgerSnapshotsTable: TableDefinition = {
  name: 'ledger_snapshots',
  columns: `
  up_to UInt64,
  number UInt64,
  line String CODEC(ZSTD(1))`,
  engine: 'MergeTree',
  clauses: `PARTITION BY up_to
ORDER BY (up_to, number)`,
  placement: 'everywhere',
  deduplicated: true,
}

/** Which migrations were done. As version 0: what tells the store from every other (identity.ts). */
export const versionsTable: TableDefinition = {
  name: 'schema_migrations',
  columns: `
  version UInt32,
  name String,
  applied_at DateTime('UTC') DEFAULT now()`,
  engine: 'MergeTree',
  clauses: 'ORDER BY version',
  placement: 'everywhere',
  deduplicated: true,
}

/** Why rows were dropped: for retention where there is nothing else. */
const expiredReason = "ADD COLUMN IF NOT EXISTS reason LowCardinality(String) DEFAULT 'retention'"

/** Deletions of single rows, from before the first row is counted. See retention/row-expiry.ts. */
export const deletionsTable: TableDefinition = {
  name: 'deletions',
  columns: `
  day Date,
  number UInt64,
  cutoffs String,
  done UInt8,
  recorded Date DEFAULT today()`,
  engine: 'ReplacingMergeTree(done)',
  clauses: `ORDER BY (day, number)
TTL recorded + INTERVAL 90 DAY`,
  placement: 'everywhere',
  deduplicated: true,
}

/** Which aggregator's turn it is to drop what is too old. See retention/turn.ts. */
export const sweepsTable: TableDefinition = {
  name: 'sweeps',
  columns: `
  turn UInt64,
  aggregator String,
  taken DateTime64(9) DEFAULT now64(9)`,
  engine: 'MergeTree',
  clauses: `ORDER BY turn
TTL toDateTime(taken) + INTERVAL 7 DAY`,
  placement: 'everywhere',
  deduplicated: true,
}

/** By it a search for an id leaves out lines that the token index says nothing of (logql/needles.ts). */
const longestWordColumn = `ADD COLUMN IF NOT EXISTS longest_word UInt16 DEFAULT ${longestWordSql} CODEC(ZSTD(1))`

/** Where it is no more than an id, a search asks for that one word (logql/needles.ts). 65,535 is not known: rows from before the column. */
const longestWordOfStream = 'ADD COLUMN IF NOT EXISTS longest_word SimpleAggregateFunction(max, UInt16) DEFAULT 65535'

export const migrations: readonly Migration[] = [
  {
    version: 1,
    name: 'logs and streams',
    statements: (dialect) => [...dialect.createTable(logsTable), ...dialect.createTable(streamsTable)],
  },
  { version: 2, name: 'expired rows', statements: (dialect) => dialect.createTable(expiredTable) },
  {
    version: 3,
    name: 'deletions of rows',
    statements: (dialect) => [
      ...dialect.alterColumns(expiredTable, expiredReason),
      ...dialect.createTable(deletionsTable),
      ...dialect.createTable(sweepsTable),
    ],
  },
  {
    version: 4,
    name: 'shared ledger',
    statements: (dialect) => [...dialect.createTable(ledgerLogTable), ...dialect.createTable(ledgerSnapshotsTable)],
  },
  {
    version: 5,
    name: 'longest words',
    statements: (dialect) => [
      ...dialect.alterColumns(logsTable, longestWordColumn),
      dialect.alterParts(logsTable, 'ADD INDEX IF NOT EXISTS longest_words longest_word TYPE minmax GRANULARITY 1'),
    ],
  },
  {
    version: 6,
    name: 'volume by minute',
    // What is there already is counted in the background: see backfill.ts.
    statements: (dialect) => [...addVolume, countVolume].map((change) => dialect.alterParts(logsTable, change)),
  },
  {
    version: 7,
    name: 'tenants compressed',
    // Whatever the engine compresses columns with that name no codec: large parts of the embedded one with nothing (engine-config.ts).
    statements: (dialect) => [
      dialect.alterParts(logsTable, 'MODIFY COLUMN tenant LowCardinality(String) CODEC(ZSTD(1))'),
    ],
  },
  {
    version: 8,
    name: 'longest words of streams',
    statements: (dialect) => dialect.alterColumns(streamsTable, longestWordOfStream),
  },
]
