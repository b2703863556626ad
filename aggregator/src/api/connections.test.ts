import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Access } from '../access/access.ts'
import { Credentials } from '../access/credentials.ts'
import { defaultLimits } from './connections.ts'
import { createApi } from './server.ts'

/** More than both ends' buffers take. */
const pageBytes = 64 * 1024 * 1024
const answerTimeout = 600

const apiWith = (audit: () => unknown) =>
  createApi({
    store: {
      query: () => Promise.reject(new Error('not asked')),
      queryBytes: () => {
        throw new Error('not asked')
      },
    },
    access: new Access(new Credentials([]), false),
    version: '0.0.0-test',
    log: pino({ level: 'silent' }),
    registry: new Registry(),
    ready: () => ({ ready: true }),
    audit,
    page: () => 'x'.repeat(pageBytes),
    limits: { ...defaultLimits, answerTimeout },
  })

const app = apiWith(() => [])
beforeAll(() => app.listen({ host: '127.0.0.1', port: 0 }))
afterAll(() => app.close())

const connections = (): Promise<number> =>
  new Promise((resolve, reject) =>
    app.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  )

/** A client that has asked for the page and takes nothing of it yet. */
async function asked(): Promise<Socket> {
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => {}) // that it is cut off is what is looked for
  await once(socket, 'connect')
  socket.pause()
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  return socket
}

test('a client that takes nothing of its answer is cut off, and the answer leaves the memory', async () => {
  const socket = await asked()
  await expect.poll(connections).toBe(1)
  const began = performance.now()
  await expect.poll(connections, { interval: 20 }).toBe(0)
  expect(performance.now() - began).toBeGreaterThan(answerTimeout / 2)
  let taken = 0
  socket.on('data', (piece) => {
    taken += piece.length
  })
  socket.resume()
  await once(socket, 'close')
  expect(taken).toBeLessThan(pageBytes)
})

test('one that takes it slowly gets all of it, however long that takes', { timeout: 60_000 }, async () => {
  const socket = await asked()
  const began = performance.now()
  let taken = 0
  let next = 0
  socket.on('data', (piece) => {
    taken += piece.length
    if (taken < next) return
    // A pause after each eighth: together longer than the time for taking nothing.
    next = taken + pageBytes / 8
    socket.pause()
    sleep(answerTimeout / 4).then(() => socket.resume())
  })
  socket.resume()
  await once(socket, 'close')
  expect(taken).toBeGreaterThan(pageBytes)
  expect(performance.now() - began).toBeGreaterThan(answerTimeout)
})

test('closing waits for an answer that is being made, and not for the connection to be used again', async () => {
  const asked = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<{ ok: boolean }>()
  const closing = apiWith(() => {
    asked.resolve()
    return answer.promise
  })
  await closing.listen({ host: '127.0.0.1', port: 0 })
  const socket = connect((closing.server.address() as AddressInfo).port, '127.0.0.1')
  socket.write('GET /api/v1/audit HTTP/1.1\r\nHost: x\r\n\r\n')
  const answered = once(socket, 'data')
  await asked.promise
  const closed = closing.close()
  await sleep(200)
  answer.resolve({ ok: true })
  expect(String((await answered)[0])).toMatch(/^HTTP\/1.1 200/)
  await closed
})
