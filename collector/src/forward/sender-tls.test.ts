/** The collector's side of TLS, against a server that is the real one's kind: Node's own. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer, type TLSSocket } from 'node:tls'
import { encodeAck } from '@tributary/protocol/chunk.ts'
import { forwardMessage } from '@tributary/protocol/forward.ts'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { CollectorMetrics } from '../metrics.ts'
import { Sender } from './sender.ts'

test('a message goes over TLS to a server whose certificate is trusted, and to no other', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tributary-tls-'))
  const [certFile, keyFile] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', keyFile, '-out', certFile],
    ],
    { stdio: 'ignore' },
  )
  const ca = readFileSync(certFile)
  const server = createServer({ cert: ca, key: readFileSync(keyFile) }, (socket: TLSSocket) =>
    socket.on('error', () => undefined).on('data', () => socket.write(encodeAck({ ack: 'a' }))),
  )
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const metrics = new CollectorMetrics()
  const { port } = server.address() as AddressInfo
  const open = (tls: object, serverName = 'localhost') => {
    const sender = new Sender({
      name: 'aggregator',
      to: { host: '127.0.0.1', port, serverName },
      tls: () => tls,
      credentials: () => ({ hostname: 'n' }),
      ackTimeout: 5000,
      identify: false,
      log: pino({ level: 'silent' }),
      metrics,
    })
    sender.onOpen = () => sender.resume()
    return sender
  }
  const [trusting, wary, misnamed] = [open({ ca }), open({}), open({ ca }, 'another.example')]
  try {
    const pieces = forwardMessage('t', new Uint8Array(0), { chunk: 'a' })
    const acked = new Promise((settle) => trusting.put({ id: 'a', pieces, writing: 0, settle }))
    expect(await acked).toEqual({ ack: 'a' })
    await expect.poll(() => Math.min(wary.failures, misnamed.failures)).toBeGreaterThan(0)
    expect([wary.connected, misnamed.connected]).toEqual([false, false])
    expect(metrics.connections.total).toBe(1)
  } finally {
    await Promise.all([trusting, wary, misnamed].map((one) => one.close()))
    server.close()
    rmSync(directory, { recursive: true })
  }
})
