import type { Server } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Secret } from '@tributary/protocol/secret.ts'
import { afterEach, expect, test } from 'vitest'
import { onlyParameters, type Page, parameter, portOf, RequestError, serveHttp } from './http.ts'

let server: Server

afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

async function serve(pages: Record<string, Page>): Promise<string> {
  server = await serveHttp({ listen: '127.0.0.1', port: 0 }, new Map(Object.entries(pages)))
  return `http://127.0.0.1:${portOf(server)}`
}

const faults: Record<string, Page> = {
  '/fine': () => ({ body: 'fine' }),
  '/asked-wrongly': () => {
    throw new RequestError('write pod=NAME')
  },
  '/broken': () => Promise.reject(new Error('out of luck')),
  '/parameters': ({ query }) => {
    onlyParameters(query, ['pod'])
    return { body: parameter(query, 'pod') ?? 'none' }
  },
}

test.for([
  { path: '/fine', status: 200, body: 'fine' },
  { path: '/fine?x=1', status: 200, body: 'fine' },
  { path: '/nowhere', status: 404, body: 'not found; there are /fine, /asked-wrongly, /broken, /parameters\n' },
  { path: '/fine', method: 'POST', status: 405, body: '/fine answers GET, not POST\n' },
  { path: '/asked-wrongly', status: 400, body: 'write pod=NAME\n' },
  { path: '/broken', status: 500, body: 'out of luck\n' },
  { path: '/parameters?pod=a%2Fb', status: 200, body: 'a/b' },
  { path: '/parameters?pod=a&pod=b', status: 400, body: 'pod is given 2 times; give it once\n' },
  { path: '/parameters?pud=a', status: 400, body: 'unknown parameter pud; there are pod\n' },
])('$method $path: $status', async ({ path, method = 'GET', status, body }) => {
  const response = await fetch(`${await serve(faults)}${path}`, { method })
  expect([response.status, await response.text()]).toEqual([status, body])
  expect(response.headers.get('allow')).toBe(status === 405 ? 'GET' : null)
})

test('pieces come as they are made, and whoever makes them is told when the reader is gone', async () => {
  let aborted: AbortSignal | undefined
  let made = 0
  const address = await serve({
    '/pieces': ({ signal }) => {
      aborted = signal
      return {
        body: (async function* () {
          for (; !signal.aborted; made++) {
            yield `${made}\n`
            await sleep(5, undefined, { signal }).catch(() => undefined)
          }
        })(),
      }
    },
  })
  const response = await fetch(`${address}/pieces`)
  const reader = response.body!.getReader()
  const { value } = await reader.read()
  expect(Buffer.from(value!).toString()).toMatch(/^0\n/)
  await reader.cancel()
  await expect.poll(() => aborted?.aborted).toBe(true)
})

test('a reader that takes nothing is not written to for ever', async () => {
  let made = 0
  const address = await serve({
    '/flood': ({ signal }) => ({
      body: (async function* () {
        for (; !signal.aborted; made++) yield 'x'.repeat(64 * 1024)
      })(),
    }),
  })
  const socket = connect(Number(new URL(address).port), '127.0.0.1', () =>
    socket.write('GET /flood HTTP/1.1\r\nhost: x\r\n\r\n'),
  )
  socket.pause()
  await expect.poll(() => made).toBeGreaterThan(0)
  await sleep(100)
  const stalledAt = made
  await sleep(100)
  expect(made).toBe(stalledAt)
  socket.destroy()
})

test('a page that fails in the middle ends the answer short', async () => {
  const address = await serve({
    '/half': () => ({
      body: (async function* () {
        yield 'half'
        throw new Error('the rest is gone')
      })(),
    }),
  })
  const response = await fetch(`${address}/half`)
  await expect(response.text()).rejects.toThrow()
})

test('a taken port is named, with the cure', async () => {
  const { port } = new URL(await serve(faults))
  await expect(serveHttp({ listen: '127.0.0.1', port: Number(port) }, new Map())).rejects.toThrow(
    `http.port: 127.0.0.1:${port} is in use; set another port, or 0 for a free one`,
  )
})

test('with a token only probes and scrapers are answered without it', async () => {
  const pages = new Map<string, Page>(
    ['/why', '/metrics', '/healthz', '/readyz'].map((path) => [path, () => ({ body: path })]),
  )
  server = await serveHttp({ listen: '127.0.0.1', port: 0, token: Secret.of('s3cret') }, pages)
  const ask = async (path: string, authorization?: string) => {
    const headers = authorization === undefined ? {} : { authorization }
    const answer = await fetch(`http://127.0.0.1:${portOf(server)}${path}`, { headers })
    const text = await answer.text()
    expect(text).not.toContain('s3cret')
    return answer.status
  }
  expect(await Promise.all(['/metrics', '/healthz', '/readyz'].map((path) => ask(path)))).toEqual([200, 200, 200])
  expect(await Promise.all(['/why', '/nowhere'].map((path) => ask(path)))).toEqual([401, 401])
  expect(await ask('/why', 'Bearer s3cre')).toBe(401)
  expect(await ask('/why', 'Basic s3cret')).toBe(401)
  expect(await ask('/why', 'Bearer s3cret')).toBe(200)
})

test('a client that does not finish its request loses its place', { timeout: 30_000 }, async () => {
  const url = await serve({ '/fine': () => ({ body: 'fine' }) })
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()))
  socket.on('error', () => {}).on('data', () => {})
  socket.write('GET /fine HTTP/1.1\r\nhost: x\r\nx-slow: ')
  await closed
})
