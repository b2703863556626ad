/** How a client reaches the store: addresses that speak ClickHouse's HTTP interface, ours or a real server's. */

/** `embedded`: the engine process of this aggregator. `clickhouse`: a server or cluster of somebody else. */
export type StoreEngine = 'embedded' | 'clickhouse'

/** PEM texts. */
export interface StoreTls {
  /** Who may have signed the server's certificate; undefined: whom the system trusts. */
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

/** Plain data: threads pass it on. */
export interface StoreConnection {
  readonly engine: StoreEngine
  /** One or more that lead to the same store, such as `http://127.0.0.1:43210`. */
  readonly urls: readonly string[]
  readonly username: string
  readonly password: string
  readonly tls?: StoreTls | undefined
  readonly database: string
  /** Name of the cluster in the server's configuration; undefined for one server. */
  readonly cluster?: string | undefined
  /** Storage policy of the server for the lines; undefined: its default. */
  readonly storagePolicy?: string | undefined
  /** Directory of an engine on this machine that takes the rows of an insert from files there: they need not go through its socket. */
  readonly spool?: string | undefined
  /** An insert that is not answered for this long is repeated elsewhere, milliseconds; undefined: it is waited for. */
  readonly insertTimeout?: number | undefined
  /** How many replicas must have an insert before it counts; 0 or undefined: one. */
  readonly insertQuorum?: number | 'auto' | undefined
  /**
   * Of a store that nobody writes into but this process: one Int32 that its threads share and that grows with each statement that may have
   * written. Undefined: others write too.
   */
  readonly revision?: SharedArrayBuffer | undefined
  /** What every address must show to be the same store ({@link migrate} made it); undefined: not looked at. */
  readonly identity?: string | undefined
}
