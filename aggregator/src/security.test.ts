/** A whole aggregator with all doors locked: TLS both ways, users, credentials, tenants; and its secrets, which show nowhere. */
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { parseConfig } from '@tributary/protocol/config-file.ts'
import { encodePing, parseHelo } from '@tributary/protocol/handshake.ts'
import { decode, encode, ValueSplitter } from '@tributary/protocol/msgpack.ts'
import { type Pair, TestAuthority, TestMount } from '@tributary/protocol/test-authority.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { type RunningAggregator, startAggregator } from './aggregator.ts'
import { aggregatorConfig } from './config.ts'
import { createLog } from './log.ts'

const secrets = {
  shared: 'shared-Qk1',
  shop: 'password-of-shop-Qk2',
  bank: 'password-of-bank-Qk3',
  reader: 'token-of-reader-Qk4',
  gateway: 'token-of-gateway-Qk5',
  ann: 'password-of-ann-Qk6',
}

const stack = new AsyncDisposableStack()
const authority = stack.use(new TestAuthority())
const clients = stack.use(new TestAuthority())
const files = (server: Pair, ca: Buffer) => ({ ...server, ca, ...secrets })
const mount = stack.use(new TestMount(files(authority.issue(), clients.cert)))
const own = clients.issue('client')
const logged: string[] = []
let aggregator: RunningAggregator

beforeAll(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tributary-security-'))
  stack.defer(() => rmSync(directory, { recursive: true, force: true }))
  const tls = `{certFile: ${mount.path('cert')}, keyFile: ${mount.path('key')}, caFile: ${mount.path('ca')}}`
  const text = `dataDir: ${directory}
tenants: {enabled: true, overrides: {shop: {maxLabelNames: 2}}}
forward:
  listen: 127.0.0.1
  port: 0
  tls: ${tls}
  sharedKeyFile: ${mount.path('shared')}
  users:
    shop: {passwordFile: ${mount.path('shop')}, tenant: shop}
    bank: {password: "\${BANK}", tenant: bank}
http:
  listen: 127.0.0.1
  port: 0
  tls: ${tls}
  requestTimeout: 1s
  idleTimeout: 1s
  maxConnections: 20
  auth:
    credentials:
      - {name: reader, tokenFile: ${mount.path('reader')}, roles: [read], tenants: [shop]}
      - {name: gateway, token: "\${GATEWAY}", roles: [read, push], tenants: ['*']}
      - {name: ann, username: ann, passwordFile: ${mount.path('ann')}, roles: [admin], tenants: ['*']}
load: {blockDelay: 50ms}
log: {level: debug}`
  const config = parseConfig('test', text, aggregatorConfig, { BANK: secrets.bank, GATEWAY: secrets.gateway })
  const log = createLog('debug', { write: (line: string) => void logged.push(line) })
  aggregator = await startAggregator(config, { log })
  stack.defer(() => aggregator.close().then(() => {}))
}, 60_000)
afterAll(() => stack.disposeAsync())

interface Asked {
  readonly tenant?: string
  readonly authorization?: string
  readonly body?: string
  readonly pair?: Partial<Pair>
  readonly ca?: Buffer
}

const answers: string[] = []

/** One request on a connection of its own. */
function ask(path: string, { tenant, authorization, body, pair = own, ca = authority.cert }: Asked = {}) {
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const sent = request({
      ...{ host: '127.0.0.1', port: aggregator.httpPort, servername: 'localhost', path, ca, ...pair },
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(tenant === undefined ? {} : { 'x-scope-orgid': tenant }),
        ...(authorization === undefined ? {} : { authorization }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      agent: new Agent({ keepAlive: false, maxCachedSessions: 0 }),
    })
    sent.on('response', async (response) => {
      let text = ''
      for await (const piece of response.setEncoding('utf8')) text += piece
      answers.push(text)
      resolve({ status: response.statusCode!, text })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
const gateway = `Bearer ${secrets.gateway}`
const reader = `Bearer ${secrets.reader}`
const ann = `Basic ${Buffer.from(`ann:${secrets.ann}`).toString('base64')}`

/** Greets as a user and sends one message; the answer to it, or what the aggregator says to refuse. */
function forward(username: string, password: string, sharedKey: string, message: unknown): Promise<unknown> {
  const socket = connect({
    port: aggregator.forwardPort,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: authority.cert,
    ...own,
  })
  const splitter = new ValueSplitter(1 << 20)
  return new Promise((resolve, reject) => {
    let step = 0
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('closed')))
    socket.on('data', (data) => {
      for (const value of splitter.push(data)) {
        if (step++ === 0)
          socket.write(encodePing(parseHelo(value), 'client', 'salt', { sharedKey, username, password }))
        else if (step === 2) {
          const [, ok, reason] = decode(value) as [string, boolean, string]
          if (ok) socket.write(encode(message))
          else resolve(reason)
        } else {
          resolve(decode(value))
          socket.destroy()
        }
      }
    })
  })
}

const now = Math.floor(Date.now() / 1000)
const query = (selector: string) =>
  `/loki/api/v1/query_range?${new URLSearchParams({ query: selector, start: `${now - 600}`, end: `${now + 600}` })}`

test('what a user sends belongs to its tenant, and nobody else reads it', { timeout: 60_000 }, async () => {
  for (const name of ['shop', 'bank'] as const) {
    const message = ['app', now, { log: `line of ${name}` }, { chunk: name }]
    expect(await forward(name, secrets[name], secrets.shared, message)).toEqual({ ack: name })
  }
  const body = (tenant: string, labels = {}) =>
    JSON.stringify({
      streams: [{ stream: { tag: 'app', ...labels }, values: [[`${now}000000000`, `pushed by ${tenant}`]] }],
    })
  const push = (tenant: string, more: Asked) => ask('/loki/api/v1/push', { tenant, body: body(tenant), ...more })
  expect((await push('shop', { authorization: gateway })).status).toBe(204)
  expect((await push('bank', { authorization: gateway })).status).toBe(204)
  // A limit of this tenant alone.
  const many = body('shop', { a: '1', b: '2' })
  expect(await push('shop', { authorization: gateway, body: many })).toMatchObject({
    status: 400,
    text: expect.stringContaining('has 3 label names; limit 2'),
  })
  expect((await push('bank', { authorization: gateway, body: body('bank', { a: '1', b: '2' }) })).status).toBe(204)
  expect((await push('shop', { authorization: reader })).status).toBe(403)
  expect((await push('shop', {})).status).toBe(401)

  const found = async (asked: Asked) => (await ask(query('{tag="app"}'), asked)).text
  await expect.poll(() => found({ authorization: reader })).toMatch(/pushed by shop/)
  await expect.poll(() => found({ authorization: reader })).toMatch(/line of shop/)
  expect(await found({ authorization: reader })).not.toContain('bank')
  await expect.poll(() => found({ authorization: gateway, tenant: 'bank' })).toMatch(/line of bank/)
  expect(await found({ authorization: gateway, tenant: 'bank' })).not.toContain('shop')
  const both = await found({ authorization: gateway, tenant: 'shop|bank' })
  expect(both).toMatch(/"__tenant_id__":"shop"/)
  expect(both).toMatch(/"__tenant_id__":"bank"/)
  expect((await ask('/api/v1/audit', { authorization: gateway })).status).toBe(403)
  expect((await ask('/api/v1/audit', { authorization: ann })).status).toBe(200)
})

test('a tail sees what comes for its tenants, and nothing else', { timeout: 60_000 }, async () => {
  const tail = async (headers: Record<string, string>) => {
    const address = `wss://127.0.0.1:${aggregator.httpPort}/loki/api/v1/tail?${new URLSearchParams({ query: '{tag="live"}' })}`
    const socket = new WebSocket(address, { ca: authority.cert, ...own, headers })
    stack.defer(() => socket.terminate())
    const frames: string[] = []
    socket.on('message', (frame) => frames.push(String(frame)))
    const status = await new Promise<number>((resolve, reject) => {
      socket.on('open', () => resolve(101))
      socket.on('unexpected-response', (_, answer) => resolve(answer.statusCode!))
      socket.on('error', reject)
    })
    return { frames, status }
  }
  expect((await tail({})).status).toBe(401)
  expect((await tail({ authorization: reader, 'x-scope-orgid': 'bank' })).status).toBe(403)
  const shop = await tail({ authorization: reader })
  const bank = await tail({ authorization: gateway, 'x-scope-orgid': 'bank' })
  const both = await tail({ authorization: gateway, 'x-scope-orgid': 'shop|bank' })
  for (const name of ['shop', 'bank'] as const)
    await forward(name, secrets[name], secrets.shared, ['live', now, { log: `live of ${name}` }, { chunk: name }])
  await expect.poll(() => shop.frames.join()).toMatch(/live of shop/)
  await expect.poll(() => bank.frames.join()).toMatch(/live of bank/)
  await expect.poll(() => both.frames.join()).toMatch(/live of bank.*live of shop|live of shop.*live of bank/s)
  expect(shop.frames.join()).not.toContain('bank')
  expect(bank.frames.join()).not.toContain('shop')
})

test.for([
  { what: 'a wrong shared key', user: 'shop', password: secrets.shop, shared: 'x', reason: 'shared_key mismatch' },
  {
    what: "another user's password",
    user: 'shop',
    password: secrets.bank,
    shared: secrets.shared,
    reason: 'username/password mismatch',
  },
  { what: 'no user', user: '', password: '', shared: secrets.shared, reason: 'username/password mismatch' },
  {
    what: 'a user that every object has',
    user: 'constructor',
    password: '',
    shared: secrets.shared,
    reason: 'username/password mismatch',
  },
])('$what is refused', async ({ user, password, shared, reason }) => {
  expect(await forward(user, password, shared, ['t', now, { log: 'x' }])).toBe(reason)
})

test('without a certificate of the right authority only probes are answered', async () => {
  for (const pair of [{}, authority.issue('client')]) {
    expect((await ask('/ready', { pair })).status).toBe(200)
    expect((await ask('/metrics', { pair })).status).toBe(200)
    expect(await ask(query('{tag="app"}'), { pair, authorization: reader })).toEqual({
      status: 401,
      text: 'a client certificate is needed',
    })
  }
})

/** Connects to the HTTP port and sends `text`; how long it took until the connection was closed, ms. */
async function closedAfter(text: string): Promise<number> {
  const socket = connect({
    port: aggregator.httpPort,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: authority.cert,
    ...own,
  })
  const began = performance.now()
  await new Promise<void>((resolve) => {
    socket.on('close', () => resolve())
    socket.on('error', () => {})
    socket.on('data', () => {})
    socket.on('secureConnect', () => socket.write(text))
  })
  return performance.now() - began
}

test.for([
  { what: 'a head that does not end', text: 'GET /ready HTTP/1.1\r\nhost: x\r\nx-slow: ' },
  {
    what: 'a body that does not end',
    text: `POST /loki/api/v1/push HTTP/1.1\r\nhost: x\r\nauthorization: ${gateway}\r\nx-scope-orgid: shop\r\ncontent-length: 100\r\n\r\n{`,
  },
  { what: 'nothing more behind an answer', text: 'GET /ready HTTP/1.1\r\nhost: x\r\n\r\n' },
])('$what does not hold a connection', { timeout: 30_000 }, async ({ text }) => {
  expect(await closedAfter(text)).toBeGreaterThan(900)
})

test('connections beyond their number are closed at once', { timeout: 30_000 }, async () => {
  const sockets = Array.from({ length: 40 }, () => connectTcp(aggregator.httpPort, '127.0.0.1'))
  const closed = sockets.map(
    (socket) => new Promise<void>((resolve) => socket.on('error', () => {}).on('close', () => resolve())),
  )
  await Promise.any(closed)
  for (const socket of sockets) socket.destroy()
  await expect
    .poll(async () => (await ask('/metrics').catch(() => ({ text: '' }))).text)
    .toMatch(/aggregator_http_dropped_connections_total [1-9]/)
})

test('certificates and tokens that are replaced are used without a restart', { timeout: 60_000 }, async () => {
  using after = new TestAuthority()
  using afterClients = new TestAuthority()
  const renewed = afterClients.issue('client')
  mount.write({ ...files(after.issue(), afterClients.cert), reader: 'token-renewed-Qk7' })
  const statusOf = (asked: Asked) =>
    ask(query('{tag="app"}'), asked).then(
      ({ status }) => status,
      () => 0,
    )
  await expect
    .poll(() => statusOf({ ca: after.cert, pair: renewed, authorization: 'Bearer token-renewed-Qk7' }))
    .toBe(200)
  expect(await statusOf({ ca: after.cert, pair: renewed, authorization: reader })).toBe(401)
  expect(await statusOf({ ca: after.cert, pair: own, authorization: 'Bearer token-renewed-Qk7' })).toBe(401)
  expect(await statusOf({ authorization: reader })).toBe(0)
  expect(logged.join('')).toMatch(/"key":"http.tls"/)
  answers.push((await ask('/metrics', { ca: after.cert, pair: renewed })).text)
})

test('no secret shows in logs, answers, metrics or the audit', () => {
  expect(logged.length).toBeGreaterThan(5)
  expect(answers.length).toBeGreaterThan(20)
  expect(logged.join('')).toMatch(/shared_key mismatch/)
  for (const text of [...logged, ...answers]) expect(text).not.toMatch(/Qk\d/)
  const encoded = Buffer.from(`ann:${secrets.ann}`).toString('base64')
  for (const text of [...logged, ...answers]) expect(text).not.toContain(encoded)
})

test('what should never be logged is not, if it is', () => {
  const lines: string[] = []
  const log = createLog('info', { write: (line: string) => void lines.push(line) })
  const error = Object.assign(new Error('failed'), { headers: { authorization: 'Qk1' }, password: 'Qk2' })
  log.info(
    { headers: { authorization: 'Qk3' }, config: { forward: { sharedKey: 'Qk4' } }, token: 'Qk5', err: error },
    'x',
  )
  log.info({ aggregator: { password: 'Qk6' }, options: { token: 'Qk7' } }, 'y')
  expect(lines.join('')).not.toMatch(/Qk\d/)
  expect(lines.join('').match(/\[secret\]/g)!.length).toBe(7)
})
