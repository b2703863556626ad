/** The store as queries see it: SQL with bound parameters in, rows out. */
import { setImmediate } from 'node:timers/promises'
import { defaultQueryLimits, type QueryLimits } from './limits.ts'
import { Remembered } from './remembered.ts'
import type { TenantScope } from './tenant-scope.ts'

/** SQL and the values of its `{name:Type}` parameters. Nothing that came with a request is part of the text. */
export interface Statement {
  readonly sql: string
  readonly params: Readonly<Record<string, unknown>>
  /** Whose rows it reads. */
  readonly scope: TenantScope | undefined
}

export interface QueryOptions {
  /** Aborted when nobody waits for the answer any more; the store stops working on it. */
  readonly signal?: AbortSignal
  /** The store gives up after so long. */
  readonly maxExecutionSeconds?: number
  /** Further settings of ClickHouse, such as limits. */
  readonly settings?: Readonly<Record<string, string | number>>
}

export interface QueryResult<Row> {
  readonly rows: Row[]
  readonly readRows: number
  readonly readBytes: number
  readonly elapsedSeconds: number
}

/** Each row is one JSON object, as ClickHouse's JSONEachRow has it. */
export interface RowStore {
  query<Row>(sql: string, params: Record<string, unknown>, options?: QueryOptions): Promise<QueryResult<Row>>
  /** The rows in ClickHouse's format RowBinary, in pieces that can end anywhere. Leaving the loop ends the query. */
  queryBytes(sql: string, params: Record<string, unknown>, options?: QueryOptions): AsyncIterable<Buffer>
  /** Grows before anybody is told that something was written; undefined where others may write unseen. */
  readonly revision?: number | undefined
}

const remembered = new WeakMap<RowStore, Remembered>()

function rememberedOf(store: RowStore): Remembered {
  let found = remembered.get(store)
  if (found === undefined) remembered.set(store, (found = new Remembered()))
  return found
}

/** Collects what a request made the store read. */
export interface ReadTotals {
  rows: number
  bytes: number
  lines: number
}

/** Reads for one request: for its tenants, its signal and its share of time, counting what was read. */
export class Reader {
  readonly tenant: TenantScope
  readonly totals: ReadTotals = { rows: 0, bytes: 0, lines: 0 }
  readonly limits: QueryLimits
  readonly #store: RowStore
  readonly #signal: AbortSignal
  readonly #deadline: number

  /** @param deadline as `performance.now()` counts, milliseconds */
  constructor(
    store: RowStore,
    tenant: TenantScope,
    signal: AbortSignal,
    deadline: number,
    limits: QueryLimits = defaultQueryLimits,
  ) {
    this.#store = store
    this.tenant = tenant
    this.limits = limits
    this.#signal = signal
    this.#deadline = deadline
  }

  async read<Row>({ sql, params, scope }: Statement): Promise<Row[]> {
    if (scope !== this.tenant) throw new TypeError('a statement that is not restricted to the tenants of its request')
    this.#signal.throwIfAborted()
    const result = await this.#store.query<Row>(sql, { ...params }, this.#options())
    this.totals.rows += result.readRows
    this.totals.bytes += result.readBytes
    return result.rows
  }

  /** Nobody but this process writes into the store, and a row's stream is there before it. */
  get ownStore(): boolean {
    return this.#store.revision !== undefined
  }

  /**
   * What a key stands for, read anew where something may have been written since it was read.
   *
   * @param key names the tenants too
   * @param sizeOf in streams
   */
  remembered<T>(key: string, read: () => Promise<T>, sizeOf: (value: T) => number): Promise<T> {
    return rememberedOf(this.#store).get(key, () => this.#store.revision, read, sizeOf)
  }

  /**
   * The rows of a statement as bytes, see {@link RowStore.queryBytes}. What was read of them the caller adds to the totals.
   *
   * @param signal ends this statement alone
   */
  stream({ sql, params, scope }: Statement, signal?: AbortSignal): AsyncIterable<Buffer> {
    if (scope !== this.tenant) throw new TypeError('a statement that is not restricted to the tenants of its request')
    this.#signal.throwIfAborted()
    const options = this.#options()
    const either = signal && { signal: AbortSignal.any([this.#signal, signal]) }
    return this.#store.queryBytes(sql, { ...params }, { ...options, ...either })
  }

  /** Gives others a turn, and ends the work when nobody waits for it any more. To be called between pieces of long work. */
  async pause(): Promise<void> {
    await setImmediate()
    this.#signal.throwIfAborted()
  }

  #options(): QueryOptions {
    const seconds = Math.max(1, Math.ceil((this.#deadline - performance.now()) / 1000))
    const { maxRows, maxMemoryBytes } = this.limits
    const settings = {
      ...(maxRows > 0 && { max_rows_to_read: String(maxRows) }),
      ...(maxMemoryBytes > 0 && { max_memory_usage: String(maxMemoryBytes) }),
    }
    return { signal: this.#signal, maxExecutionSeconds: seconds, settings }
  }
}
