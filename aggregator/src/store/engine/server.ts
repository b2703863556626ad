/** ClickHouse's HTTP interface over the executor, as far as `@clickhouse/client` uses it. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { createGunzip } from 'node:zlib'
import { Answer, sendException } from './answer.ts'
import { exception, exceptionCodes, exceptionFrom } from './exception.ts'
import type { Executor } from './executor.ts'
import type { EngineOptions } from './messages.ts'
import { type EngineRequest, isAuthorized, parseRequest } from './request.ts'
import { dataInsertOf, formatOf, isStreamable } from './statement.ts'

/** Longest statement, bytes. Rows of inserts are not statements and have no limit here. */
const maxStatementBytes = 16 * 1024 * 1024
/** Parameters come in the URL, and a list of streams makes it long. */
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
    this.#server.listen(this.#options.port, '127.0.0.1')
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
  await answer(parseRequest(message, options.database), body, response, executor, gone.signal)
}

async function answer(
  request: EngineRequest,
  body: Readable,
  response: ServerResponse,
  executor: Executor,
  signal: AbortSignal,
): Promise<void> {
  if (dataInsertOf(request.query) !== undefined) {
    const result = await executor.insert(request.query, body, request, signal)
    new Answer(response, request, 'Native').whole(result)
    return
  }
  const sql = await statementOf(request, body)
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

async function statementOf(request: EngineRequest, body: Readable): Promise<string> {
  let size = 0
  body.on('data', (piece: Buffer) => {
    size += piece.length
    if (size > maxStatementBytes) body.destroy(new Error('the statement is longer than the engine takes'))
  })
  const rest = (await buffer(body)).toString()
  return request.query === '' ? rest : rest === '' ? request.query : `${request.query}\n${rest}`
}
