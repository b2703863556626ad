/** The one way to the store, whichever engine it is: `@clickhouse/client` with our errors, limits and formats. */
import { addAbortSignal, Readable } from 'node:stream'
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client'
import type { StoreConnection } from './connection.ts'
import { Dialect } from './dialect.ts'
import { Endpoints, type StoreLog } from './endpoints.ts'
import { spooledParameter } from './engine/spool.ts'
import { StoreError, storeErrorFrom } from './error.ts'
import { untilException } from './exception-block.ts'
import { Patience } from './patience.ts'
import { type RefusedSetting, refusedSetting } from './refused-setting.ts'
import { withSpooled } from './spooled-rows.ts'

export interface QueryOptions {
  readonly signal?: AbortSignal
  /** The store gives up after this time. */
  readonly maxExecutionSeconds?: number
  /** Further settings of ClickHouse. The embedded engine takes those that engine/statement.ts lists. */
  readonly settings?: ClickHouseSettings
}

export interface InsertOptions extends QueryOptions {
  /** Which shard of a cluster takes the rows, from 1. The same each time that a token is used. */
  readonly shard?: number | undefined
}

/** Values for `{name:Type}` in the SQL. They are bound by the store and never become part of the statement's text. */
export type QueryParameters = Readonly<Record<string, unknown>>

export interface QueryResult<T> {
  readonly rows: T[]
  readonly readRows: number
  readonly readBytes: number
  readonly elapsedSeconds: number
}

/** How long it is believed how many shards there are, milliseconds. */
const shardsKept = 60_000
/** How long an answer to a ping may take, milliseconds. */
const pingPatience = 30_000

export class StoreClient {
  readonly connection: StoreConnection
  readonly dialect: Dialect
  readonly #endpoints: Endpoints
  readonly #insertPatience: Patience
  readonly #log: StoreLog | undefined
  readonly #revision: Int32Array | undefined
  #shards = 0
  #shardsUntil = 0
  #shard = 0
  /** Settings that the store does not take and that are left out. */
  readonly #refused = new Set<string>()

  constructor(connection: StoreConnection, log?: StoreLog) {
    this.connection = connection
    this.dialect = new Dialect(connection)
    this.#endpoints = new Endpoints(connection, log)
    this.#insertPatience = new Patience(connection.insertTimeout)
    this.#log = log
    this.#revision = connection.revision && new Int32Array(connection.revision)
  }

  /** Grows before anybody is told that something was written, whichever thread wrote it; undefined where others may write unseen. */
  get revision(): number | undefined {
    return this.#revision && Atomics.load(this.#revision, 0)
  }

  /** Whatever became of it: a statement that failed may have written. */
  async #written(statement: Promise<void>): Promise<void> {
    try {
      await statement
    } finally {
      if (this.#revision) Atomics.add(this.#revision, 0, 1)
    }
  }

  /** How many addresses there are, and how many of them worked the last time. */
  get endpoints(): { readonly count: number; readonly healthy: number } {
    return this.#endpoints
  }

  /** A shard of the cluster for the rows of one token, from 1, all in turn; undefined where there is no cluster. Throws {@link StoreError}. */
  async pickShard(): Promise<number | undefined> {
    const { cluster } = this.connection
    if (cluster === undefined) return undefined
    const now = performance.now()
    if (now >= this.#shardsUntil) {
      const { rows } = await this.query<{ shards: number }>(
        'SELECT max(shard_num) AS shards FROM system.clusters WHERE cluster = {cluster:String}',
        { cluster },
      )
      this.#shards = rows[0]?.shards ?? 0
      this.#shardsUntil = now + shardsKept
    }
    if (this.#shards === 0) {
      throw new StoreError(
        'rejected',
        `the server knows no cluster ${cluster}: name one of its remote_servers in store.clickhouse.cluster`,
      )
    }
    this.#shard = (this.#shard % this.#shards) + 1
    return this.#shard
  }

  /** Each address has to show that it is this store before it is used ({@link migrate} says what that is). */
  trust(identity: string): void {
    this.#endpoints.trust(identity)
  }

  /** Resolves when the store answers; throws {@link StoreError} otherwise. */
  async ping(): Promise<void> {
    await this.#endpoints.run(undefined, async (client) => {
      const result = await client.ping({ select: false, abort_signal: AbortSignal.timeout(pingPatience) })
      if (!result.success) throw storeErrorFrom(result.error, false)
    })
  }

  /**
   * All rows of a SELECT as objects. 64-bit integers come as strings, so that nanoseconds stay exact: select
   * `toUnixTimestamp64Nano(ts)` for a time. Throws {@link StoreError}.
   */
  query<T>(sql: string, parameters: QueryParameters = {}, options: QueryOptions = {}): Promise<QueryResult<T>> {
    return this.#ask(options, { wait_end_of_query: 1 }, async (client, settings) => {
      const result = await client.query({
        query: sql,
        query_params: parameters,
        format: 'JSON',
        clickhouse_settings: settings,
        ...(options.signal === undefined ? {} : { abort_signal: options.signal }),
      })
      const { data, statistics } = await result.json<T>()
      return {
        rows: data,
        readRows: statistics?.rows_read ?? 0,
        readBytes: statistics?.bytes_read ?? 0,
        elapsedSeconds: statistics?.elapsed ?? 0,
      }
    })
  }

  /** The rows of a SELECT in batches as the store makes them. Leaving the loop ends the query. Throws {@link StoreError}. */
  async *queryStream<T>(
    sql: string,
    parameters: QueryParameters = {},
    options: QueryOptions = {},
  ): AsyncGenerator<T[], void, undefined> {
    const { signal } = options
    try {
      using result = await this.#ask(options, {}, (client, settings) =>
        client.query({
          query: sql,
          query_params: parameters,
          format: 'JSONEachRow',
          clickhouse_settings: settings,
          ...(signal === undefined ? {} : { abort_signal: signal }),
        }),
      )
      for await (const rows of result.stream()) {
        signal?.throwIfAborted()
        yield JSON.parse(`[${rows.map(({ text }) => text).join(',')}]`) as T[]
      }
    } catch (error) {
      throw storeErrorFrom(error, signal?.aborted ?? false)
    }
  }

  /**
   * The rows of a SELECT in a binary format, in pieces as the store makes them; a piece can end anywhere. Leaving the loop ends the
   * query. Throws {@link StoreError}, also when the result broke off.
   *
   * @param format a name of ours, such as `RowBinary`
   */
  async *queryBytes(
    sql: string,
    parameters: QueryParameters = {},
    options: QueryOptions = {},
    format = 'RowBinary',
  ): AsyncGenerator<Buffer, void, undefined> {
    const { signal } = options
    const own = new AbortController()
    const cancel = () => own.abort(signal?.reason)
    signal?.addEventListener('abort', cancel, { once: true })
    try {
      const { stream, response_headers } = await this.#ask({ ...options, signal: own.signal }, {}, (client, settings) =>
        client.exec({
          query: `${sql}\nFORMAT ${format}`,
          query_params: parameters,
          clickhouse_settings: settings,
          abort_signal: own.signal,
          decompress_response_stream: true,
        }),
      )
      // The client forgets the signal once the response has begun.
      addAbortSignal(own.signal, stream)
      yield* untilException(stream, String(response_headers['x-clickhouse-exception-tag'] ?? ''))
    } catch (error) {
      throw storeErrorFrom(error, signal?.aborted ?? false)
    } finally {
      signal?.removeEventListener('abort', cancel)
      own.abort()
    }
  }

  /** A statement without rows: DDL. */
  command(sql: string, parameters: QueryParameters = {}, options: QueryOptions = {}): Promise<void> {
    const done = this.#ask(options, {}, async (client, settings) => {
      await client.command({
        query: sql,
        query_params: parameters,
        clickhouse_settings: settings,
        ...(options.signal === undefined ? {} : { abort_signal: options.signal }),
      })
    })
    return this.#written(done)
  }

  /**
   * Inserts blocks of ClickHouse's Native format (native.ts). Resolves when they are durable. The same token again inserts
   * nothing, so after any error with `retryable` the same call is safe. Throws {@link StoreError}.
   *
   * @param table and columns are names of ours, never from a request
   */
  insertNative(
    table: string,
    columns: readonly string[],
    body: Buffer | readonly Buffer[],
    token: string,
    options: InsertOptions = {},
  ): Promise<void> {
    const { insertQuorum } = this.connection
    const own = {
      ...insertSettings,
      ...this.dialect.insertSettings(options.shard),
      ...(insertQuorum === undefined || insertQuorum === 0 ? {} : { insert_quorum: String(insertQuorum) }),
      insert_deduplication_token: token,
    }
    const parts: readonly Buffer[] = Array.isArray(body) ? body : [body as Buffer]
    const { spool } = this.connection
    if (spool === undefined || this.connection.engine !== 'embedded')
      return this.#insert(table, columns, parts, own, options)
    return withSpooled(spool, parts, (name) =>
      this.#insert(table, columns, [], { ...own, [spooledParameter]: name }, options),
    )
  }

  #insert(
    table: string,
    columns: readonly string[],
    parts: readonly Buffer[],
    own: ClickHouseSettings,
    options: InsertOptions,
  ): Promise<void> {
    const done = this.#ask(options, own, (client, settings) =>
      this.#insertPatience.run(options.signal, async (signal) => {
        const { stream } = await client.exec({
          query: `INSERT INTO ${table} (${columns.join(', ')}) FORMAT Native`,
          values: Readable.from(parts),
          clickhouse_settings: settings,
          ...(signal === undefined ? {} : { abort_signal: signal }),
        })
        for await (const _ of stream) {
          // An insert answers nothing; the connection is free once that has been read.
        }
      }),
    )
    return this.#written(done)
  }

  async close(): Promise<void> {
    await this.#endpoints.close()
  }

  /** Asks the store, where it works, and without the settings that it does not take and that can be left out. */
  async #ask<T>(
    { signal, maxExecutionSeconds, settings }: QueryOptions,
    own: ClickHouseSettings,
    work: (client: ClickHouseClient, settings: ClickHouseSettings) => Promise<T>,
  ): Promise<T> {
    const wanted: ClickHouseSettings = {
      output_format_json_quote_64bit_integers: 1,
      ...this.dialect.settings,
      ...(maxExecutionSeconds === undefined ? {} : { max_execution_time: maxExecutionSeconds }),
      ...settings,
      ...own,
    }
    const without = new Set(this.#refused)
    for (;;) {
      const given = Object.fromEntries(Object.entries(wanted).filter(([name]) => !without.has(name)))
      try {
        return await this.#endpoints.run(signal, (client) => work(client, given))
      } catch (error) {
        const refused = error instanceof StoreError ? refusedSetting(error, given) : undefined
        if (refused === undefined) throw error
        without.add(this.#leaveOut(refused.name, refused, error as StoreError))
      }
    }
  }

  /** Throws where it can't be left out. */
  #leaveOut(name: string, { required, always }: RefusedSetting, error: StoreError): string {
    if (required) {
      const message = `the store does not let its user give the setting ${name}, which keeps rows right: ${error.message}`
      throw new StoreError('rejected', message, error.clickhouseCode, { cause: error })
    }
    if (always && !this.#refused.has(name)) {
      this.#refused.add(name)
      this.#log?.warn({ setting: name, detail: error.message }, 'the store does not take a setting; it is left out')
    }
    return name
  }
}

/** A repeated insert must be cut into the same parts, and a block may hold any number of days. */
const insertSettings: ClickHouseSettings = {
  async_insert: 0,
  insert_deduplicate: 1,
  max_insert_threads: '1',
  max_partitions_per_insert_block: '0',
}
