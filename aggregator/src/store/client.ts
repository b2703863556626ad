/** The one way to the store, whichever engine it is: `@clickhouse/client` with our errors, limits and formats. */
import { Readable } from 'node:stream'
import { type ClickHouseClient, ClickHouseLogLevel, type ClickHouseSettings, createClient } from '@clickhouse/client'
import type { Logger } from '../log.ts'
import type { StoreConnection } from './connection.ts'
import { Dialect } from './dialect.ts'
import { type StoreError, storeErrorFrom } from './error.ts'

export interface QueryOptions {
  readonly signal?: AbortSignal
  /** The store gives up after this time. */
  readonly maxExecutionSeconds?: number
  /** Further settings of ClickHouse. The embedded engine takes those that engine/statement.ts lists. */
  readonly settings?: ClickHouseSettings
}

/** Values for `{name:Type}` in the SQL. They are bound by the store and never become part of the statement's text. */
export type QueryParameters = Readonly<Record<string, unknown>>

export interface QueryResult<T> {
  readonly rows: T[]
  readonly readRows: number
  readonly readBytes: number
  readonly elapsedSeconds: number
}

/** No answer at all for this long means that the connection is dead, milliseconds. Statements have limits of their own. */
const requestTimeout = 300_000

export class StoreClient {
  readonly connection: StoreConnection
  readonly dialect: Dialect
  readonly #client: ClickHouseClient
  readonly #log: Logger | undefined

  constructor(connection: StoreConnection, log?: Logger) {
    this.connection = connection
    this.dialect = new Dialect(connection)
    this.#log = log
    this.#client = createClient({
      url: connection.urls[0]!,
      username: connection.username,
      password: connection.password,
      database: connection.database,
      application: 'tributary',
      request_timeout: requestTimeout,
      max_open_connections: 32,
      // A list of many streams does not fit into a URL.
      use_multipart_params_auto: true,
      // Over a network the answers are worth compressing, over loopback they are not.
      compression: { response: connection.engine === 'clickhouse', request: false },
      keep_alive: { enabled: true, idle_socket_ttl: 2_500, eagerly_destroy_stale_sockets: true },
      log: { level: ClickHouseLogLevel.OFF },
    })
  }

  /** Resolves when the store answers; throws {@link StoreError} otherwise. */
  async ping(): Promise<void> {
    const result = await this.#client.ping()
    if (!result.success) throw storeErrorFrom(result.error, false)
  }

  /**
   * All rows of a SELECT as objects. 64-bit integers come as strings, so that nanoseconds stay exact: select
   * `toUnixTimestamp64Nano(ts)` for a time. Throws {@link StoreError}.
   */
  query<T>(sql: string, parameters: QueryParameters = {}, options: QueryOptions = {}): Promise<QueryResult<T>> {
    return this.#guard(options.signal, async () => {
      const result = await this.#client.query({
        query: sql,
        query_params: parameters,
        format: 'JSON',
        clickhouse_settings: { ...this.#settings(options), wait_end_of_query: 1 },
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
      using result = await this.#client.query({
        query: sql,
        query_params: parameters,
        format: 'JSONEachRow',
        clickhouse_settings: this.#settings(options),
        ...(signal === undefined ? {} : { abort_signal: signal }),
      })
      for await (const rows of result.stream()) {
        signal?.throwIfAborted()
        yield JSON.parse(`[${rows.map(({ text }) => text).join(',')}]`) as T[]
      }
    } catch (error) {
      throw this.#told(storeErrorFrom(error, signal?.aborted ?? false))
    }
  }

  /** A statement without rows: DDL. */
  command(sql: string, parameters: QueryParameters = {}, options: QueryOptions = {}): Promise<void> {
    return this.#guard(options.signal, async () => {
      await this.#client.command({
        query: sql,
        query_params: parameters,
        clickhouse_settings: this.#settings(options),
        ...(options.signal === undefined ? {} : { abort_signal: options.signal }),
      })
    })
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
    body: Buffer | Buffer[] | Readable,
    token: string,
    options: QueryOptions = {},
  ): Promise<void> {
    return this.#guard(options.signal, async () => {
      const { stream } = await this.#client.exec({
        query: `INSERT INTO ${table} (${columns.join(', ')}) FORMAT Native`,
        values: body instanceof Readable ? body : Readable.from(Array.isArray(body) ? body : [body]),
        clickhouse_settings: { ...this.#settings(options), ...insertSettings, insert_deduplication_token: token },
        ...(options.signal === undefined ? {} : { abort_signal: options.signal }),
      })
      for await (const _ of stream) {
        // An insert answers nothing; the connection is free once that has been read.
      }
    })
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  #settings({ maxExecutionSeconds, settings }: QueryOptions): ClickHouseSettings {
    return {
      output_format_json_quote_64bit_integers: 1,
      ...this.dialect.settings,
      ...(maxExecutionSeconds === undefined ? {} : { max_execution_time: maxExecutionSeconds }),
      ...settings,
    }
  }

  async #guard<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    try {
      signal?.throwIfAborted()
      return await work()
    } catch (error) {
      throw this.#told(storeErrorFrom(error, signal?.aborted ?? false))
    }
  }

  /** What a failure means is for the caller to say, who knows what it was for. */
  #told(error: StoreError): StoreError {
    this.#log?.debug({ err: error }, 'a request to the store failed')
    return error
  }
}

/** A repeated insert must be cut into the same parts, and a block may hold any number of days. */
const insertSettings: ClickHouseSettings = {
  async_insert: 0,
  insert_deduplicate: 1,
  max_insert_threads: '1',
  max_partitions_per_insert_block: '0',
}
