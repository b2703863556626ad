/**
 * The connection to one aggregator, made again for ever, and the messages that wait for its acknowledgement. A message is kept, as it was
 * sent, until it is acknowledged; when the connection breaks all that wait are sent again in their order. An ack that comes late, twice
 * or on another connection than its chunk is as good as any: it is matched by the chunk's id.
 *
 * A new connection first learns which ledger the aggregator keeps: only its owner knows whether what waits may be sent there, and says
 * so with {@link Sender.resume}.
 */
import { randomBytes } from 'node:crypto'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConnectionOptions } from 'node:tls'
import { type Ack, type LedgerIdentity, ledgerQueryOptions, parseAck } from '@tributary/protocol/chunk.ts'
import { forwardMessage } from '@tributary/protocol/forward.ts'
import { decode, ValueSplitter } from '@tributary/protocol/msgpack.ts'
import type { Logger } from 'pino'
import type { CollectorMetrics } from '../metrics.ts'
import { authenticate, type Credentials } from './authenticate.ts'
import { boundedReason } from './connection-reason.ts'
import { retryDelay } from './retry.ts'

/** How an aggregator is reached. */
export interface Destination {
  readonly host: string
  readonly port: number
  /** Name that its certificate must carry; empty for none. */
  readonly serverName: string
}

export interface SenderOptions {
  /** What it is known by, for people. */
  readonly name: string
  readonly to: Destination
  /** Set for TLS. */
  readonly tls?: () => ConnectionOptions
  readonly credentials: () => Credentials
  /** Milliseconds without the acknowledgement of the oldest message before the connection is given up. */
  readonly ackTimeout: number
  /** Ask for the aggregator's ledger; a Fluentd has none. */
  readonly identify: boolean
  readonly log: Logger
  readonly metrics: CollectorMetrics
}

/** What may wait for an acknowledgement. */
export interface Message {
  readonly id: string
  readonly pieces: readonly Buffer[]
  /** Connections that still have to write it, or to give it up. As long as there are any its memory must stay. */
  writing: number
  readonly settle: (ack: Ack) => void
}

/** An aggregator answers with acks and, to a ledger query, with the ranges of up to 4,096 sources. */
const maxAnswerBytes = 64 * 1024 * 1024
const connectTimeoutMs = 10_000
const nothing = new Uint8Array(0)
/** So many reasons of one outage are told in full at most. */
const toldReasons = 8

export class Sender<M extends Message = Message> {
  readonly #options: SenderOptions
  #to: Destination
  /** By chunk id, in the order of sending. */
  readonly #waiting = new Map<string, M>()
  /** Questions for the ledger's identity that are not answered yet. */
  readonly #asked = new Map<string, (ack: Ack) => void>()
  readonly #stop = new AbortController()
  #socket: net.Socket | undefined
  /** What waits was sent over the socket, and so is what comes. */
  #flowing = false
  #identity: LedgerIdentity | undefined
  /** When the connection was made or last acknowledged something, ms on the monotonic clock. */
  #progressAt = performance.now()
  #attempt = 0
  #failures = 0
  #failure: string | undefined
  /** Reasons of the present outage that were told. */
  readonly #told = new Set<string>()
  readonly #running: Promise<void>
  /** A connection is there and its ledger is known. */
  onOpen: () => void = () => undefined
  /** No connection could be made, or the one there was is gone. */
  onClose: () => void = () => undefined
  /** Anything came. */
  onAnswer: () => void = () => undefined

  constructor(options: SenderOptions) {
    this.#options = options
    this.#to = options.to
    this.#running = this.#run()
  }

  get connected(): boolean {
    return this.#socket !== undefined
  }

  /** Connections that could not be made or broke, since it last acknowledged anything. */
  get failures(): number {
    return this.#failures
  }

  /** Why there is no connection, for people; undefined while there is one, and before it was tried. */
  get failure(): string | undefined {
    return this.#failure
  }

  /** As it was told last; undefined as long as it never answered. */
  get identity(): LedgerIdentity | undefined {
    return this.#identity
  }

  /** Messages that wait for their acknowledgement. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Milliseconds since this aggregator last acknowledged anything or was connected to. */
  get silentMs(): number {
    return performance.now() - this.#progressAt
  }

  /** It is reached elsewhere from the next connection on. */
  redirect(to: Destination): void {
    this.#to = to
  }

  /** Sends a message, now and as often as it takes, until it is acknowledged or withdrawn. The buffers must not change until then. */
  put(message: M): void {
    this.#waiting.set(message.id, message)
    if (this.#socket && this.#flowing) this.#writeMessage(this.#socket, message)
  }

  /** Sends all that waits over the present connection, and what comes from now on. */
  resume(): void {
    if (this.#socket === undefined || this.#flowing) return
    this.#flowing = true
    if (this.#waiting.size > 0) this.#options.metrics.resentChunks.inc(this.#waiting.size)
    for (const message of this.#waiting.values()) this.#writeMessage(this.#socket, message)
  }

  /** Takes back what waits and is wanted elsewhere, in the order of sending. Its acknowledgement, should it still come, is a stray one. */
  withdraw(wanted: (message: M) => boolean): M[] {
    const taken = [...this.#waiting.values()].filter(wanted)
    for (const { id } of taken) this.#waiting.delete(id)
    return taken
  }

  /** Asks for a sign of life. */
  ping(): void {
    if (this.#options.identify && this.#socket && this.#asked.size === 0)
      this.#askIdentity(this.#socket, () => undefined)
  }

  /** Drops the connection and stops. What waits is never settled: it was not acknowledged. */
  async close(): Promise<void> {
    this.#stop.abort()
    this.#socket?.destroy()
    await this.#running
  }

  async #run(): Promise<void> {
    const { log, metrics, name } = this.#options
    while (!this.#stop.signal.aborted) {
      try {
        await this.#session()
      } catch (error) {
        if (this.#stop.signal.aborted) return
        const { code, message } = error as NodeJS.ErrnoException
        metrics.connectionErrors.inc(1, boundedReason(code))
        this.#failure = message
        // Each reason once per outage in full: that the connection broke tells nothing of why there is no other.
        if (this.#attempt === 0) this.#told.clear()
        const isNew = !this.#told.has(message) && this.#told.size < toldReasons
        if (isNew) this.#told.add(message)
        log[isNew ? 'warn' : 'debug']({ address: name, reason: message }, 'aggregator not reachable, trying again')
        this.#failures++
        this.onClose()
      }
      const delay = retryDelay(this.#attempt++, Math.random())
      await sleep(delay, undefined, { signal: this.#stop.signal }).catch(() => undefined)
    }
  }

  /** One connection, from connecting to its end. Resolves never; rejects with why it ended. */
  async #session(): Promise<never> {
    const { log, metrics, credentials, name, identify } = this.#options
    const socket = this.#connect()
    const splitter = new ValueSplitter(maxAnswerBytes)
    const over = new AbortController()
    const failed = new Promise<never>((_, reject) => {
      socket.once('error', reject)
      socket.once('close', () => reject(Object.assign(new Error('the connection was closed'), { code: 'CLOSED' })))
    })
    failed.catch(() => undefined)
    try {
      await Promise.race([failed, opened(socket, this.#stop.signal)])
      socket.setNoDelay(true)
      metrics.connections.inc()
      await Promise.race([failed, authenticate(socket, splitter, credentials(), this.#stop.signal)])
      socket.on('data', (data) => this.#receive(socket, splitter, data as Buffer))
      if (identify) await Promise.race([failed, this.#learnIdentity(socket)])
      this.#progressAt = performance.now()
      this.#socket = socket
      this.#failure = undefined
      log.info(
        { address: name, waiting: this.#waiting.size, ledger: this.#identity?.ledger },
        'connected to aggregator',
      )
      this.onOpen()
      return await Promise.race([failed, this.#watch(over.signal)])
    } finally {
      over.abort()
      this.#socket = undefined
      this.#flowing = false
      this.#asked.clear()
      socket.destroy()
    }
  }

  #connect(): net.Socket {
    const { host, port, serverName } = this.#to
    const { tls: secure } = this.#options
    if (!secure) return net.connect({ host, port, keepAlive: true })
    // Half a megabyte of code, and a tenth of the time to start, that most do without.
    const tls = process.getBuiltinModule('node:tls')
    return tls.connect({ host, port, servername: serverName, ...secure() })
  }

  /** An aggregator that tells no ledger, as older ones do, has one of its own at its address. */
  async #learnIdentity(socket: net.Socket): Promise<void> {
    const { ackTimeout, name } = this.#options
    const timeout = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(Math.max(ackTimeout, connectTimeoutMs))])
    const answer = await new Promise<Ack>((resolve, reject) => {
      this.#askIdentity(socket, resolve)
      timeout.addEventListener(
        'abort',
        () => reject(Object.assign(new Error('no answer to which ledger it keeps'), { code: 'ACK_TIMEOUT' })),
        { once: true },
      )
    })
    const { ledger = `at ${name}`, shared = false, before = [] } = answer
    this.#identity = { ledger, shared, before }
  }

  #askIdentity(socket: net.Socket, answered: (ack: Ack) => void): void {
    const id = randomBytes(12).toString('base64')
    this.#asked.set(id, answered)
    this.#write(socket, forwardMessage('tributary', nothing, ledgerQueryOptions(id, [])))
  }

  #writeMessage(socket: net.Socket, message: M): void {
    message.writing++
    // Called in any case: when the kernel has taken all of it, and when the connection broke before it could.
    this.#write(socket, message.pieces, () => message.writing--)
  }

  #write(socket: net.Socket, pieces: readonly Buffer[], written?: () => void): void {
    // Messages of applications come many at a time: what this turn writes goes out in one call.
    if (socket.writableCorked === 0) {
      socket.cork()
      process.nextTick(() => socket.uncork())
    }
    const last = pieces.length - 1
    for (let i = 0; i < last; i++) socket.write(pieces[i]!)
    socket.write(pieces[last]!, written)
  }

  #receive(socket: net.Socket, splitter: ValueSplitter, data: Buffer): void {
    try {
      for (const value of splitter.push(data)) this.#acknowledge(parseAck(decode(value)))
    } catch (error) {
      socket.destroy(error as Error)
    }
    this.onAnswer()
  }

  #acknowledge(ack: Ack): void {
    const answered = this.#asked.get(ack.ack)
    if (answered !== undefined) {
      // Who only tells its ledger makes no progress: a session that is fenced hears no more than that, and must not come back at once.
      this.#asked.delete(ack.ack)
      answered(ack)
      return
    }
    this.#progressAt = performance.now()
    this.#attempt = 0
    this.#failures = 0
    const waiting = this.#waiting.get(ack.ack)
    if (waiting === undefined) {
      this.#options.metrics.strayAcks.inc()
      return
    }
    this.#waiting.delete(ack.ack)
    waiting.settle(ack)
  }

  /** Rejects when something waits and nothing was acknowledged for too long: a peer that hangs looks connected for ever. */
  async #watch(signal: AbortSignal): Promise<never> {
    for (;;) {
      await sleep(Math.min(1000, this.#options.ackTimeout), undefined, { signal })
      if (this.#waiting.size === 0 || !this.#flowing) this.#progressAt = performance.now()
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
