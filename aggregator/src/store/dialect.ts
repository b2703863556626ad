/**
 * Pure: how the statements of the schema look on the engine at hand. On one engine a table is a table. On the nodes of a cluster it
 * is replicated, and either spread over the shards behind a `Distributed` table of its name, or the same everywhere.
 *
 * Every name here is ours or the configuration's, never from a request.
 */
import type { ClickHouseSettings } from '@clickhouse/client'
import type { StoreEngine } from './connection.ts'
import { quoteIdentifier, quoteLiteral } from './engine/statement.ts'

export interface TableDefinition {
  readonly name: string
  /** Columns and indexes: what stands in the parentheses of CREATE TABLE. */
  readonly columns: string
  /** An engine of the MergeTree family, such as `MergeTree` or `ReplacingMergeTree(version)`. */
  readonly engine: string
  /** What follows the engine: PARTITION BY, ORDER BY, TTL. */
  readonly clauses: string
  /**
   * On a cluster. `sharded`: each node has its part in `<name>_local`, and `<name>` is all of them. `everywhere`: one small table that each
   * node has whole, for what must be read and written in one order.
   */
  readonly placement: 'sharded' | 'everywhere'
  /** Whether inserts are told apart by their token (`insert_deduplication_token`). */
  readonly deduplicated: boolean
}

/**
 * Inserts that are told apart by their token, per table. Only the last block can be inserted twice; the rest is room for blocks of
 * many days, as each day of a block counts.
 */
const deduplicationWindow = 10_000
/** Keeper forgets tokens by age too, by default within an hour in some versions. As long as the ledger remembers sources, seconds. */
const deduplicationSeconds = 30 * 86_400

/** What a power cut must not take: the engine's defaults sync nothing. They stand with the table for servers that aren't ours. */
const durable = [
  'fsync_after_insert = 1',
  'fsync_part_directory = 1',
  'min_rows_to_fsync_after_merge = 1',
  'min_compressed_bytes_to_fsync_after_merge = 1',
]

export interface DialectOptions {
  readonly engine: StoreEngine
  readonly database: string
  /** Name of a cluster in the server's `remote_servers`; undefined for one server. */
  readonly cluster?: string | undefined
  /** Storage policy of the server for the table with the lines, where it is made; undefined: the server's default. */
  readonly storagePolicy?: string | undefined
}

export class Dialect {
  readonly engine: StoreEngine
  readonly database: string
  readonly cluster: string | undefined
  readonly #storagePolicy: string | undefined

  constructor({ engine, database, cluster, storagePolicy }: DialectOptions) {
    this.engine = engine
    this.database = database
    this.cluster = cluster
    this.#storagePolicy = storagePolicy
  }

  /** `ON CLUSTER …` with a space before it, or nothing. */
  get onCluster(): string {
    return this.cluster === undefined ? '' : ` ON CLUSTER ${quoteIdentifier(this.cluster)}`
  }

  createDatabase(): string {
    return `CREATE DATABASE IF NOT EXISTS ${quoteIdentifier(this.database)}${this.onCluster}`
  }

  /** Drops the database and all that is in it, in Keeper too. */
  dropDatabase(): string {
    return `DROP DATABASE IF EXISTS ${quoteIdentifier(this.database)}${this.onCluster} SYNC`
  }

  /** The statements that make a table; they can be repeated. */
  createTable(table: TableDefinition): string[] {
    const { name, columns, clauses, placement } = table
    const parts = this.partsOf(name, placement)
    const create = `CREATE TABLE IF NOT EXISTS ${parts}${this.onCluster} (
  ${columns.trim()}
)
ENGINE = ${this.#engineOf(table)}
${clauses}
SETTINGS ${this.#settingsOf(table).join(', ')}`
    if (this.cluster === undefined || placement === 'everywhere') return [create]
    const place = [this.cluster, this.database, parts].map(quoteLiteral).join(', ')
    return [
      create,
      `CREATE TABLE IF NOT EXISTS ${name}${this.onCluster} AS ${parts} ENGINE = Distributed(${place}, rand())`,
    ]
  }

  /** The statements that change a table's columns, such as `ADD COLUMN IF NOT EXISTS n UInt8`. */
  alterColumns({ name, placement }: Pick<TableDefinition, 'name' | 'placement'>, change: string): string[] {
    const tables = new Set([this.partsOf(name, placement), name])
    return [...tables].map((table) => `ALTER TABLE ${table}${this.onCluster} ${change}`)
  }

  /** The statement that changes what a table stores and how: its partitions, TTL, indexes, settings, rows. */
  alterParts({ name, placement }: Pick<TableDefinition, 'name' | 'placement'>, change: string): string {
    return `ALTER TABLE ${this.partsOf(name, placement)}${this.onCluster} ${change}`
  }

  /** The table whose parts hold the rows: not the one to read from or insert into where a table is sharded. */
  partsOf(name: string, placement: TableDefinition['placement']): string {
    return this.cluster !== undefined && placement === 'sharded' ? `${name}_local` : name
  }

  /** A table of `system` over one replica of each shard, such as `parts`. */
  system(table: string): string {
    return this.cluster === undefined ? `system.${table}` : `cluster(${quoteLiteral(this.cluster)}, system.${table})`
  }

  /** The number of the shard that a row of a sharded or {@link system} table is on; 0 on one server. */
  get shardNumber(): string {
    return this.cluster === undefined ? '0' : '_shard_num'
  }

  /** A table of `system` over every node. */
  systemOfAll(table: string): string {
    return this.cluster === undefined
      ? `system.${table}`
      : `clusterAllReplicas(${quoteLiteral(this.cluster)}, system.${table})`
  }

  /** For inserts that every later {@link consistentRead} of any node must see. */
  get consistentInsert(): ClickHouseSettings {
    // Sequential reads know of inserts only where those don't overlap.
    return this.cluster === undefined ? {} : { insert_quorum: 'auto', insert_quorum_parallel: 0 }
  }

  /** For reads that must see every {@link consistentInsert} before them, whichever node it went to. */
  get consistentRead(): ClickHouseSettings {
    return this.cluster === undefined ? {} : { select_sequential_consistency: '1' }
  }

  /** What goes with every statement. */
  get settings(): ClickHouseSettings {
    // A subquery on a sharded table is asked once and its result sent to the shards; the default refuses it.
    return this.cluster === undefined ? {} : { distributed_product_mode: 'global' }
  }

  /** What goes with an insert. All its rows go to one shard, at once: what it adds to a day is there or not. */
  insertSettings(shard = 1): ClickHouseSettings {
    if (this.cluster === undefined) return {}
    return { insert_distributed_sync: 1, insert_shard_id: String(shard) }
  }

  #engineOf({ name, engine, placement }: TableDefinition): string {
    if (this.cluster === undefined) return engine
    const [, kind, rest] = /^(\w+)(?:\((.*)\))?$/.exec(engine)!
    // Paths are written out: with {uuid} a node that joins the cluster later would make a table of its own. Where each node has all
    // of a table, shards may number their replicas alike.
    const path = `/clickhouse/tributary/${this.database}/${name}`
    const place = placement === 'sharded' ? [`${path}/{shard}`, '{replica}'] : [path, '{shard}-{replica}']
    return `Replicated${kind}(${[...place.map(quoteLiteral), ...(rest === undefined ? [] : [rest])].join(', ')})`
  }

  #settingsOf(table: TableDefinition): string[] {
    const kept = this.#storagePolicy !== undefined && table.name === 'logs'
    return [
      ...this.#windowsOf(table),
      ...durable,
      ...(kept ? [`storage_policy = ${quoteLiteral(this.#storagePolicy!)}`] : []),
    ]
  }

  #windowsOf({ deduplicated }: TableDefinition): string[] {
    if (!deduplicated) return []
    const windows = [`non_replicated_deduplication_window = ${deduplicationWindow}`]
    if (this.cluster !== undefined) {
      windows.push(
        `replicated_deduplication_window = ${deduplicationWindow}`,
        `replicated_deduplication_window_seconds = ${deduplicationSeconds}`,
      )
    }
    return windows
  }
}
