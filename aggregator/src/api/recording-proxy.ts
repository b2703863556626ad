/** For tests: stands before an engine and keeps the text of every statement that is sent to it. */
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { StoreConnection } from '../store/connection.ts'

export interface SentStatement {
  readonly sql: string
  /** Bound parameters, undecoded, and where they travelled. */
  readonly parameters: string
}

export class RecordingProxy implements AsyncDisposable {
  readonly statements: SentStatement[] = []
  readonly #target: URL
  readonly #server: Server
  readonly #connection: StoreConnection

  private constructor(connection: StoreConnection) {
    this.#connection = connection
    this.#target = new URL(connection.urls[0]!)
    this.#server = createServer((incoming, answer) => {
      const pieces: Buffer[] = []
      incoming.on('data', (piece: Buffer) => pieces.push(piece))
      incoming.on('end', () => {
        const body = Buffer.concat(pieces)
        this.#keep(new URL(incoming.url ?? '/', this.#target), incoming.headers['content-type'], body)
        const { method, url, headers } = incoming
        const outgoing = request({ host: this.#target.hostname, port: this.#target.port, method, path: url, headers })
        outgoing.on('response', (response) => {
          answer.writeHead(response.statusCode ?? 500, response.headers)
          response.pipe(answer)
        })
        outgoing.on('error', () => answer.destroy())
        outgoing.end(body)
      })
    })
  }

  static async before(connection: StoreConnection): Promise<RecordingProxy> {
    const proxy = new RecordingProxy(connection)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get connection(): StoreConnection {
    const { port } = this.#server.address() as AddressInfo
    return { ...this.#connection, urls: [`http://127.0.0.1:${port}`] }
  }

  #keep({ searchParams }: URL, type: string | undefined, body: Buffer): void {
    const named = searchParams.get('query')
    const parameters = [...searchParams].filter(([name]) => name.startsWith('param_')).join()
    if (type?.startsWith('multipart/form-data')) {
      const query = /name="query".*?\r\n\r\n(.*?)\r\n--/s.exec(body.toString('latin1'))?.[1]
      this.statements.push({ sql: named ?? query ?? '', parameters: parameters + body.toString('utf8') })
      // Rows travel in the body where the statement stands in the URL.
    } else if (named !== null) this.statements.push({ sql: named, parameters: parameters + body.toString('utf8') })
    else if (body.length > 0) this.statements.push({ sql: body.toString('utf8'), parameters })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
