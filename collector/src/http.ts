/** The collector's HTTP port: /metrics for Prometheus, /healthz and /readyz for the kubelet. */
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'
import type { Health } from './health.ts'

// Importing node:http the usual way looks at all it exports, and so loads the whole of undici for a WebSocket nobody asked for.
const { createServer } = process.getBuiltinModule('node:http')

export interface Pages {
  readonly registry: Registry
  health(): Health
  ready(): Health
}

export async function serveHttp({ listen, port }: { listen: string; port: number }, pages: Pages): Promise<Server> {
  const server = createServer((request, response) => {
    const answer = (status: number, body: string, type = 'text/plain; charset=utf-8') =>
      response.writeHead(status, { 'content-type': type }).end(body)
    const state = ({ healthy, reason }: Health, good: string) =>
      answer(healthy ? 200 : 503, `${healthy ? good : reason}\n`)
    switch (request.url?.split('?')[0]) {
      case '/metrics':
        pages.registry.metrics().then(
          (text) => answer(200, text, pages.registry.contentType),
          (error) => answer(500, `${(error as Error).message}\n`),
        )
        break
      case '/healthz':
        state(pages.health(), 'ok')
        break
      case '/readyz':
        state(pages.ready(), 'ready')
        break
      default:
        answer(404, 'not found; there are /metrics, /healthz and /readyz\n')
    }
  })
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
