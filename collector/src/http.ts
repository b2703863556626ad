/**
 * The collector's HTTP port: pages by path, asked with GET and nothing else. What a page is, its owner knows; here are the rules all share.
 */
import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
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

/** Serves `pages`, by path; one may be added while it runs. */
export async function serveHttp(
  { listen, port }: { listen: string; port: number },
  pages: ReadonlyMap<string, Page>,
): Promise<Server> {
  const server = createServer((request, response) => void serve(pages, request, response))
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

async function serve(
  pages: ReadonlyMap<string, Page>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  response.once('error', () => gone.abort())
  let answer: PageAnswer
  try {
    answer = await answerTo(pages, request, gone.signal)
  } catch (error) {
    answer = { status: error instanceof RequestError ? error.status : 500, body: `${(error as Error).message}\n` }
  }
  await write(answer, response, gone.signal)
}

function answerTo(
  pages: ReadonlyMap<string, Page>,
  { method, url, socket }: IncomingMessage,
  signal: AbortSignal,
): PageAnswer | Promise<PageAnswer> {
  const [path = '', query = ''] = (url ?? '').split('?', 2)
  const page = pages.get(path)
  if (page === undefined) throw new RequestError(`not found; there are ${[...pages.keys()].join(', ')}`, 404)
  if (method !== 'GET') throw new RequestError(`${path} answers GET, not ${method}`, 405)
  return page({ query: new URLSearchParams(query), signal, local: isLoopback(socket.remoteAddress) })
}

async function write(
  { status = 200, type = 'text/plain; charset=utf-8', body }: PageAnswer,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  response.writeHead(status, { 'content-type': type, ...(status === 405 ? { allow: 'GET' } : {}) })
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
