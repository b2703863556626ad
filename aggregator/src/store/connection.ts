/** How a client reaches the store: addresses that speak ClickHouse's HTTP interface, ours or a real server's. */

/** `embedded`: the engine process of this aggregator. `clickhouse`: a server or cluster of somebody else. */
export type StoreEngine = 'embedded' | 'clickhouse'

/** Plain data: threads pass it on. */
export interface StoreConnection {
  readonly engine: StoreEngine
  /** One or more that lead to the same store, such as `http://127.0.0.1:43210`. */
  readonly urls: readonly string[]
  readonly username: string
  readonly password: string
  readonly database: string
  /** Name of the cluster in the server's configuration; undefined for one server. */
  readonly cluster?: string | undefined
}
