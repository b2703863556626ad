/** One response of ClickHouse's HTTP interface: headers, compression, and exceptions before or within the result. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { finished } from 'node:stream/promises'
import { createGzip, type Gzip, gzipSync } from 'node:zlib'
import type { ChdbResult } from 'chdb'
import { exceptionFrom, statusOf } from './exception.ts'
import type { EngineRequest } from './request.ts'

export class Answer {
  readonly #response: ServerResponse
  readonly #gzip: boolean
  readonly #tag = randomBytes(8).toString('hex')
  #body: ServerResponse | Gzip

  constructor(response: ServerResponse, request: EngineRequest, format: string) {
    this.#response = response
    this.#body = response
    this.#gzip = request.gzip
    response.setHeader('X-ClickHouse-Format', format)
    if (request.queryId !== '') response.setHeader('X-ClickHouse-Query-Id', headerText(request.queryId))
  }

  /** Sends all of a result at once. */
  whole(result: ChdbResult): void {
    // What had to be read, the engine tells only within formats such as JSON.
    const summary = {
      result_rows: String(result.rowsRead),
      result_bytes: String(result.bytesRead),
      elapsed_ns: String(Math.round(result.elapsed * 1e9)),
    }
    this.#response.setHeader('X-ClickHouse-Summary', JSON.stringify(summary))
    const bytes = result.bytes()
    if (this.#gzip) this.#response.setHeader('Content-Encoding', 'gzip')
    this.#response.end(this.#gzip ? gzipSync(bytes, { level: 1 }) : bytes)
  }

  /** Sends a piece of a result and resolves when the next may follow, or when the client is gone. */
  async piece(bytes: Uint8Array): Promise<void> {
    if (!this.#response.headersSent) this.#begin()
    if (!this.#body.write(bytes) && !this.#response.destroyed) {
      await Promise.race([once(this.#body, 'drain'), once(this.#response, 'close')])
    }
  }

  async end(): Promise<void> {
    if (!this.#response.headersSent) this.#begin()
    this.#body.end()
    await finished(this.#response)
  }

  #begin(): void {
    this.#response.setHeader('X-ClickHouse-Exception-Tag', this.#tag)
    if (this.#gzip) {
      this.#response.setHeader('Content-Encoding', 'gzip')
      const gzip = createGzip({ level: 1 })
      gzip.pipe(this.#response)
      this.#body = gzip
    }
    this.#response.flushHeaders()
  }

  /** Reports an exception: by status when nothing was sent yet, else as ClickHouse ends a result that broke off. */
  fail(error: unknown): void {
    const { code, message } = exceptionFrom(error)
    if (this.#response.headersSent) {
      const text = `${message}\n`
      const marker = '__exception__\r\n'
      const length = Buffer.byteLength(text)
      this.#body.end(`\r\n${marker}${this.#tag}\r\n${text}${length} ${this.#tag}\r\n${marker}`)
      return
    }
    sendException(this.#response, code, message)
  }
}

export function sendException(response: ServerResponse, code: number, message: string): void {
  response.removeHeader('Content-Encoding')
  response.setHeader('X-ClickHouse-Exception-Code', String(code))
  response.writeHead(statusOf(code), { 'Content-Type': 'text/plain; charset=UTF-8' })
  response.end(`${message}\n`)
}

/** A header must not carry what a client made up beyond printable ASCII. */
function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '').slice(0, 200)
}
