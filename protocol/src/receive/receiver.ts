/**
 * The Forward server: connections and their limits. It reads only as much as may wait to be durable; beyond that the sockets
 * are paused and the senders wait, which is how backpressure reaches the log files and the applications.
 */
import { type AddressInfo, createServer, type Server, type ServerOpts, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { TlsFiles } from '../tls-files.ts'
import { Connection, type Origin, type Security } from './connection.ts'
import { ReceiveError } from './receive-error.ts'

export interface ReceiverOptions {
  readonly listen: string
  readonly port: number
  /** Certificate and key, and whose certificates senders must have; without it no TLS is spoken. */
  readonly tls?: TlsFiles | undefined
  readonly security?: Security
  readonly maxMessageBytes: number
  readonly maxConnections: number
  /** Cap on the bytes that are received and not durable. */
  readonly bufferBytes: number
  /** Milliseconds. */
  readonly messageTimeout: number
  readonly idleTimeout: number
}

/** Where messages go. */
export interface Sink {
  /** Takes one message; see {@link Connection}. */
  accept(message: Buffer, from: Origin): Promise<Buffer | undefined> | undefined
  /** Bytes taken that are not durable yet. */
  readonly undurableBytes: number
  /** Nothing more fits, until some of what is kept was released. */
  readonly full: boolean
}

export interface ReceiverEvents {
  onError(error: ReceiveError, peer: string): void
  onConnection(): void
}

/** How often limits that depend on time are looked at, in milliseconds, unless one of them is shorter. */
const sweepInterval = 1000
/** How long the only connection that is read may be silent, in milliseconds. */
const patience = 2000

export class Receiver {
  readonly #options: ReceiverOptions
  readonly #sink: Sink
  readonly #events: ReceiverEvents
  readonly #server: Server
  readonly #connections = new Set<Connection>()
  readonly #sweep: NodeJS.Timeout
  /** What TLS runs on: there before a connection is one, which it is after its TLS handshake. */
  readonly #beneathTls = new Set<Socket>()
  #paused = false
  /** Too much is pending over all connections: the only one that is read, until its message is whole. */
  #favoured: Connection | undefined
  #closing = false
  /** Bytes received since the sum of what is pending was last looked at. */
  #unchecked = 0

  private constructor(options: ReceiverOptions, sink: Sink, events: ReceiverEvents) {
    this.#options = options
    this.#sink = sink
    this.#events = events
    this.#server = this.#createServer()
    const { messageTimeout, idleTimeout } = options
    this.#sweep = setInterval(() => this.#expire(), Math.min(sweepInterval, messageTimeout, idleTimeout))
    this.#sweep.unref()
  }

  /** Listens. Certificates that can't be read, and an address that is taken, are errors. */
  static async open(options: ReceiverOptions, sink: Sink, events: ReceiverEvents): Promise<Receiver> {
    const receiver = new Receiver(options, sink, events)
    await new Promise<void>((resolve, reject) => {
      receiver.#server.once('error', reject)
      receiver.#server.listen({ host: options.listen, port: options.port }, resolve)
    })
    receiver.#server.on('error', () => {})
    return receiver
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get connections(): number {
    return this.#connections.size
  }

  /** Bytes of messages that have not arrived whole. */
  get pendingBytes(): number {
    let sum = 0
    for (const connection of this.#connections) sum += connection.pendingBytes
    return sum
  }

  get paused(): boolean {
    return this.#paused
  }

  /** To be called when something became durable or was released: reading goes on when there is room. */
  proceed(): void {
    if (!this.#paused || this.#sink.full || this.#sink.undurableBytes > this.#options.bufferBytes / 2) return
    this.#paused = false
    this.#direct()
  }

  /** Stops accepting and reading; ends when what was received is answered and every connection is closed, or at the deadline. */
  async close(deadline: AbortSignal): Promise<void> {
    this.#closing = true
    clearInterval(this.#sweep)
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const connection of this.#connections) connection.finish()
    const cut = () => {
      for (const connection of this.#connections) connection.destroy()
      for (const socket of this.#beneathTls) socket.destroy()
    }
    if (deadline.aborted) cut()
    deadline.addEventListener('abort', cut, { once: true })
    await closed
    deadline.removeEventListener('abort', cut)
  }

  #createServer(): Server {
    const { tls, maxConnections } = this.#options
    // Half open: a sender may end its side and still wait for its acknowledgements.
    const settings = { allowHalfOpen: true, pauseOnConnect: false }
    const accept = (socket: Socket) => this.#accept(socket)
    const server = tls === undefined ? createServer(settings, accept) : this.#createTlsServer(tls, settings, accept)
    server.maxConnections = maxConnections
    server.on('drop', (dropped) => {
      const peer = `${dropped?.remoteAddress}:${dropped?.remotePort}`
      this.#events.onError(new ReceiveError('too_many_connections', `more than ${maxConnections}`, true), peer)
    })
    server.on('tlsClientError', (error: Error, socket: Socket) => {
      this.#events.onError(new ReceiveError('tls', error.message, true, { cause: error }), String(socket.remoteAddress))
      // Half open as it is, it would stay for ever and take a place.
      socket.destroy()
    })
    return server
  }

  #createTlsServer(tls: TlsFiles, settings: ServerOpts, accept: (socket: Socket) => void): Server {
    const { material } = tls
    const senders = material.ca === undefined ? {} : { requestCert: true, rejectUnauthorized: true }
    const options = { ...settings, ...material, ...senders, handshakeTimeout: this.#options.messageTimeout }
    const server = createTlsServer(options, accept)
    tls.keepFresh(server)
    server.on('connection', (socket: Socket) => {
      this.#beneathTls.add(socket)
      socket.once('close', () => this.#beneathTls.delete(socket))
    })
    return server
  }

  #accept(socket: Socket): void {
    if (this.#closing) {
      socket.destroy()
      return
    }
    const { maxMessageBytes, security } = this.#options
    const connection: Connection = new Connection(socket, {
      maxMessageBytes,
      ...(security === undefined ? {} : { security }),
      accept: (message) => this.#sink.accept(message, connection.origin),
      onError: (error, { peer }) => this.#events.onError(error, peer),
      onClose: (closed) => {
        this.#connections.delete(closed)
        if (closed === this.#favoured) this.#favour()
      },
      onData: (bytes) => {
        this.#limit()
        this.#unchecked += bytes
        if (connection === this.#favoured || this.#unchecked > this.#options.bufferBytes / 8) this.#favour()
      },
    })
    this.#connections.add(connection)
    this.#events.onConnection()
    if (this.#paused || this.#favoured) connection.pause()
  }

  #limit(): void {
    if (this.#paused || !(this.#sink.full || this.#sink.undurableBytes > this.#options.bufferBytes)) return
    this.#paused = true
    this.#direct()
  }

  /** Reads those connections that may be read, and no others. */
  #direct(): void {
    if (this.#closing) return
    for (const connection of this.#connections) {
      const read = !this.#paused && (this.#favoured ?? connection) === connection
      if (read === connection.paused) read ? connection.resume() : connection.pause()
    }
  }

  #expire(): void {
    const now = performance.now()
    for (const connection of this.#connections) {
      connection.expire(now, this.#options.messageTimeout, this.#options.idleTimeout)
    }
    const stalled = !this.#paused && (this.#favoured?.silentMs ?? 0) > patience
    if (stalled) this.#favoured?.fail(new ReceiveError('buffer_full', 'too much is pending over all connections', true))
    this.#favour()
    this.proceed()
    this.#limit()
  }

  /**
   * Unfinished messages free no memory until they are whole. When there is too much of them, the largest is read to its end, alone:
   * the sooner it is whole the less is pending. One that does not go on then is closed, see {@link #expire}.
   */
  #favour(): void {
    this.#unchecked = 0
    let [sum, largest]: [number, Connection | undefined] = [0, undefined]
    for (const connection of this.#connections) {
      sum += connection.pendingBytes
      if (connection.pendingBytes > (largest?.pendingBytes ?? 0)) largest = connection
    }
    const favoured = sum > this.#options.bufferBytes ? largest : undefined
    if (favoured === this.#favoured) return
    this.#favoured = favoured
    this.#direct()
  }
}
