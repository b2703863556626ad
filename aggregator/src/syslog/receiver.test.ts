import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { parseMessage } from '@tributary/protocol/forward.ts'
import { TestAuthority, TestMount } from '@tributary/protocol/test-authority.ts'
import { TlsFiles } from '@tributary/protocol/tls-files.ts'
import { Registry } from 'prom-client'
import { expect, test, vi } from 'vitest'
import { readPush } from '../push/push-message.ts'
import { syslogConfig } from './config.ts'
import { SyslogMetrics, type SyslogProblem } from './metrics.ts'
import { SyslogReceiver, type SyslogSink } from './receiver.ts'

/** Stands for the write-ahead log: what is pushed waits until it is made durable. */
class HeldSink implements SyslogSink {
  readonly lines: string[] = []
  readonly tenants = new Set<string>()
  #held: (() => void)[] = []
  undurableBytes = 0
  full = false
  holding = false

  push(message: Buffer, tenant: string): Promise<void> {
    this.tenants.add(tenant)
    this.undurableBytes += message.length
    for (const { entries } of readPush(parseMessage(message)!.entries)) {
      this.lines.push(...entries.map(({ line }) => line.toString()))
    }
    return new Promise((resolve) => {
      this.#held.push(() => {
        this.undurableBytes -= message.length
        resolve()
      })
      if (!this.holding) this.release()
    })
  }

  release(): void {
    for (const resolve of this.#held.splice(0)) resolve()
  }
}

interface Setup extends AsyncDisposable {
  readonly sink: HeldSink
  readonly receiver: SyslogReceiver
  readonly problems: SyslogProblem[]
}

async function open(config: object = {}, tls?: TlsFiles): Promise<Setup> {
  const sink = new HeldSink()
  const problems: SyslogProblem[] = []
  const receiver = await SyslogReceiver.open({
    config: syslogConfig.parse({ listen: '127.0.0.1', port: 0, ...config }),
    tls,
    sink,
    metrics: new SyslogMetrics(new Registry()),
    onProblem: (reason) => problems.push(reason),
  })
  const dispose = async () => {
    sink.release()
    await receiver.close()
  }
  return { sink, receiver, problems, [Symbol.asyncDispose]: dispose }
}

async function dial(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {}) // told by what becomes of the messages
  await once(socket, 'connect')
  return socket
}

const line = (text: string) => `<14>1 2026-01-02T03:04:05Z h a - - - ${text}`
const counted = (text: string) => `${Buffer.byteLength(line(text))} ${line(text)}`

test('both framings arrive over TCP, the last line without its end too', async () => {
  await using setup = await open({ tenant: 'ops' })
  const socket = await dial(setup.receiver.port)
  socket.end(`${line('one')}\n${counted('two')}${counted('three')}${line('four')}`)
  await expect.poll(() => setup.sink.lines).toEqual(['one', 'two', 'three', 'four'])
  expect([...setup.sink.tenants]).toEqual(['ops'])
  expect(setup.problems).toEqual([])
})

test('another protocol is refused, a message that breaks off is told, and others go on', async () => {
  await using setup = await open()
  const good = await dial(setup.receiver.port)
  const stranger = await dial(setup.receiver.port)
  stranger.write('3.14 is no length')
  await once(stranger, 'close')
  const cut = await dial(setup.receiver.port)
  cut.end('99 <14>1 - h')
  await expect.poll(() => setup.problems).toEqual(['not_syslog', 'cut_off'])
  good.write(`${line('still here')}\n`)
  await expect.poll(() => setup.sink.lines).toEqual(['still here'])
  good.destroy()
})

test('senders wait while nothing more fits, and nothing is lost', async () => {
  await using setup = await open({ bufferBytes: '64KiB' })
  const { receiver, sink } = setup
  sink.holding = true
  const socket = await dial(receiver.port)
  const count = 40_000
  const text = 'x'.repeat(200)
  socket.write(Array.from({ length: count }, (_, i) => `${line(`${i} ${text}`)}\n`).join(''))
  await expect.poll(() => sink.undurableBytes).toBeGreaterThan(65_536)
  // It stands still: what comes now waits in the sockets.
  let before = -1
  await vi.waitUntil(() => before === (before = sink.lines.length), { interval: 200, timeout: 10_000 })
  expect(sink.lines.length).toBeLessThan(count / 4)
  sink.holding = false
  sink.release()
  receiver.proceed()
  await expect.poll(() => sink.lines.length).toBe(count)
  expect(sink.lines.map((one) => Number.parseInt(one, 10))).toEqual(Array.from({ length: count }, (_, i) => i))
  socket.destroy()
})

test('a log that is full is waited for, also when nobody tells that it is not any more', async () => {
  await using setup = await open()
  const { receiver, sink } = setup
  sink.full = true
  const socket = await dial(receiver.port)
  socket.write(`${line('first')}\n`)
  await expect.poll(() => sink.lines).toEqual(['first'])
  socket.write(`${line('second')}\n`)
  await sleep(100) // that nothing comes can't be asked for
  expect(sink.lines).toEqual(['first'])
  sink.full = false
  await expect.poll(() => sink.lines).toEqual(['first', 'second'])
  socket.destroy()
})

test('UDP is taken on the same port when it is asked for, and dropped, counted, while nothing fits', async () => {
  await using setup = await open({ udp: true })
  const { problems, receiver, sink } = setup
  const sender = createSocket('udp4')
  const send = (text: string) =>
    new Promise<void>((resolve) => sender.send(text, receiver.port, '127.0.0.1', () => resolve()))
  await send(line('one'))
  await send(`${line('with its end')}\n`)
  await expect.poll(() => sink.lines.toSorted()).toEqual(['one', 'with its end'])
  sink.full = true
  await send(line('lost'))
  await expect.poll(() => problems).toEqual(['dropped'])
  sender.close()
})

test('a burst of datagrams waits until the process gets to it', async () => {
  await using setup = await open({ udp: true })
  const most = Number(readFileSync('/proc/sys/net/core/rmem_max', 'utf8'))
  // The kernel counts nearly a kilobyte for a short one, and gives twice what is asked for.
  const sent = Array.from({ length: Math.min(2000, Math.floor(most / 512)) }, (_, i) => `${i}`)
  const sender = createSocket('udp4')
  sender.connect(setup.receiver.port, '127.0.0.1')
  await once(sender, 'connect')
  for (const text of sent) sender.send(line(text))
  await expect.poll(() => setup.sink.lines).toEqual(sent)
  sender.close()
})

test('TLS with certificates on both sides', async () => {
  using authority = new TestAuthority()
  const { cert, key } = authority.issue()
  using mount = new TestMount({ 'ca.pem': authority.cert, 'cert.pem': cert, 'key.pem': key })
  const paths = { certFile: mount.path('cert.pem'), keyFile: mount.path('key.pem'), caFile: mount.path('ca.pem') }
  await using setup = await open({}, new TlsFiles('syslog.tls', paths))
  const to = { port: setup.receiver.port, host: '127.0.0.1', servername: 'localhost', ca: authority.cert }
  const trusted = connectTls({ ...to, ...authority.issue('sender') })
  await once(trusted, 'secureConnect')
  trusted.end(counted('known'))
  await expect.poll(() => setup.sink.lines).toEqual(['known'])
  const stranger = connectTls(to)
  stranger.on('error', () => {}) // the refusal, if it comes before the end
  stranger.write(counted('unknown'))
  await expect.poll(() => setup.problems).toContain('tls')
  expect(setup.sink.lines).toEqual(['known'])
  stranger.destroy()
})

test('closing waits until what was received is durable', async () => {
  const setup = await open()
  setup.sink.holding = true
  const socket = await dial(setup.receiver.port)
  socket.write(`${line('last')}\n`)
  await expect.poll(() => setup.sink.lines).toEqual(['last'])
  let closed = false
  const closing = setup.receiver.close().then(() => {
    closed = true
  })
  await once(socket, 'close')
  expect(closed).toBe(false)
  setup.sink.release()
  await closing
})
