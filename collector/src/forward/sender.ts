/**
 * One aggregator: a connection that is made again for ever, and the messages that wait for its acknowledgement. A message is
 * kept, as it was sent, until it is acknowledged; when the connection breaks all that wait are sent again in their order. An ack
 * that comes late, twice or on another connection than its chunk is as good as any: it is matched by the chunk's id.
 */
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConnectionOptions } from 'node:tls'
import { type Ack, parseAck } from '@tributary/protocol/chunk.ts'
import { decode, ValueSplitter } from '@tributary/protocol/msgpack.ts'
import type { Logger } from 'pino'
import type { CollectorMetrics } from '../metrics.ts'
import { authenticate, type Credentials } from './authenticate.ts'
import { retryDelay } from './retry.ts'

export interface SenderOptions {
  readonly address: string
  /** Set for TLS. */
  readonly tls?: ConnectionOptions
  readonly credentials: Credentials
  /** Milliseconds without the acknowledgement of the oldest message before the connection is given up. */
  readonly ackTimeout: number
  readonly log: Logger
  readonly metrics: CollectorMetrics
}

interface Waiting {
  readonly message: readonly Buffer[]
  readonly settle: (ack: Ack) => void
}

/** An aggregator answers with acks and, to a ledger query, with the ranges of up to 4,096 sources. */
const maxAnswerBytes = 64 * 1024 * 1024
const connectTimeoutMs = 10_000

export class Sender {
  readonly address: string
  readonly #options: SenderOptions
  /** By chunk id, in the order of sending. */
  readonly #waiting = new Map<string, Waiting>()
  readonly #stop = new AbortController()
  #socket: net.Socket | undefined
  /** When the connection was made or last acknowledged something, ms on the monotonic clock. */
  #progressAt = performance.now()
  #attempt = 0
  #running: Promise<void>

  constructor(options: SenderOptions) {
    this.address = options.address
    this.#options = options
    this.#running = this.#run()
  }

  get connected(): boolean {
    return this.#socket !== undefined
  }

  /** Messages that wait for their acknowledgement. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Milliseconds since this aggregator last acknowledged anything or was connected to. */
  get silentMs(): number {
    return performance.now() - this.#progressAt
  }

  /** Sends a message and resolves with its acknowledgement, however long that takes. The buffers must not change until then. */
  send(id: string, message: readonly Buffer[]): Promise<Ack> {
    return new Promise((settle) => {
      this.#waiting.set(id, { message, settle })
      if (this.#socket) this.#write(this.#socket, message)
    })
  }

  /** Drops the connection and stops. What waits is never settled: it was not acknowledged. */
  async close(): Promise<void> {
    this.#stop.abort()
    this.#socket?.destroy()
    await this.#running
  }

  async #run(): Promise<void> {
    const { log, metrics, address } = this.#options
    while (!this.#stop.signal.aborted) {
      try {
        await this.#session()
      } catch (error) {
        if (this.#stop.signal.aborted) return
        const { code, message } = error as NodeJS.ErrnoException
        metrics.connectionErrors.inc(1, boundedReason(code))
        // Once per outage in full; the repeats say nothing new.
        log[this.#attempt === 0 ? 'warn' : 'debug'](
          { address, reason: message },
          'aggregator not reachable, trying again',
        )
      }
      const delay = retryDelay(this.#attempt++, Math.random())
      await sleep(delay, undefined, { signal: this.#stop.signal }).catch(() => undefined)
    }
  }

  /** One connection, from connecting to its end. Resolves never; rejects with why it ended. */
  async #session(): Promise<never> {
    const { log, metrics, credentials, address } = this.#options
    const socket = this.#connect()
    const splitter = new ValueSplitter(maxAnswerBytes)
    const failed = new Promise<never>((_, reject) => {
      socket.once('error', reject)
      socket.once('close', () => reject(Object.assign(new Error('the connection was closed'), { code: 'CLOSED' })))
    })
    failed.catch(() => undefined)
    try {
      await Promise.race([failed, opened(socket, this.#stop.signal)])
      socket.setNoDelay(true)
      metrics.connections.inc()
      await Promise.race([failed, authenticate(socket, splitter, credentials, this.#stop.signal)])
      this.#progressAt = performance.now()
      log.info({ address, waiting: this.#waiting.size }, 'connected to aggregator')
      socket.on('data', (data) => this.#receive(socket, splitter, data as Buffer))
      this.#resend(socket)
      this.#socket = socket
      return await Promise.race([failed, this.#watch()])
    } finally {
      this.#socket = undefined
      socket.destroy()
    }
  }

  #connect(): net.Socket {
    const colon = this.address.lastIndexOf(':')
    const host = this.address.slice(0, colon).replace(/^\[|\]$/g, '')
    const port = Number(this.address.slice(colon + 1))
    const { tls: secure } = this.#options
    if (!secure) return net.connect({ host, port, keepAlive: true })
    // Half a megabyte of code, and a tenth of the time to start, that most do without.
    const tls = process.getBuiltinModule('node:tls')
    return tls.connect({ host, port, servername: net.isIP(host) ? '' : host, ...secure })
  }

  #resend(socket: net.Socket): void {
    if (this.#waiting.size > 0) this.#options.metrics.resentChunks.inc(this.#waiting.size)
    for (const { message } of this.#waiting.values()) this.#write(socket, message)
  }

  #write(socket: net.Socket, message: readonly Buffer[]): void {
    // Messages of applications come many at a time: what this turn writes goes out in one call.
    if (socket.writableCorked === 0) {
      socket.cork()
      process.nextTick(() => socket.uncork())
    }
    for (const piece of message) socket.write(piece)
  }

  #receive(socket: net.Socket, splitter: ValueSplitter, data: Buffer): void {
    try {
      for (const value of splitter.push(data)) this.#acknowledge(parseAck(decode(value)))
    } catch (error) {
      socket.destroy(error as Error)
    }
  }

  #acknowledge(ack: Ack): void {
    this.#progressAt = performance.now()
    this.#attempt = 0
    const waiting = this.#waiting.get(ack.ack)
    if (waiting === undefined) {
      this.#options.metrics.strayAcks.inc()
      return
    }
    this.#waiting.delete(ack.ack)
    waiting.settle(ack)
  }

  /** Rejects when something waits and nothing was acknowledged for too long: a peer that hangs looks connected for ever. */
  async #watch(): Promise<never> {
    for (;;) {
      await sleep(Math.min(1000, this.#options.ackTimeout), undefined, { signal: this.#stop.signal })
      if (this.#waiting.size === 0) this.#progressAt = performance.now()
      if (this.silentMs > this.#options.ackTimeout)
        throw Object.assign(new Error('no acknowledgement in time'), { code: 'ACK_TIMEOUT' })
    }
  }
}

async function opened(socket: net.Socket, stop: AbortSignal): Promise<void> {
  const event = 'encrypted' in socket ? 'secureConnect' : 'connect'
  const timeout = AbortSignal.any([stop, AbortSignal.timeout(connectTimeoutMs)])
  await new Promise<void>((resolve, reject) => {
    socket.once(event, resolve)
    timeout.addEventListener(
      'abort',
      () => reject(Object.assign(new Error('no connection in time'), { code: 'CONNECT_TIMEOUT' })),
      { once: true },
    )
  })
}

const reasons = [
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
  'CLOSED',
  'ACK_TIMEOUT',
  'CONNECT_TIMEOUT',
  'HANDSHAKE',
]

/** A label value from a closed list, whatever the operating system reports. */
function boundedReason(code: string | undefined): string {
  return code !== undefined && reasons.includes(code) ? code.toLowerCase() : 'other'
}
