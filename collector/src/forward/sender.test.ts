import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { CollectorMetrics } from '../metrics.ts'
import { Sender } from './sender.ts'

test('an aggregator that is away grows silent, for as long as it is away', async () => {
  const sockets: Socket[] = []
  const server = createServer((socket) => void sockets.push(socket.on('error', () => undefined)))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const sender = new Sender({
    name: 'aggregator',
    to: { host: '127.0.0.1', port, serverName: '' },
    credentials: () => ({ hostname: 'n' }),
    ackTimeout: 100,
    identify: false,
    log: pino({ level: 'silent' }),
    metrics: new CollectorMetrics(),
  })
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
