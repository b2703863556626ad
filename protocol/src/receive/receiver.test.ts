import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { afterEach, expect, test, vi } from 'vitest'
import { encodePing, parseHelo } from '../handshake.ts'
import { decode, encode, ValueSplitter } from '../msgpack.ts'
import { Secret } from '../secret.ts'
import { TestAuthority, TestMount } from '../test-authority.ts'
import { TlsFiles } from '../tls-files.ts'
import type { WatchedFileEvents } from '../watched-file.ts'
import type { Origin } from './connection.ts'
import { ReceiveError } from './receive-error.ts'
import { Receiver, type ReceiverOptions, type Sink } from './receiver.ts'

const defaults: ReceiverOptions = {
  listen: '127.0.0.1',
  port: 0,
  maxMessageBytes: 1 << 20,
  maxConnections: 10,
  bufferBytes: 1 << 20,
  messageTimeout: 60_000,
  idleTimeout: 60_000,
}

/** Takes every message that is an array, answers it when told to, and refuses other values. */
class TestSink implements Sink {
  readonly messages: unknown[] = []
  undurableBytes = 0
  full = false
  held: (() => void)[] | undefined
  hold = 0
  accept(message: Buffer, from: Origin) {
    const value = decode(message)
    if (Array.isArray(value) && value[0] === 'hold') from.hold(this.hold)
    if (value === 'fault') throw new TypeError('a fault')
    if (value === 'wrong') throw new ReceiveError('bad_chunk', 'as told', false)
    if (value === 'limited') throw new ReceiveError('limited', 'as told', 'once answered')
    if (!Array.isArray(value)) throw new ReceiveError('not_forward', 'no array', true)
    this.messages.push(value)
    const answer = encode({ ack: value[0] })
    if (this.held === undefined) return Promise.resolve(answer)
    return new Promise<Buffer>((resolve) => this.held!.push(() => resolve(answer)))
  }
}

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function start(options: Partial<ReceiverOptions> = {}) {
  const sink = new TestSink()
  const problems: string[] = []
  const receiver = await Receiver.open({ ...defaults, ...options }, sink, {
    onError: ({ problem }) => problems.push(problem),
    onConnection: () => {},
  })
  closing.push(() => receiver.close(AbortSignal.abort()))
  return { sink, problems, receiver, dial: () => new Peer(connect({ port: receiver.port, host: '127.0.0.1' })) }
}

/** A client that collects what it is sent. */
class Peer {
  readonly socket: Socket
  readonly #splitter = new ValueSplitter(1 << 20)
  readonly received: Buffer[] = []
  readonly closed: Promise<void>
  #wake = () => {}
  constructor(socket: Socket) {
    this.socket = socket
    this.socket.on('error', () => {})
    this.socket.on('data', (data) => {
      this.received.push(...this.#splitter.push(data))
      this.#wake()
    })
    this.closed = new Promise((resolve) => this.socket.on('close', () => resolve()))
  }
  send(...values: unknown[]) {
    for (const value of values) this.socket.write(Buffer.isBuffer(value) ? value : encode(value))
  }
  /** The next value the server sends. */
  async next(): Promise<Buffer> {
    while (this.received.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.received.shift()!
  }
}

const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

test('messages are taken in order, however they are cut, and answered when their time has come', async () => {
  const { sink, dial } = await start()
  const peer = dial()
  const bytes = Buffer.concat([encode(['a', 'x'.repeat(1000)]), encode(['b']), encode(['c'])])
  for (const byte of bytes) peer.socket.write(Buffer.of(byte))
  expect([await peer.next(), await peer.next(), await peer.next()].map((b) => decode(b))).toEqual([
    { ack: 'a' },
    { ack: 'b' },
    { ack: 'c' },
  ])
  expect(sink.messages).toHaveLength(3)
})

test('a sender that ends its side still gets its acknowledgements', async () => {
  const { sink, dial } = await start()
  sink.held = []
  const peer = dial()
  peer.send(['a'])
  peer.socket.end()
  await until(() => sink.held!.length === 1)
  sink.held[0]!()
  expect(decode(await peer.next())).toEqual({ ack: 'a' })
  await peer.closed
})

test('a connection whose sender waits for what was refused ends once all before it is answered', async () => {
  const { sink, problems, dial } = await start()
  sink.held = []
  const peer = dial()
  peer.send(Buffer.concat([['a'], 'limited', ['b']].map((value) => encode(value))))
  await until(() => sink.held!.length === 1)
  sink.held[0]!()
  expect(decode(await peer.next())).toEqual({ ack: 'a' })
  await peer.closed
  expect(problems).toEqual(['limited'])
  expect(sink.messages).toEqual([['a']])
})

test.for([
  { input: 'half a message, then close', bytes: encode(['abcdef']).subarray(0, 4), end: true, problem: 'cut_off' },
  { input: 'a byte that starts no value', bytes: Buffer.from('c1', 'hex'), problem: 'not_msgpack' },
  { input: 'another protocol', bytes: Buffer.from('GET / HTTP/1.1\r\n\r\n'), problem: 'not_forward' },
  { input: 'TLS where none is spoken', bytes: Buffer.from('16030102000100dbffffffff', 'hex'), problem: 'tls' },
  { input: 'an endless string', bytes: Buffer.from('91dbffffffff', 'hex'), problem: 'too_large' },
  {
    input: 'an endless array',
    bytes: Buffer.alloc((1 << 20) + 70_000, 0).fill('ddffffffff', 0, 5, 'hex'),
    problem: 'too_large',
  },
  { input: 'what brings out a fault of ours', bytes: encode('fault'), problem: 'internal' },
  { input: 'a nesting without end', bytes: Buffer.alloc((1 << 20) + 70_000, 0x91), problem: 'too_large' },
])('$input closes its connection as $problem and disturbs no other', async ({ bytes, end, problem }) => {
  const { problems, dial } = await start()
  const [good, bad] = [dial(), dial()]
  good.send(['a'])
  await good.next()
  bad.send(bytes)
  if (end) bad.socket.end()
  await bad.closed
  expect(problems).toEqual([problem])
  good.send(['b'])
  expect(decode(await good.next())).toEqual({ ack: 'b' })
})

test('connections full of random bytes are closed, each with a reason, and disturb no other', async () => {
  const { problems, dial } = await start({ maxConnections: 200, messageTimeout: 200 })
  const good = dial()
  let seed = 1
  const random = () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) >> 8
  for (let round = 0; round < 20; round++) {
    const bad = Array.from({ length: 5 }, dial)
    for (const peer of bad) {
      peer.send(Buffer.from(Array.from({ length: 1 + (random() % 3000) }, () => random() & 0xff)))
      peer.socket.end()
    }
    await Promise.all(bad.map((peer) => peer.closed))
    good.send([`round ${round}`])
    expect(decode(await good.next())).toEqual({ ack: `round ${round}` })
  }
  expect(problems.length).toBeGreaterThan(50)
  expect(problems).not.toContain('internal')
})

test('a refused message whose end is known is skipped, what follows is taken', async () => {
  const { problems, dial } = await start()
  const peer = dial()
  peer.send('wrong', ['a'])
  expect(decode(await peer.next())).toEqual({ ack: 'a' })
  expect(problems).toEqual(['bad_chunk'])
})

test.for([
  { what: 'a message', options: {} },
  { what: 'a handshake', options: { security: { hostname: 'server', sharedKey: Secret.of('k') } } },
])('$what that does not end in time closes the connection', async ({ options }) => {
  const { problems, dial } = await start({ messageTimeout: 50, ...options })
  const peer = dial()
  peer.send(Buffer.from('92a1', 'hex'))
  await peer.closed
  expect(problems).toEqual(['timeout'])
})

test('a connection that never begins is told of once, stays open, and is taken when it does begin', async () => {
  const { problems, dial } = await start({ messageTimeout: 50 })
  const peer = dial()
  await expect.poll(() => problems).toEqual(['silent'])
  await sleep(200)
  peer.send(['a'])
  expect(decode(await peer.next())).toEqual({ ack: 'a' })
  await sleep(200)
  expect(problems).toEqual(['silent'])
})

test('a connection that says nothing for long is closed without being an error', async () => {
  const { problems, dial } = await start({ idleTimeout: 50 })
  await dial().closed
  expect(problems).toEqual([])
})

test('connections beyond the limit are closed and counted', async () => {
  const { problems, dial } = await start({ maxConnections: 2 })
  const peers = [dial(), dial()]
  for (const peer of peers) peer.send(['a'])
  for (const peer of peers) await peer.next()
  await dial().closed
  expect(problems).toEqual(['too_many_connections'])
})

test('large messages on many connections at once come one after the other, in bounded memory', async () => {
  const limits = { maxMessageBytes: 16 << 20, bufferBytes: 1 << 20, maxConnections: 100 }
  const { sink, receiver, problems, dial } = await start(limits)
  const senders = Array.from({ length: 30 }, dial)
  let most = 0
  for (const [i, peer] of senders.entries()) peer.send([`${i}`, Buffer.alloc(3 << 20)])
  while (sink.messages.length < senders.length) {
    most = Math.max(most, receiver.pendingBytes)
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(problems).toEqual([])
  expect(most).toBeGreaterThan(1 << 20)
  expect(most).toBeLessThan((1 << 20) + (3 << 20) + senders.length * (128 << 10))
  const small = dial()
  small.send(['small'])
  expect(decode(await small.next())).toEqual({ ack: 'small' })
})

test('with too much pending over all connections the largest is closed', async () => {
  const { problems, dial } = await start({ maxMessageBytes: 16 << 20, bufferBytes: 1 << 20 })
  const [small, large, larger] = [dial(), dial(), dial()]
  const head = Buffer.from('91dc0fff', 'hex')
  small.send(head, Buffer.alloc(1000, 0xc0))
  large.send(Buffer.from('91c600f00000', 'hex'), Buffer.alloc(8 << 20))
  larger.send(Buffer.from('91c600f00000', 'hex'), Buffer.alloc(12 << 20))
  await larger.closed
  await large.closed
  expect(problems).toEqual(['buffer_full', 'buffer_full'])
  expect(small.socket.destroyed).toBe(false)
})

test.for([{ by: 'too many bytes that are not durable' }, { by: 'a full write-ahead log' }])(
  'by $by senders are made to wait, nothing is lost',
  async ({ by }) => {
    const { sink, receiver, dial } = await start()
    if (by.includes('full')) sink.full = true
    else sink.undurableBytes = 2 << 20
    const peer = dial()
    peer.send(['a'])
    await until(() => receiver.paused)
    const taken = sink.messages.length
    peer.send(...Array.from({ length: 100 }, (_, i) => [String(i), Buffer.alloc(100_000)]))
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(sink.messages).toHaveLength(taken)
    sink.full = false
    sink.undurableBytes = 0
    receiver.proceed()
    await until(() => sink.messages.length === 101)
  },
)

const security = { hostname: 'server', sharedKey: Secret.of('k'), users: new Map([['u', Secret.of('p')]]) }
test.for([
  { when: 'key, user and password are right', credentials: { sharedKey: 'k', username: 'u', password: 'p' }, ok: true },
  { when: 'the key is wrong', credentials: { sharedKey: 'x', username: 'u', password: 'p' }, ok: false },
  { when: 'the password is wrong', credentials: { sharedKey: 'k', username: 'u', password: 'x' }, ok: false },
])('a handshake when $when', async ({ credentials, ok }) => {
  const { sink, problems, dial } = await start({ security })
  const peer = dial()
  const helo = parseHelo(await peer.next())
  // What follows the PING in the same write must not be lost.
  peer.send(Buffer.concat([encodePing(helo, 'client', 'salt', credentials), encode(['a'])]))
  expect((decode(await peer.next()) as unknown[]).slice(0, 2)).toEqual(['PONG', ok])
  if (ok) expect(decode(await peer.next())).toEqual({ ack: 'a' })
  else await peer.closed
  expect(sink.messages).toHaveLength(ok ? 1 : 0)
  expect(problems).toEqual(ok ? [] : ['handshake'])
})

test.for([['a'], 'x'.repeat(100_000)])('without a PING nothing is taken', async (value) => {
  const { sink, problems, dial } = await start({ security })
  const peer = dial()
  peer.send(value)
  await peer.closed
  expect(sink.messages).toEqual([])
  expect(problems).toEqual(['handshake'])
})

test('a sender that does not read its acknowledgements is cut off', async () => {
  const { problems, dial } = await start({ maxMessageBytes: 1 << 22 })
  const peer = dial()
  peer.socket.pause()
  // Each answer repeats the id, so a few long ids fill every buffer on the way.
  const message = encode(['x'.repeat(1 << 20)])
  const send = () => peer.socket.write(message, () => problems.length === 0 && !peer.socket.destroyed && send())
  send()
  await until(() => problems.length > 0)
  expect(problems).toEqual(['buffer_full'])
})

test('a connection that is held is read later, while others are read', async () => {
  const { sink, dial, receiver } = await start()
  sink.hold = 300
  const held = dial()
  held.send(['hold'])
  await held.next()
  const began = performance.now()
  held.send(['a'])
  const other = dial()
  other.send(['b'])
  await other.next()
  expect(sink.messages).toEqual([['hold'], ['b']])
  // Neither does the receiver's own pause end it early.
  sink.full = true
  other.send(['c'])
  await until(() => receiver.paused)
  sink.full = false
  receiver.proceed()
  expect(decode(await held.next())).toEqual({ ack: 'a' })
  expect(performance.now() - began).toBeGreaterThan(250)
})

test('closing answers what was received and takes nothing more', async () => {
  const { sink, receiver, dial } = await start()
  sink.held = []
  const peer = dial()
  peer.send(['a'])
  await until(() => sink.held!.length === 1)
  const closed = receiver.close(AbortSignal.timeout(5000))
  peer.send(['b'])
  sink.held[0]!()
  expect(decode(await peer.next())).toEqual({ ack: 'a' })
  peer.socket.end()
  await closed
  expect(sink.messages).toEqual([['a']])
})

test('with TLS and a CA only senders with a certificate of that CA are taken', async () => {
  using ours = new TestAuthority()
  using theirs = new TestAuthority()
  using mount = new TestMount({ ...ours.issue(), ca: ours.cert })
  const { problems, receiver } = await start({ tls: filesOf(mount) })
  const dial = (own: object) => dialTls(receiver, { ca: ours.cert, ...own })
  const known = dial(ours.issue('node-1'))
  known.send(['a'])
  expect(decode(await known.next())).toEqual({ ack: 'a' })
  for (const own of [{}, theirs.issue('node-1')]) {
    const unknown = dial(own)
    unknown.send(['a'])
    await unknown.closed
  }
  expect(problems).toEqual(['tls', 'tls'])
})

const filesOf = (mount: TestMount, events: WatchedFileEvents = {}) =>
  new TlsFiles(
    'forward.tls',
    { certFile: mount.path('cert'), keyFile: mount.path('key'), caFile: mount.path('ca') },
    events,
    0,
  )
const dialTls = (receiver: Receiver, options: object) =>
  new Peer(connectTls({ port: receiver.port, host: '127.0.0.1', servername: 'localhost', ...options }))

test('who goes away within the TLS handshake, or never begins it, leaves no connection behind', async () => {
  using authority = new TestAuthority()
  using mount = new TestMount({ ...authority.issue(), ca: authority.cert })
  const { problems, receiver, dial } = await start({ tls: filesOf(mount), messageTimeout: 300, maxConnections: 3 })
  // A probe, a client that trusts nobody, one that says nothing.
  const probe = dial()
  probe.socket.once('connect', () => probe.socket.destroy())
  const wary = dialTls(receiver, { ca: [] })
  const silent = dial()
  await Promise.all([probe.closed, wary.closed, silent.closed])
  await until(() => problems.length === 3)
  const known = dialTls(receiver, { ca: authority.cert, ...authority.issue('node-1') })
  known.send(['a'])
  expect(decode(await known.next())).toEqual({ ack: 'a' })
})

test('certificates that are replaced are used from the next connection on, those open go on', async () => {
  using before = new TestAuthority()
  using after = new TestAuthority()
  using mount = new TestMount({ ...before.issue(), ca: before.cert })
  const events: string[] = []
  const tls = filesOf(mount, {
    onChange: (key) => events.push(`${key} taken`),
    onProblem: (key) => events.push(`${key} refused`),
  })
  const { problems, receiver } = await start({ tls })
  const old = before.issue('node-1')
  const open = dialTls(receiver, { ca: before.cert, ...old })
  open.send(['a'])
  await open.next()

  // A key that does not fit its certificate, as between two files that are written one after the other.
  mount.write({ ...after.issue(), key: after.issue().key, ca: after.cert })
  const meanwhile = dialTls(receiver, { ca: before.cert, ...old })
  meanwhile.send(['b'])
  expect(decode(await meanwhile.next())).toEqual({ ack: 'b' })

  mount.write({ ...after.issue(), ca: after.cert })
  const renewed = dialTls(receiver, { ca: after.cert, ...after.issue('node-1') })
  renewed.send(['c'])
  expect(decode(await renewed.next())).toEqual({ ack: 'c' })
  const outdated = dialTls(receiver, { ca: after.cert, ...old })
  outdated.send(['d'])
  await outdated.closed
  open.send(['e'])
  expect(decode(await open.next())).toEqual({ ack: 'e' })
  expect(problems).toEqual(['tls'])
  expect(events).toEqual(['forward.tls refused', 'forward.tls taken'])
})

test('a shared key that is replaced in its file is asked for from the next connection on', async () => {
  using mount = new TestMount({ key: 'one\n' })
  const { problems, dial } = await start({
    security: { hostname: 'server', sharedKey: Secret.from('forward.sharedKey', undefined, mount.path('key'))! },
  })
  const greet = async (sharedKey: string) => {
    const peer = dial()
    const helo = parseHelo(await peer.next())
    peer.send(encodePing(helo, 'client', 'salt', { sharedKey }))
    return (decode(await peer.next()) as unknown[])[1]
  }
  expect(await greet('one')).toBe(true)
  mount.write({ key: 'two\n' })
  await vi.waitUntil(() => greet('two'), { timeout: 10_000 })
  expect(await greet('one')).toBe(false)
  expect(new Set(problems)).toEqual(new Set(['handshake']))
})
