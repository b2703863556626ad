/** How a client reaches the store: an address that speaks ClickHouse's HTTP interface, ours or a real server. */
export interface StoreConnection {
  /** Such as `http://127.0.0.1:43210`. */
  readonly url: string
  readonly username: string
  readonly password: string
  readonly database: string
}
