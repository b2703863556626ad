/** Asks a running aggregator. */
import type { Readable } from 'node:stream'
import { request } from 'undici'

/** What went wrong, for people: with the address, and what to do about it. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
}

export type Entry = {
  readonly timestamp: string
  readonly labels: Readonly<Record<string, string>>
  readonly line: string
}

export type QueryResult =
  | {
      readonly resultType: 'streams'
      readonly result: readonly { stream: Record<string, string>; values: [string, string][] }[]
    }
  | {
      readonly resultType: 'matrix'
      readonly result: readonly { metric: Record<string, string>; values: [number, string][] }[]
    }
  | {
      readonly resultType: 'vector'
      readonly result: readonly { metric: Record<string, string>; value: [number, string] }[]
    }
  | { readonly resultType: 'scalar'; readonly result: [number, string] }

export interface Range {
  /** Nanoseconds since 1970. */
  readonly start: bigint
  readonly end: bigint
}

/** Most entries the API gives at once. */
export const pageLimit = 5000

/** As the environment says: a secret among the arguments would be seen by everybody on the machine. */
export function requestHeaders(environment: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const { TRIBUTARY_TOKEN: token, TRIBUTARY_USERNAME: user, TRIBUTARY_PASSWORD: password } = environment
  const { TRIBUTARY_TENANT: tenant } = environment
  const basic = user === undefined ? undefined : Buffer.from(`${user}:${password ?? ''}`).toString('base64')
  return {
    ...(token ? { authorization: `Bearer ${token}` } : basic ? { authorization: `Basic ${basic}` } : {}),
    ...(tenant ? { 'x-scope-orgid': tenant } : {}),
  }
}

export class ApiClient {
  readonly #headers = requestHeaders()
  readonly #address: string
  readonly #who: string

  /** @param who what is expected to answer there, for messages */
  constructor(address: string, who = 'an aggregator') {
    this.#who = who
    this.#address = address.replace(/\/+$/, '')
  }

  async getJson<T>(path: string, query: Record<string, string> = {}): Promise<T> {
    const url = `${this.#address}${path}?${new URLSearchParams(query)}`
    const { statusCode, body } = await request(url, {
      headers: this.#headers,
      headersTimeout: 120_000,
      bodyTimeout: 120_000,
    }).catch((error: Error) => {
      throw this.#unreachable(error)
    })
    const text = await body.text()
    if (statusCode >= 400) throw this.#refused(statusCode, path, text)
    try {
      return JSON.parse(text) as T
    } catch {
      throw new ApiError(`${this.#address}${path} did not answer with JSON; is it ${this.#who}?`)
    }
  }

  /** The bytes of an answer, as they come. */
  async bytes(path: string): Promise<Readable> {
    // Much is prepared before the first byte, and whoever takes them may be slow.
    const options = { headers: this.#headers, headersTimeout: 600_000, bodyTimeout: 600_000 }
    const { statusCode, body } = await request(`${this.#address}${path}`, options).catch((error: Error) => {
      throw this.#unreachable(error)
    })
    if (statusCode >= 400) throw this.#refused(statusCode, path, await body.text())
    return body
  }

  /** The lines of an answer that goes on until `signal` is aborted or whoever answers ends it. */
  async *lines(path: string, query: Record<string, string>, signal: AbortSignal): AsyncGenerator<string> {
    const url = `${this.#address}${path}?${new URLSearchParams(query)}`
    // Nothing may come for hours.
    const { statusCode, body } = await request(url, { headers: this.#headers, bodyTimeout: 0, signal }).catch(
      (error: Error) => {
        throw this.#unreachable(error)
      },
    )
    if (statusCode >= 400) throw this.#refused(statusCode, path, await body.text())
    let rest = ''
    for await (const piece of body.setEncoding('utf8')) {
      const lines = (rest + piece).split('\n')
      rest = lines.pop()!
      yield* lines
    }
  }

  #refused(status: number, path: string, text: string): ApiError {
    const said = text.trim() || `${this.#address} answered ${status}`
    // A collector's port is easily taken for an aggregator's.
    if (status === 404)
      return new ApiError(`${this.#address}${path}: ${said}; is it ${this.#who}? Set another with --addr`)
    if (status === 401)
      return new ApiError(
        `${said}; TRIBUTARY_TOKEN, or TRIBUTARY_USERNAME with TRIBUTARY_PASSWORD, and TRIBUTARY_TENANT tell who asks`,
      )
    return new ApiError(said)
  }

  #unreachable(error: Error): ApiError {
    return new ApiError(
      `${this.#address} does not answer (${error.message || error.name}); is ${this.#who} running there? Set another with --addr`,
    )
  }

  async queryRange(
    query: string,
    { start, end }: Range,
    options: { limit: number; direction: 'forward' | 'backward'; step?: string },
  ): Promise<QueryResult> {
    const { limit, direction, step } = options
    const answer = await this.getJson<{ data: QueryResult }>('/loki/api/v1/query_range', {
      query,
      start: String(start),
      end: String(end),
      limit: String(limit),
      direction,
      ...(step ? { step } : {}),
    })
    return answer.data
  }

  /**
   * The entries of a log query, page by page, up to `limit`; or the result, if the query is a metric. Entries with one time can lie on
   * both sides of a page's end: the order of the API is stable, so as many as were seen are left out.
   */
  async *entries(
    query: string,
    range: Range,
    limit: number,
    direction: 'forward' | 'backward',
  ): AsyncGenerator<Entry[], QueryResult | undefined> {
    let { start, end } = range
    let left = limit
    let edge = ''
    let seenAtEdge = 0
    while (left > 0) {
      const result = await this.queryRange(
        query,
        { start, end },
        { limit: Math.min(pageLimit, left + seenAtEdge), direction },
      )
      if (result.resultType !== 'streams') return result
      const page = flatten(result.result, direction)
      const fresh = page.slice(seenAtEdge).slice(0, left)
      if (fresh.length > 0) yield fresh
      left -= fresh.length
      if (page.length < Math.min(pageLimit, left + fresh.length + seenAtEdge) || fresh.length === 0) return undefined
      edge = fresh.at(-1)!.timestamp
      seenAtEdge = page.filter(({ timestamp }) => timestamp === edge).length
      if (direction === 'forward') start = BigInt(edge)
      else end = BigInt(edge) + 1n
    }
    return undefined
  }
}

/** The entries of all streams in one order. Within a stream the API's own order is kept. */
export function flatten(
  streams: readonly { stream: Record<string, string>; values: [string, string][] }[],
  direction: 'forward' | 'backward',
): Entry[] {
  const entries = streams.flatMap(({ stream, values }) =>
    values.map(([timestamp, line]) => ({ timestamp, labels: stream, line })),
  )
  const sign = direction === 'forward' ? 1 : -1
  return entries.sort((a, b) => sign * compareTimes(a.timestamp, b.timestamp))
}

/** Orders times given as decimal nanoseconds, without turning them into numbers. */
function compareTimes(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)
}
