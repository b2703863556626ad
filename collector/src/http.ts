/**
 * The collector's HTTP port: pages by path, asked with GET and nothing else. What a page is, its owner knows; here are the rules all share.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Secret } from '@tributary/protocol/secret.ts'
import { isLoopback } from './loopback.ts'

// Importing node:http the usual way looks at all it exports, and so loads the whole of undici for a WebSocket nobody asked for.
const { createServer } = process.getBuiltinModule('node:http')

export interface PageRequest {
  readonly query: URLSearchParams
  /** Aborted when whoever asked is gone, or the collector stops. */
  readonly signal: AbortSignal
  /** Who asks is on this machine, or in this pod. */
  readonly local: boolean
}

export interface PageAnswer {
  /** 200 without it. */
  readonly status?: number
  /** Plain text without it. */
  readonly type?: string
  /** All at once, or piece by piece: the next piece is asked for when the one before was taken. */
  readonly body: string | AsyncIterable<string>
}

/** Throws {@link RequestError} when the request is at fault; anything else thrown is the collector's fault, and a 500. */
export type Page = (request: PageRequest) => PageAnswer | Promise<PageAnswer>

/** The request can't be answered as it was made; the message says how to make it. */
export class RequestError extends Error {
  readonly status: number
  constructor(message: string, status = 400) {
    super(message)
    this.name = 'RequestError'
    this.status = status
  }
}

/** What a probe or a scraper needs, and nobody's lines, is answered without a token. */
const openPaths: ReadonlySet<string> = new Set(['/metrics', '/healthz', '/readyz'])
/** Probes, a scraper, and somebody who looks for the reason of something. */
const maxConnections = 128
/** A request has no body and is sent at once; whoever takes longer wants a place, not an answer. Milliseconds. */
const limits = { headersTimeout: 10_000, requestTimeout: 10_000, connectionsCheckingInterval: 2_000 }

/** Serves `pages`, by path; one may be added while it runs. */
export async function serveHttp(
  { listen, port, token }: { listen: string; port: number; token?: Secret | undefined },
  pages: ReadonlyMap<string, Page>,
): Promise<Server> {
  const server = createServer(limits, (request, response) => void serve({ pages, token }, request, response))
  server.maxConnections = maxConnections
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE'
      reject(taken ? new Error(`http.port: ${listen}:${port} is in use; set another port, or 0 for a free one`) : error)
    })
    server.listen(port, listen, resolve)
  })
  return server
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

export function jsonPage(value: unknown, status = 200): PageAnswer {
  return { status, type: 'application/json; charset=utf-8', body: `${JSON.stringify(value)}\n` }
}

/** The parameter's one value, undefined without it. Throws when it is there twice. */
export function parameter(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name)
  if (values.length > 1) throw new RequestError(`${name} is given ${values.length} times; give it once`)
  return values[0]
}

/** Refuses parameters nobody looks at: a mistyped one would else answer another question than was asked. */
export function onlyParameters(query: URLSearchParams, known: readonly string[]): void {
  for (const name of query.keys()) {
    if (!known.includes(name)) throw new RequestError(`unknown parameter ${name}; there are ${known.join(', ')}`)
  }
}

interface Served {
  readonly pages: ReadonlyMap<string, Page>
  /** What all pages but the open ones ask for. */
  readonly token: Secret | undefined
}

async function serve(served: Served, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  response.once('error', () => gone.abort())
  let answer: PageAnswer
  try {
    answer = await answerTo(served, request, gone.signal)
  } catch (error) {
    answer = { status: error instanceof RequestError ? error.status : 500, body: `${(error as Error).message}\n` }
  }
  await write(answer, response, gone.signal)
}

function answerTo(
  { pages, token }: Served,
  { headers, method, url, socket }: IncomingMessage,
  signal: AbortSignal,
): PageAnswer | Promise<PageAnswer> {
  const [path = '', query = ''] = (url ?? '').split('?', 2)
  const page = pages.get(path)
  if (token !== undefined && !openPaths.has(path) && !isBearer(headers.authorization, token.current))
    throw new RequestError(`${path} needs the bearer token of http.token`, 401)
  if (page === undefined) throw new RequestError(`not found; there are ${[...pages.keys()].join(', ')}`, 404)
  if (method !== 'GET') throw new RequestError(`${path} answers GET, not ${method}`, 405)
  return page({ query: new URLSearchParams(query), signal, local: isLoopback(socket.remoteAddress) })
}

function headersOf(status: number): Record<string, string> {
  return status === 405 ? { allow: 'GET' } : status === 401 ? { 'www-authenticate': 'Bearer realm="tributary"' } : {}
}

/** In a time that tells nothing of the token. */
function isBearer(authorization: string | undefined, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(authorization ?? ''), digest(`Bearer ${token}`))
}

async function write(
  { status = 200, type = 'text/plain; charset=utf-8', body }: PageAnswer,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  response.writeHead(status, { 'content-type': type, ...headersOf(status) })
  if (typeof body === 'string') {
    response.end(body)
    return
  }
  // Whoever waits for the first piece learns at once that there will be some.
  response.flushHeaders()
  try {
    for await (const piece of body) {
      if (signal.aborted) return
      if (!response.write(piece)) await once(response, 'drain', { signal })
    }
    response.end()
  } catch {
    // The status is out: only an end without its last piece tells that something went wrong.
    response.destroy()
  }
}
