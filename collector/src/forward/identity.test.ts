/** What the collector shows, against the receiver that the aggregator has: TLS both ways, shared key, user; replaced while it runs. */
import { encodeAck } from '@tributary/protocol/chunk.ts'
import { chunkOf, forwardMessage, parseMessage } from '@tributary/protocol/forward.ts'
import type { Origin } from '@tributary/protocol/receive/connection.ts'
import { Receiver } from '@tributary/protocol/receive/receiver.ts'
import { Secret } from '@tributary/protocol/secret.ts'
import { TestAuthority, TestMount } from '@tributary/protocol/test-authority.ts'
import { TlsFiles } from '@tributary/protocol/tls-files.ts'
import { FileError } from '@tributary/protocol/watched-file.ts'
import { pino } from 'pino'
import { afterEach, expect, test } from 'vitest'
import { collectorConfig } from '../config.ts'
import { CollectorMetrics } from '../metrics.ts'
import { identityOf } from './identity.ts'
import type { Parcel } from './parcel.ts'
import { Sender } from './sender.ts'

let stack = new AsyncDisposableStack()
afterEach(async () => {
  await stack.disposeAsync()
  stack = new AsyncDisposableStack()
})

/** An aggregator's port, with files that are its own. */
async function receive(mount: TestMount) {
  const users: (string | undefined)[] = []
  const sink = {
    undurableBytes: 0,
    full: false,
    accept(message: Buffer, from: Origin) {
      users.push(from.user)
      return Promise.resolve(encodeAck({ ack: chunkOf(parseMessage(message)!)! }))
    },
  }
  const [certFile, keyFile, caFile] = ['cert', 'key', 'ca'].map((name) => mount.path(name))
  const security = {
    hostname: 'aggregator',
    sharedKey: Secret.from('k', undefined, mount.path('shared'))!,
    users: new Map([['node', Secret.from('p', undefined, mount.path('password'))!]]),
  }
  const options = { listen: '127.0.0.1', port: 0, maxMessageBytes: 1 << 20, maxConnections: 10, bufferBytes: 1 << 20 }
  const receiver = await Receiver.open(
    {
      ...options,
      messageTimeout: 5000,
      idleTimeout: 60_000,
      security,
      tls: new TlsFiles('t', { certFile, keyFile, caFile }, {}, 0),
    },
    sink,
    { onError: () => {}, onConnection: () => {} },
  )
  stack.defer(() => receiver.close(AbortSignal.abort()))
  return { receiver, users }
}

function aggregatorOf(mount: TestMount, port: number) {
  const [certFile, keyFile, caFile] = ['cert', 'key', 'ca'].map((name) => mount.path(name))
  return collectorConfig.parse({
    node: 'n',
    aggregator: {
      address: `localhost:${port}`,
      sharedKeyFile: mount.path('shared'),
      username: 'node',
      passwordFile: mount.path('password'),
      tls: { enabled: true, certFile, keyFile, caFile },
    },
  })
}

test('a collector goes on when certificates, shared key and password are replaced on both sides', {
  timeout: 60_000,
}, async () => {
  const [before, after] = [stack.use(new TestAuthority()), stack.use(new TestAuthority())]
  const one = { ca: before.cert, shared: 'one\n', password: 'pass-one\n' }
  const two = { ca: after.cert, shared: 'two\n', password: 'pass-two\n' }
  const theirs = stack.use(new TestMount({ ...before.issue(), ...one }))
  const ours = stack.use(new TestMount({ ...before.issue('node'), ...one }))
  const { receiver, users } = await receive(theirs)
  const { credentials, tls } = identityOf(aggregatorOf(ours, receiver.port))
  const open = () => {
    const sender = new Sender<Parcel>({
      ...{
        name: 'aggregator',
        to: { host: '127.0.0.1', port: receiver.port, serverName: 'localhost' },
        identify: false,
      },
      ...{ credentials, ackTimeout: 5000, log: pino({ level: 'silent' }), metrics: new CollectorMetrics() },
      tls: tls!,
    })
    sender.onOpen = () => sender.resume()
    stack.defer(() => sender.close())
    return sender
  }
  const send = (sender: Sender<Parcel>, id: string) =>
    new Promise((settle) =>
      sender.put({ id, pieces: forwardMessage('t', new Uint8Array(0), { chunk: id }), settle } as never),
    )
  const first = open()
  expect(await send(first, 'a')).toEqual({ ack: 'a' })

  // The aggregator first, as rollouts do: whoever is connected goes on, who comes anew waits for its own files.
  theirs.write({ ...after.issue(), ...two })
  expect(await send(first, 'b')).toEqual({ ack: 'b' })
  const second = open()
  const sent = send(second, 'c')
  await expect.poll(() => second.failures).toBeGreaterThan(0)
  ours.write({ ...after.issue('node'), ...two })
  expect(await sent).toEqual({ ack: 'c' })
  expect(users).toEqual(['node', 'node', 'node'])
})

test('files that are not there, or do not fit together, are an error that names their key', () => {
  using authority = new TestAuthority()
  using mount = new TestMount({ ...authority.issue(), ca: authority.cert, shared: 'k', password: 'p' })
  mount.write({ ...authority.issue(), key: authority.issue().key, ca: authority.cert, shared: 'k', password: 'p' })
  expect(() => identityOf(aggregatorOf(mount, 1))).toThrow(/^aggregator\.tls: .*key values mismatch/)
  mount.write({ ca: authority.cert })
  expect(() => identityOf(aggregatorOf(mount, 1))).toThrow(FileError)
  expect(() => identityOf(aggregatorOf(mount, 1))).toThrow(/^aggregator\.sharedKeyFile: /)
})

test('a secret is said once, and a certificate has its key', () => {
  const parse = (aggregator: object) => collectorConfig.safeParse({ aggregator: { address: 'a:1', ...aggregator } })
  expect(parse({ sharedKey: 'a', sharedKeyFile: '/b' }).error?.issues[0]?.path).toEqual(['aggregator', 'sharedKeyFile'])
  expect(parse({ tls: { certFile: '/a' } }).error?.issues[0]?.path).toEqual(['aggregator', 'tls'])
})
