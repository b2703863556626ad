/** An HTTP proxy before a store's ClickHouse interface that does what servers, networks and balancers do to an insert. */
import http from 'node:http'
import type net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export type StoreFault =
  /** Goes through. */
  | { readonly kind: 'none' }
  /** Both connections break while the rows are on their way. */
  | { readonly kind: 'cut' }
  /** The store does it; the answer comes so much later, milliseconds. */
  | { readonly kind: 'late'; readonly delay: number }
  /** The store does it; what is answered says that something went wrong. */
  | { readonly kind: 'stored, then 500' }
  /** The store does it, and the connection breaks before the answer; `stored` is called in between. */
  | { readonly kind: 'stored, then cut'; readonly stored?: () => void }
  /** Answered here, as the store reports an exception. */
  | { readonly kind: 'exception'; readonly code: number; readonly name: string }

export interface StoreRequest {
  /** Statement of the URL, as inserts have it. */
  readonly query: string
  readonly token: string | undefined
  /** What is inserted. */
  readonly body: Buffer
}

export class StoreProxy {
  readonly #target: () => string
  readonly #fault: (request: StoreRequest) => StoreFault
  readonly #server: http.Server
  readonly #agent = new http.Agent({ keepAlive: true })
  /** How often each kind of fault was made. */
  readonly made: Record<string, number> = {}

  private constructor(target: () => string, fault: (request: StoreRequest) => StoreFault) {
    this.#target = target
    this.#fault = fault
    this.#server = http.createServer({ requestTimeout: 0 }, (request, response) => {
      this.#serve(request, response).catch(() => response.destroy()) // the store is away: as seen through a proxy
    })
  }

  /**
   * @param target address of the store, asked at every request
   * @param fault what to do to an insert; everything else goes through
   */
  static async listen(target: () => string, fault: (request: StoreRequest) => StoreFault): Promise<StoreProxy> {
    const proxy = new StoreProxy(target, fault)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`
  }

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { searchParams } = new URL(request.url ?? '/', 'http://proxy')
    const query = searchParams.get('query') ?? ''
    const token = searchParams.get('insert_deduplication_token') ?? undefined
    const body = await readAll(request)
    const fault = /^\s*INSERT\b/.test(query) ? this.#fault({ query, token, body }) : ({ kind: 'none' } as const)
    this.made[fault.kind] = (this.made[fault.kind] ?? 0) + 1
    if (fault.kind === 'exception') {
      const { code, name } = fault
      response.writeHead(500, { 'X-ClickHouse-Exception-Code': String(code) })
      response.end(`Code: ${code}. DB::Exception: made up by the proxy. (${name}) (version 26.7.1.1)\n`)
      return
    }
    const { 'transfer-encoding': _, ...headers } = request.headers
    const asked = http.request(`${this.#target()}${request.url}`, {
      method: request.method,
      headers: { ...headers, 'content-length': body.length },
      agent: this.#agent,
    })
    const answered = new Promise<http.IncomingMessage>((resolve, reject) => {
      asked.once('response', resolve).once('error', reject)
    })
    if (fault.kind === 'cut') {
      asked.write(body.subarray(0, body.length >> 1), () => asked.destroy())
      await answered.catch(() => {}) // as wanted
      response.destroy()
      return
    }
    asked.end(body)
    const answer = await answered
    const content = await readAll(answer)
    if (fault.kind === 'late') await sleep(fault.delay)
    if (fault.kind === 'stored, then cut') {
      fault.stored?.()
      response.destroy()
    } else if (fault.kind === 'stored, then 500') response.writeHead(500).end('<html>Internal Server Error</html>')
    else response.writeHead(answer.statusCode ?? 502, answer.headers).end(content)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#agent.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

async function readAll(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of stream) pieces.push(piece)
  return Buffer.concat(pieces)
}
