/** How a client shows itself to a server that speaks TLS, and whom it believes. What the server answers is not looked at here. */
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { TestAuthority } from '@tributary/protocol/test-authority.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { StoreClient } from './client.ts'
import type { StoreConnection } from './connection.ts'

const trusted = new TestAuthority()
const strange = new TestAuthority()
const shown = trusted.issue('aggregator')
let server: https.Server
let asked: { certificate: string | undefined; headers: Record<string, unknown> }[] = []
beforeAll(async () => {
  const options = { ...trusted.issue(), ca: trusted.cert, requestCert: true, rejectUnauthorized: false }
  server = https.createServer(options, (request, response) => {
    const { subject } = (request.socket as TLSSocket).getPeerCertificate()
    asked.push({ certificate: subject?.CN as string | undefined, headers: request.headers })
    request.resume()
    response.end('Ok.\n')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
  trusted[Symbol.dispose]()
  strange[Symbol.dispose]()
})

async function ask(more: Partial<StoreConnection>): Promise<(typeof asked)[number]> {
  asked = []
  const urls = [`https://127.0.0.1:${(server.address() as AddressInfo).port}`]
  const own = { engine: 'clickhouse', urls, username: 'u', password: 'p', database: 'd' } as const
  const client = new StoreClient({ ...own, ...more })
  try {
    await client.command('SELECT 1')
    return asked[0]!
  } finally {
    await client.close()
  }
}

const ca = trusted.cert.toString()
const pair = { cert: shown.cert.toString(), key: shown.key.toString() }

test('a server whose certificate is signed by the authority of the configuration is believed', async () => {
  const { certificate, headers } = await ask({ tls: { ca } })
  expect(certificate).toBeUndefined()
  expect(headers).toMatchObject({ authorization: `Basic ${Buffer.from('u:p').toString('base64')}` })
})

test.for([
  { whom: 'another authority', tls: { ca: strange.cert.toString() } },
  { whom: 'the system', tls: undefined },
])('one that $whom does not know is not', async ({ tls }) => {
  await expect(ask(tls === undefined ? {} : { tls })).rejects.toMatchObject({ code: 'unavailable' })
  expect(asked).toEqual([])
})

test('a certificate is shown beside a password, which authenticates', async () => {
  const { certificate, headers } = await ask({ tls: { ca, ...pair } })
  expect(certificate).toBe('aggregator')
  expect(headers).toMatchObject({ authorization: `Basic ${Buffer.from('u:p').toString('base64')}` })
  expect(headers).not.toHaveProperty('x-clickhouse-ssl-certificate-auth')
})

test('without a password the certificate authenticates', async () => {
  const { certificate, headers } = await ask({ password: '', tls: { ca, ...pair } })
  expect(certificate).toBe('aggregator')
  expect(headers).toMatchObject({ 'x-clickhouse-user': 'u', 'x-clickhouse-ssl-certificate-auth': 'on' })
})
