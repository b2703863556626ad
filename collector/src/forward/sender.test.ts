import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { CollectorMetrics } from '../metrics.ts'
import { Sender } from './sender.ts'

function senderTo(port: number, ackTimeout: number, log = pino({ level: 'silent' })): Sender {
  return new Sender({
    name: 'aggregator',
    to: { host: '127.0.0.1', port, serverName: '' },
    credentials: () => ({ hostname: 'n' }),
    ackTimeout,
    identify: false,
    log,
    metrics: new CollectorMetrics(),
  })
}

test('an aggregator that is away grows silent, for as long as it is away', async () => {
  const sockets: Socket[] = []
  const server = createServer((socket) => void sockets.push(socket.on('error', () => undefined)))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const sender = senderTo(port, 100)
  try {
    await expect.poll(() => sender.connected).toBe(true)
    server.close()
    for (const socket of sockets) socket.destroy()
    await expect.poll(() => sender.connected).toBe(false)
    // What looks after a connection does so every ackTimeout, and must end with it.
    const before = sender.silentMs
    await sleep(500)
    expect(sender.silentMs - before).toBeGreaterThan(450)
  } finally {
    await sender.close()
    server.close()
  }
})

test('a message is being written until the kernel has all of it, or the connection is gone', async () => {
  const sockets: Socket[] = []
  const server = createServer((socket) => void sockets.push(socket.pause().on('error', () => undefined)))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const sender = senderTo((server.address() as AddressInfo).port, 60_000)
  sender.onOpen = () => sender.resume()
  try {
    await expect.poll(() => sender.connected).toBe(true)
    const messageOf = (id: string, bytes: number) => {
      return { id, pieces: [Buffer.from('head'), Buffer.alloc(bytes)], writing: 0, settle: () => undefined }
    }
    const small = messageOf('small', 100)
    sender.put(small)
    expect(small.writing).toBe(1)
    await expect.poll(() => small.writing).toBe(0)
    // More than the kernel takes from a connection whose other side does not read.
    const large = messageOf('large', 64 << 20)
    const behind = messageOf('behind', 100)
    sender.put(large)
    sender.put(behind)
    await sleep(200)
    expect([large.writing, behind.writing]).toEqual([1, 1])
    sockets[0]!.destroy()
    // The one that is made instead takes all three anew, and gets no further.
    await expect.poll(() => sockets.length).toBe(2)
    await expect.poll(() => [small.writing, large.writing, behind.writing]).toEqual([1, 1, 1])
    sockets[1]!.resume()
    await expect.poll(() => [small.writing, large.writing, behind.writing], { timeout: 10_000 }).toEqual([0, 0, 0])
  } finally {
    await sender.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  }
})

test('each reason of an outage is told once: why no connection can be made, too, not only that the last one broke', async () => {
  const server = createServer((socket) => socket.on('error', () => undefined).destroy())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const told: string[] = []
  const write = (line: string) => void told.push((JSON.parse(line) as { reason: string }).reason)
  const sender = senderTo(port, 60_000, pino({ level: 'warn' }, { write }))
  try {
    await expect.poll(() => sender.failures).toBeGreaterThan(1)
    server.close()
    const refused = `connect ECONNREFUSED 127.0.0.1:${port}`
    await expect.poll(() => sender.failure, { timeout: 10_000 }).toBe(refused)
    const { failures } = sender
    await expect.poll(() => sender.failures, { timeout: 10_000 }).toBeGreaterThan(failures)
    expect(told).toEqual(['the connection was closed', refused])
    const again = createServer((socket) => socket.on('error', () => undefined))
    await once(again.listen(port, '127.0.0.1'), 'listening')
    await expect.poll(() => [sender.connected, sender.failure], { timeout: 10_000 }).toEqual([true, undefined])
    await sender.close()
    again.close()
  } finally {
    await sender.close()
    server.close()
  }
})
