/**
 * Receives syslog over TCP, TLS and UDP. Syslog has no acknowledgements: what was received goes into the write-ahead log before it is
 * loaded, and no socket is read while nothing more fits, so that senders over TCP wait.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { TlsFiles } from '@tributary/protocol/tls-files.ts'
import { encodePush } from '../push/push-message.ts'
import type { SyslogConfig } from './config.ts'
import { type Frame, FrameError, FrameSplitter } from './frame.ts'
import type { SyslogMetrics, SyslogProblem } from './metrics.ts'
import { streamsOf } from './streams.ts'

/** Where messages go. */
export interface SyslogSink {
  /** Resolves when it is durable in the write-ahead log. */
  push(message: Buffer, tenant: string): Promise<unknown>
  /** Bytes taken that are not durable yet. */
  readonly undurableBytes: number
  /** Nothing more fits, until some of what is kept was released. */
  readonly full: boolean
}

export interface SyslogReceiverOptions {
  readonly config: Omit<SyslogConfig, 'enabled' | 'tls'>
  readonly tls?: TlsFiles | undefined
  readonly sink: SyslogSink
  readonly metrics: SyslogMetrics
  readonly onProblem: (reason: SyslogProblem, peer: string, detail: string) => void
  readonly now?: () => number
}

/** How often a paused receiver looks whether there is room, should nobody tell it; milliseconds. */
const lookInterval = 1000
/** How long a TLS handshake may take, milliseconds. */
const handshakeTimeout = 60_000
/** Datagrams that may wait in the kernel, bytes: by default some 280 short ones, which a burst fills while the process does something else. The kernel caps it. */
const udpBufferBytes = 8 * 1024 * 1024

export class SyslogReceiver {
  readonly #options: SyslogReceiverOptions
  readonly #server: Server
  readonly #udp: UdpSocket | undefined
  readonly #sockets = new Set<Socket>()
  readonly #appends = new Set<Promise<unknown>>()
  readonly #look: NodeJS.Timeout
  #paused = false
  #closing = false

  private constructor(options: SyslogReceiverOptions) {
    this.#options = options
    this.#server = this.#createServer()
    this.#udp = options.config.udp ? createSocket(options.config.listen.includes(':') ? 'udp6' : 'udp4') : undefined
    this.#udp?.on('message', (bytes, { address }) => this.#datagram(bytes, address))
    this.#look = setInterval(() => this.proceed(), lookInterval)
    this.#look.unref()
  }

  /** Listens. An address that is taken is an error. */
  static async open(options: SyslogReceiverOptions): Promise<SyslogReceiver> {
    const receiver = new SyslogReceiver(options)
    const { listen: host, port } = options.config
    try {
      receiver.#server.listen({ host, port })
      await once(receiver.#server, 'listening')
      receiver.#udp?.bind({ address: host, port: receiver.port })
      if (receiver.#udp !== undefined) {
        await once(receiver.#udp, 'listening')
        growBuffer(receiver.#udp)
      }
    } catch (error) {
      await receiver.close()
      throw error
    }
    // What goes wrong with one connection is that connection's.
    for (const socket of [receiver.#server, receiver.#udp]) socket?.on('error', () => {})
    return receiver
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** To be called when something became durable or was released: reading goes on when there is room. */
  proceed(): void {
    const { bufferBytes } = this.#options.config
    const { sink } = this.#options
    if (!this.#paused || this.#closing || sink.full || sink.undurableBytes > bufferBytes / 2) return
    this.#paused = false
    for (const socket of this.#sockets) socket.resume()
  }

  /** Stops taking and reading; ends when what was received is durable, or can't be. */
  async close(): Promise<void> {
    this.#closing = true
    clearInterval(this.#look)
    const closed = this.#server.listening ? once(this.#server, 'close') : undefined
    this.#server.close()
    if (this.#udp !== undefined) await new Promise<void>((resolve) => this.#udp!.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all([closed, ...this.#appends])
  }

  #createServer(): Server {
    const { config, metrics, tls } = this.#options
    const accept = (socket: Socket) => this.#accept(socket)
    const server = tls === undefined ? createServer(accept) : this.#createTlsServer(tls, accept)
    server.maxConnections = config.maxConnections
    server.on('drop', (dropped) => {
      this.#problem('too_many_connections', dropped?.remoteAddress ?? 'unknown', `more than ${config.maxConnections}`)
    })
    server.on('tlsClientError', (error: Error, socket: Socket) => {
      this.#problem('tls', socket.remoteAddress ?? 'unknown', error.message)
    })
    metrics.connections.set(0)
    return server
  }

  #createTlsServer(tls: TlsFiles, accept: (socket: Socket) => void): Server {
    const { material } = tls
    const senders = material.ca === undefined ? {} : { requestCert: true, rejectUnauthorized: true }
    const server = createTlsServer({ ...material, ...senders, handshakeTimeout }, accept)
    tls.keepFresh(server)
    return server
  }

  #accept(socket: Socket): void {
    const { config, metrics } = this.#options
    const peer = addressOf(socket.remoteAddress)
    const splitter = new FrameSplitter(config.maxMessageBytes)
    this.#sockets.add(socket)
    metrics.connections.set(this.#sockets.size)
    socket.setKeepAlive(true, 60_000)
    socket.setTimeout(config.idleTimeout, () => socket.destroy())
    socket.on('data', (data) => this.#receive(socket, peer, () => splitter.push(data)))
    socket.on('end', () => {
      if (splitter.pendingBytes > 0) this.#receive(socket, peer, () => this.#last(splitter, peer))
    })
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => {
      this.#sockets.delete(socket)
      metrics.connections.set(this.#sockets.size)
    })
    if (this.#paused) socket.pause()
  }

  #last(splitter: FrameSplitter, peer: string): Frame[] {
    const frames = splitter.end()
    if (frames.length === 0) this.#problem('cut_off', peer, 'the connection ended within a message')
    return frames
  }

  #receive(socket: Socket, peer: string, read: () => Frame[]): void {
    try {
      this.#take(read(), peer)
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      this.#problem('not_syslog', peer, error.message)
      socket.destroy()
    }
  }

  #datagram(bytes: Buffer, address: string): void {
    const { config } = this.#options
    const peer = addressOf(address)
    if (this.#isFull()) {
      this.#problem('dropped', peer, 'a datagram came while nothing more fitted')
      return
    }
    if (bytes.length === 0) return
    this.#take(
      [{ bytes: bytes.subarray(0, config.maxMessageBytes), truncated: bytes.length > config.maxMessageBytes }],
      peer,
    )
  }

  #take(frames: readonly Frame[], peer: string): void {
    if (frames.length === 0) return
    const { config, metrics, now = Date.now, sink } = this.#options
    const { formats, streams } = streamsOf(frames, peer, now())
    const truncated = frames.filter((frame) => frame.truncated).length
    if (truncated > 0) metrics.problem('truncated', truncated)
    metrics.received(formats)
    const append: Promise<unknown> = sink
      .push(encodePush(streams), config.tenant)
      // We are closing, and a sender of syslog can't be told.
      .catch(() => {})
      .then(() => this.#appends.delete(append))
    this.#appends.add(append)
    if (!this.#paused && this.#isFull()) {
      this.#paused = true
      for (const socket of this.#sockets) socket.pause()
    }
  }

  #isFull(): boolean {
    const { config, sink } = this.#options
    return sink.full || sink.undurableBytes > config.bufferBytes
  }

  #problem(reason: SyslogProblem, peer: string, detail: string): void {
    this.#options.metrics.problem(reason)
    this.#options.onProblem(reason, peer, detail)
  }
}

/** Without the prefix that an IPv4 address has on a socket of both kinds. */
function addressOf(address: string | undefined): string {
  return (address ?? 'unknown').replace(/^::ffff:/, '')
}

function growBuffer(udp: UdpSocket): void {
  try {
    udp.setRecvBufferSize(udpBufferBytes)
  } catch {
    // Some systems refuse what is too much instead of giving what they have: theirs stays.
  }
}
