/** ClickHouse's HTTP interface over the executor, as far as `@clickhouse/client` uses it. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { Answer, sendException } from './answer.ts'
import { exception, exceptionCodes, exceptionFrom } from './exception.ts'
import type { Executor } from './executor.ts'
import type { EngineOptions } from './messages.ts'
import { forOneNode } from './one-node-cluster.ts'
import { type EngineRequest, isAuthorized, isParameter, parameterName, parseRequest } from './request.ts'
import { dataInsertOf, formatOf, isStreamable } from './statement.ts'

/** Longest statement, bytes. Rows of inserts are not statements and have no limit here. */
const maxStatementBytes = 16 * 1024 * 1024
/** The URL is part of it, and parameters can come in the URL. */
const maxHeaderSize = 1024 * 1024

export class EngineServer {
  readonly #server: Server
  readonly #options: EngineOptions
  readonly #executor: Executor
  #answering = 0
  #drained: (() => void) | undefined

  constructor(options: EngineOptions, executor: Executor) {
    this.#options = options
    this.#executor = executor
    const limits = { maxHeaderSize, keepAliveTimeout: 30_000, requestTimeout: 0 }
    this.#server = createServer(limits, (message, response) => this.#serve(message, response))
  }

  /** Resolves with the port. Rejects when it is taken. */
  async listen(): Promise<number> {
    this.#server.listen(this.#options.port, this.#options.listen)
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  /** Answers what was asked already, for at most `time` milliseconds; refuses everything else. */
  async close(time: number): Promise<void> {
    const { promise: drained, resolve } = Promise.withResolvers<void>()
    this.#drained = resolve
    this.#server.close()
    const timer = setTimeout(resolve, time)
    if (this.#answering > 0) await drained
    clearTimeout(timer)
    this.#server.closeAllConnections()
  }

  #serve(message: IncomingMessage, response: ServerResponse): void {
    this.#answering++
    response.once('close', () => {
      this.#answering--
      if (this.#answering === 0) this.#drained?.()
    })
    this.#answer(message, response).catch((error) => {
      const { code, message: text } = exceptionFrom(error)
      // What is left of the request is read, so that the connection can serve the next one.
      message.resume()
      if (response.headersSent) response.destroy()
      else sendException(response, code, text)
    })
  }

  async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#drained !== undefined) throw exception(exceptionCodes.aborted, 'ABORTED', 'The engine is closing.')
    await handle(message, response, this.#options, this.#executor)
  }
}

async function handle(
  message: IncomingMessage,
  response: ServerResponse,
  options: EngineOptions,
  executor: Executor,
): Promise<void> {
  response.setHeader('X-ClickHouse-Server-Display-Name', 'tributary')
  const path = (message.url ?? '/').split('?')[0]
  if (path === '/ping') {
    await executor.ping()
    response.end('Ok.\n')
    return
  }
  if (!isAuthorized(message, options)) {
    throw exception(exceptionCodes.authenticationFailed, 'AUTHENTICATION_FAILED', 'Wrong user or password.')
  }
  if (path !== '/' || (message.method !== 'POST' && message.method !== 'GET')) {
    throw exception(exceptionCodes.unsupportedMethod, 'UNSUPPORTED_METHOD', 'Only GET / and POST / are answered.')
  }
  const gone = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) gone.abort()
  })
  const body = message.headers['content-encoding'] === 'gzip' ? message.pipe(createGunzip()) : message
  const request = parseRequest(message, options.database)
  if (dataInsertOf(request.query) !== undefined) {
    const result = await executor.insert(request.query, body, request, gone.signal)
    new Answer(response, request, 'Native').whole(result)
    return
  }
  const statement = await statementOf(request, body, message.headers['content-type'])
  const sql = options.cluster === undefined ? statement.sql : forOneNode(statement.sql)
  await answer({ ...statement, sql }, response, executor, gone.signal)
}

async function answer(
  { sql, request }: Statement,
  response: ServerResponse,
  executor: Executor,
  signal: AbortSignal,
): Promise<void> {
  const format = formatOf(sql) ?? request.defaultFormat ?? 'TabSeparated'
  const reply = new Answer(response, request, format)
  if (request.wait || !isStreamable(format) || !/^\s*(SELECT|WITH)\b/i.test(sql)) {
    reply.whole(await executor.run(sql, format, request, signal))
    return
  }
  try {
    await executor.stream(sql, format, request, signal, (chunk) => reply.piece(chunk.raw()))
  } catch (error) {
    reply.fail(error)
    return
  }
  await reply.end()
}

interface Statement {
  readonly sql: string
  readonly request: EngineRequest
}

/** The statement of URL and body. As a form, which many or long parameters come in, the body adds its own `param_` to the URL's. */
async function statementOf(request: EngineRequest, body: Readable, contentType = ''): Promise<Statement> {
  const bytes = await readAll(body)
  if (!contentType.startsWith('multipart/form-data')) {
    return { sql: [request.query, bytes.toString()].filter((text) => text !== '').join('\n'), request }
  }
  const form = await new Response(new Uint8Array(bytes), { headers: { 'content-type': contentType } }).formData()
  const fields = [...form].filter((field): field is [string, string] => typeof field[1] === 'string')
  const given = fields
    .filter(([name]) => isParameter(name))
    .map(([name, value]) => [parameterName(name), value] as const)
  const sql = [request.query, form.get('query')].filter((text) => typeof text === 'string' && text !== '').join('\n')
  return { sql, request: { ...request, parameters: new Map([...request.parameters, ...given]) } }
}

async function readAll(body: Readable): Promise<Buffer> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of body) {
    size += piece.length
    // The rest is read too, so that the client gets to know.
    if (size <= maxStatementBytes) pieces.push(piece)
  }
  if (size > maxStatementBytes) {
    throw exception(
      exceptionCodes.tooLarge,
      'QUERY_IS_TOO_LARGE',
      `The statement is longer than ${maxStatementBytes} bytes.`,
    )
  }
  return Buffer.concat(pieces)
}
