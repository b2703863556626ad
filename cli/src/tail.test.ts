import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { runTail } from './tail.ts'

let server: Server
let connections: { socket: WebSocket; query: URLSearchParams; tenant: unknown }[]
let lines: string[]
let warnings: string[]
let stop: AbortController

beforeEach(async () => {
  connections = []
  lines = []
  warnings = []
  stop = new AbortController()
  server = createServer((_, response) => response.writeHead(400).end('parse error : no'))
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    const { pathname, searchParams: query } = new URL(request.url!, 'http://x')
    if (pathname !== '/loki/api/v1/tail' || query.get('query') === '{') {
      socket.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 16\r\n\r\nparse error : no')
      return
    }
    sockets.handleUpgrade(request, socket, head, (one) =>
      connections.push({ socket: one, query, tenant: request.headers['x-scope-orgid'] }),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterEach(() => {
  stop.abort()
  for (const { socket } of connections) socket.terminate()
  server.close()
})

const port = () => (server.address() as AddressInfo).port

function tail(query: string, at = port()): Promise<void> {
  const addr = `http://127.0.0.1:${at}/`
  const options = { addr, output: 'raw', since: '1m', limit: 7 } as const
  return runTail(
    query,
    options,
    (line) => lines.push(line),
    (line) => warnings.push(line),
    stop.signal,
  )
}

const frame = (values: [string, string][], dropped = 0) =>
  JSON.stringify({
    streams: [{ stream: { a: 'b' }, values }],
    ...(dropped > 0 && { dropped_entries: Array.from({ length: dropped }, () => ({ labels: {}, timestamp: '1' })) }),
  })

test('lines are printed as they come, and what was left out is told', async () => {
  vi.stubEnv('TRIBUTARY_TENANT', 'shop')
  const done = tail('{a="b"}')
  await expect.poll(() => connections.length).toBe(1)
  vi.unstubAllEnvs()
  const { socket, query, tenant } = connections[0]!
  expect(tenant).toBe('shop')
  expect([query.get('query'), query.get('limit')]).toEqual(['{a="b"}', '7'])
  socket.send(
    frame([
      ['1', 'one'],
      ['2', 'two'],
      ['2', 'two'],
    ]),
  )
  socket.send(frame([['3', 'three']], 5))
  await expect.poll(() => lines).toEqual(['one', 'two', 'two', 'three'])
  expect(warnings).toEqual(['5 lines were left out: this client is too slow'])
  stop.abort()
  await done
})

test('a lost connection is made again, and nothing is printed twice', { timeout: 20_000 }, async () => {
  const done = tail('{a="b"}')
  await expect.poll(() => connections.length).toBe(1)
  const now = BigInt(Date.now()) * 1_000_000n
  const at = (n: number) => String(now + BigInt(n))
  connections[0]!.socket.send(
    frame([
      [at(1), 'one'],
      [at(2), 'two'],
    ]),
  )
  await expect.poll(() => lines).toHaveLength(2)
  connections[0]!.socket.close(1011, 'reached tail max duration limit')
  await expect.poll(() => connections.length).toBe(2)
  expect(BigInt(connections[1]!.query.get('start')!)).toBe(now + 2n - 10_000_000_000n)
  connections[1]!.socket.send(
    frame([
      [at(1), 'one'],
      [at(2), 'two'],
      [at(3), 'three'],
    ]),
  )
  await expect.poll(() => lines).toEqual(['one', 'two', 'three'])
  expect(warnings).toEqual(['the connection ended (reached tail max duration limit); connecting again'])
  stop.abort()
  await done
})

test('a query that is refused and an address where nobody is end it with the reason', async () => {
  await expect(tail('{')).rejects.toThrow('parse error : no')
  const nobody = port()
  await new Promise((resolve) => server.close(resolve))
  await expect(tail('{a="b"}', nobody)).rejects.toThrow('does not answer')
})
