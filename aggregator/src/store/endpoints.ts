/** The addresses of one store: which works, which is asked next, and whether it is the same store at all. */
import { randomInt } from 'node:crypto'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { getCACertificates } from 'node:tls'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import type { StoreConnection, StoreTls } from './connection.ts'
import { EndpointOrder } from './endpoint-order.ts'
import { StoreError, storeErrorFrom, treatmentOf } from './error.ts'
import { identitiesAt } from './identity.ts'

/** What of a log this needs: the loader's thread passes it on to the one there is. */
export interface StoreLog {
  debug(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** No answer at all for this long means that the connection is dead, milliseconds. Statements have limits of their own. */
const requestTimeout = 300_000
const maxConnections = 32
/** How long a connection waits for the next request, milliseconds: less than servers do, which would close it as it comes. */
const idleTimeout = 2_500
/** How often each of several addresses is asked whether it lives, and how long it may take to say so, milliseconds. */
const probeInterval = 5_000
const probePatience = 4_000

interface Endpoint {
  readonly url: string
  readonly client: ClickHouseClient
  /** It showed the store's identity and did not fail since. */
  verified: boolean
}

export class Endpoints {
  readonly #endpoints: readonly Endpoint[]
  readonly #order: EndpointOrder
  readonly #log: StoreLog | undefined
  readonly #closing = new AbortController()
  #identity: string | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(connection: StoreConnection, log: StoreLog | undefined) {
    this.#endpoints = connection.urls.map((url) => ({ url, client: clientOf(connection, url), verified: false }))
    this.#order = new EndpointOrder(this.#endpoints.length, randomInt(this.#endpoints.length))
    this.#log = log
    this.#identity = connection.identity
    if (this.#endpoints.length > 1) this.#timer = setInterval(() => this.#probe(), probeInterval).unref()
  }

  get count(): number {
    return this.#endpoints.length
  }

  /** How many did what they were asked the last time. */
  get healthy(): number {
    return this.#order.healthy
  }

  /** From now on each address has to show this before it is used. */
  trust(identity: string): void {
    this.#identity = identity
    for (const endpoint of this.#endpoints) endpoint.verified = false
  }

  /**
   * Does `work` at the first address that can, each at most once. What fails for a reason that would be the same elsewhere is not tried
   * there. Throws {@link StoreError}.
   */
  async run<T>(signal: AbortSignal | undefined, work: (client: ClickHouseClient) => Promise<T>): Promise<T> {
    let failure: StoreError | undefined
    for (const index of this.#order.order(performance.now())) {
      const endpoint = this.#endpoints[index]!
      try {
        signal?.throwIfAborted()
        await this.#verify(endpoint, signal)
        const result = await work(endpoint.client)
        this.#order.used(index)
        return result
      } catch (cause) {
        const error = storeErrorFrom(cause, signal?.aborted ?? false)
        this.#log?.debug({ err: error, url: endpoint.url }, 'a request to the store failed')
        if (!(treatmentOf(error.code).elsewhere || cause instanceof OtherStoreError)) throw error
        this.#failed(index, error)
        // What the store itself said tells more than that another address is not reached.
        if (failure === undefined || failure.code === 'unavailable') failure = error
      }
    }
    throw failure
  }

  #failed(index: number, error: StoreError): void {
    const endpoint = this.#endpoints[index]!
    const before = this.healthy
    endpoint.verified = false
    this.#order.failed(index, performance.now())
    if (this.count > 1 && this.healthy < before) {
      const fields = { url: endpoint.url, reason: error.code, detail: error.message, healthy: this.healthy }
      this.#log?.warn(fields, 'an address of the store does not work; the others are used')
    }
  }

  async #verify(endpoint: Endpoint, signal: AbortSignal | undefined): Promise<void> {
    if (endpoint.verified || this.count === 1 || this.#identity === undefined) return
    const found = await identitiesAt(endpoint.client, signal)
    if (!found.includes(this.#identity)) throw new OtherStoreError(endpoint.url)
    endpoint.verified = true
  }

  /** Finds out before anybody needs it which addresses live. */
  #probe(): void {
    for (const [index, { client }] of this.#endpoints.entries()) {
      const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(probePatience)])
      client.ping({ select: false, abort_signal: signal }).then((result) => {
        if (this.#closing.signal.aborted) return
        // One that answers may still be read-only or full: what it was asked to do tells.
        if (!result.success) this.#failed(index, storeErrorFrom(result.error, false))
        else if (this.#identity === undefined) this.#order.answered(index)
        else this.#revive(index)
      })
    }
  }

  #revive(index: number): void {
    const endpoint = this.#endpoints[index]!
    this.#verify(endpoint, AbortSignal.timeout(probePatience)).then(
      () => this.#order.answered(index),
      (error) => {
        if (!this.#closing.signal.aborted) this.#failed(index, storeErrorFrom(error, false))
      },
    )
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#closing.abort()
    await Promise.all(this.#endpoints.map(({ client }) => client.close()))
  }
}

/** An address that answers, and leads to another store than the others, or to one without our tables. */
class OtherStoreError extends StoreError {
  constructor(url: string) {
    super(
      'rejected',
      `${url} leads to another store than the other addresses in store.clickhouse.url: ` +
        'rows would be in one or the other. Name only replicas of one store',
    )
  }
}

function clientOf({ engine, username, password, database, tls }: StoreConnection, url: string): ClickHouseClient {
  return createClient({
    url,
    username,
    password,
    database,
    application: 'tributary',
    request_timeout: requestTimeout,
    // A list of many streams does not fit into a URL.
    use_multipart_params_auto: true,
    // Over a network the answers are worth compressing, over loopback they are not.
    compression: { response: engine === 'clickhouse', request: false },
    log: { level: ClickHouseLogLevel.OFF },
    ...connectionsOf(url, tls, password),
  })
}

/**
 * The agent closes connections that are idle. The client's own timers would, too, but lose one of them where a request is aborted before it
 * has its connection, and that closes it under a later request.
 */
function connectionsOf(
  url: string,
  tls: StoreTls | undefined,
  password: string,
): Partial<Parameters<typeof createClient>[0]> {
  const options = { keepAlive: true, maxSockets: maxConnections, timeout: idleTimeout }
  const byAgent = { keep_alive: { enabled: true, idle_socket_ttl: 0 } }
  if (tls === undefined) {
    const agent = url.startsWith('https:') ? new HttpsAgent(options) : new HttpAgent(options)
    return { ...byAgent, http_agent: agent }
  }
  const { ca, cert, key } = tls
  const authorities = Buffer.from(ca ?? getCACertificates('default').join('\n'))
  if (cert === undefined || key === undefined)
    return { ...byAgent, http_agent: new HttpsAgent({ ...options, ca: authorities }) }
  const pair = { cert: Buffer.from(cert), key: Buffer.from(key) }
  // The client takes a certificate for the user's authentication; the server refuses that beside a password.
  if (password !== '') return { ...byAgent, http_agent: new HttpsAgent({ ...options, ca: authorities, ...pair }) }
  return {
    max_open_connections: maxConnections,
    keep_alive: { enabled: true, idle_socket_ttl: idleTimeout, eagerly_destroy_stale_sockets: true },
    tls: { ca_cert: authorities, ...pair },
  }
}
