/** One Forward connection: handshake, messages in order, answers. What a message means is decided elsewhere. */
import type { Socket } from 'node:net'
import {
  encodeHelo,
  encodePong,
  HandshakeError,
  type Helo,
  newHelo,
  type Ping,
  parsePing,
  refusal,
} from '../handshake.ts'
import { MsgpackError, TooLargeError, ValueSplitter } from '../msgpack.ts'
import type { Secret } from '../secret.ts'
import { ReceiveError } from './receive-error.ts'

/** A PING is some hundred bytes; whoever has not shown the key gets no more memory than this. */
const maxHandshakeBytes = 16 * 1024
/** Acknowledgements that a sender does not read: some ten thousand, where no sender has more than a few hundred under way. */
const maxUnreadBytes = 1 << 20
/** How long a peer may take to close its side after us, in milliseconds. */
const linger = 1000

export interface Security {
  readonly hostname: string
  readonly sharedKey: Secret
  /** By name. */
  readonly users?: ReadonlyMap<string, Secret>
}

export interface ConnectionOptions {
  readonly maxMessageBytes: number
  readonly security?: Security
  /** Takes one message; the answer to it, once it may be given, or undefined. Throws {@link ReceiveError} for a message it refuses. */
  readonly accept: (message: Buffer) => Promise<Buffer | undefined> | undefined
  readonly onError: (error: ReceiveError, connection: Connection) => void
  readonly onClose: (connection: Connection) => void
  /** Called after bytes came in: what is pending, or not durable yet, may have grown. */
  readonly onData: (bytes: number) => void
}

/** Who a connection is from, in an object that may outlive it. */
export interface Origin {
  /** The peer's. */
  readonly address: string
  /** Who it has shown to be in the handshake; undefined where no user is asked for. */
  readonly user: string | undefined
  /** Nothing more can be said to the peer. */
  readonly closed: boolean
  /** The peer says nothing more, and may have ended. */
  readonly ended: boolean
  /** Reads no more from the peer for so long, milliseconds; what was received goes on. */
  hold(ms: number): void
}

export class Connection {
  readonly #origin: {
    readonly address: string
    user: string | undefined
    closed: boolean
    ended: boolean
    hold(ms: number): void
  }
  readonly #socket: Socket
  readonly #options: ConnectionOptions
  readonly #splitter: ValueSplitter
  readonly #helo: Helo | undefined
  #ready: boolean
  #unanswered = 0
  #paused = false
  #held: NodeJS.Timeout | undefined
  #ended = false
  #begun = false
  #toldSilent = false
  /** When the message that is pending, or the handshake, began; and when bytes last came. Milliseconds of {@link performance.now}. */
  #pendingSince = performance.now()
  #lastData = performance.now()
  #answers: Buffer[] = []

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#origin = {
      address: socket.remoteAddress ?? 'unknown',
      user: undefined,
      closed: false,
      ended: false,
      hold: (ms) => this.#hold(ms),
    }
    this.#socket = socket
    this.#options = options
    this.#splitter = new ValueSplitter(options.maxMessageBytes)
    this.#ready = options.security === undefined
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 60_000)
    socket.on('data', (data) => this.#receive(data))
    socket.on('end', () => this.#end())
    // What follows an error is 'close'; the peer learns nothing more and sends again what was not acknowledged.
    socket.on('error', () => {})
    socket.on('close', () => this.#close())
    if (options.security !== undefined) {
      this.#helo = newHelo(options.security.users !== undefined)
      socket.write(encodeHelo(this.#helo))
    }
  }

  get peer(): string {
    return `${this.#origin.address}:${this.#socket.remotePort ?? 0}`
  }

  get origin(): Origin {
    return this.#origin
  }

  /** Bytes held of a message that is not complete. */
  get pendingBytes(): number {
    return this.#splitter.pendingBytes
  }

  /** Not to be read, for the receiver's sake. */
  get paused(): boolean {
    return this.#paused
  }

  /** Milliseconds without a byte, not counting while it was not read. */
  get silentMs(): number {
    return performance.now() - this.#lastData
  }

  pause(): void {
    this.#paused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#paused = false
    if (this.#held === undefined) this.#read()
  }

  #hold(ms: number): void {
    clearTimeout(this.#held)
    this.#held = setTimeout(() => {
      this.#held = undefined
      if (!this.#paused) this.#read()
    }, ms)
    this.#held.unref()
    this.#socket.pause()
  }

  #read(): void {
    // Time spent paused is ours, not the peer's.
    this.#pendingSince = this.#lastData = performance.now()
    this.#socket.resume()
  }

  /** Closes the connection when its message, its handshake or its silence has taken too long. Tells of one that never began: its sender may wait for a handshake that there is none of. */
  expire(now: number, messageTimeout: number, idleTimeout: number): void {
    if (this.#socket.isPaused()) return
    if (!this.#ready && now - this.#pendingSince > messageTimeout) {
      this.fail(new ReceiveError('timeout', 'the handshake did not end in time', true))
    } else if (this.pendingBytes > 0 && now - this.#pendingSince > messageTimeout) {
      this.fail(new ReceiveError('timeout', 'a message did not end in time', true))
    } else if (this.#unanswered === 0 && now - this.#lastData > idleTimeout) this.#socket.destroy()
    else if (!this.#begun && !this.#toldSilent && now - this.#pendingSince > messageTimeout) {
      this.#toldSilent = true
      const hint = 'a sender that has a shared key waits for a handshake, which is not asked for here'
      this.#options.onError(new ReceiveError('silent', `nothing came since the connection began: ${hint}`, false), this)
    }
  }

  /** Reports what is wrong and closes the connection. */
  fail(error: ReceiveError): void {
    if (this.#origin.closed) return
    this.#options.onError(error, this)
    this.#origin.closed = true
    this.#socket.destroy()
  }

  /** No further byte is read; the connection closes once everything received is answered. */
  finish(): void {
    this.#socket.removeAllListeners('data')
    clearTimeout(this.#held)
    this.#socket.resume()
    this.#ended = this.#origin.ended = true
    if (this.#unanswered === 0) this.#hangUp()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #receive(data: Buffer): void {
    const now = performance.now()
    this.#lastData = now
    const pendedBefore = this.pendingBytes > 0
    try {
      if (!this.#begun && beginsTls(data)) throw new ReceiveError('tls', 'TLS, which this port does not speak', true)
      this.#begun = true
      const messages = this.#splitter.push(data)
      if (this.#ready && (!pendedBefore || messages.length > 0)) this.#pendingSince = now
      for (const message of messages) {
        if (this.#origin.closed || this.#ended) return
        if (this.#ready) this.#take(message)
        else this.#greet(message)
      }
      if (!this.#ready && this.pendingBytes > maxHandshakeBytes) {
        throw new ReceiveError('handshake', 'a handshake of too many bytes', true)
      }
    } catch (error) {
      this.#refuse(error)
    }
    this.#options.onData(data.length)
  }

  #take(message: Buffer): void {
    try {
      const answer = this.#options.accept(message)
      if (answer === undefined) return
      this.#unanswered++
      answer.then(
        (bytes) => this.#answer(bytes),
        // We are closing and the message is not durable: whoever sent it will send it again.
        () => this.#socket.destroy(),
      )
    } catch (error) {
      if (!(error instanceof ReceiveError) || error.fatal === true) throw error
      this.#options.onError(error, this)
      if (error.fatal === 'once answered') this.finish()
    }
  }

  /** Sends an answer. Those that become due together, as one group commit makes them, go out in one write. */
  #answer(bytes: Buffer | undefined): void {
    this.#unanswered--
    if (bytes !== undefined && !this.#origin.closed) {
      if (this.#answers.length === 0) queueMicrotask(() => this.#flush())
      this.#answers.push(bytes)
    } else if (this.#ended && this.#unanswered === 0) queueMicrotask(() => this.#flush())
  }

  #flush(): void {
    const answers = this.#answers
    this.#answers = []
    if (this.#origin.closed) return
    if (answers.length > 0) this.#socket.write(answers.length === 1 ? answers[0]! : Buffer.concat(answers))
    if (this.#socket.writableLength > maxUnreadBytes) {
      this.fail(new ReceiveError('buffer_full', 'the sender does not read its acknowledgements', true))
    } else if (this.#ended && this.#unanswered === 0) this.#hangUp()
  }

  /** Ends our side, and the other one too if the peer doesn't. */
  #hangUp(): void {
    this.#socket.end()
    setTimeout(() => this.#socket.destroy(), linger).unref()
  }

  #greet(message: Buffer): void {
    const { hostname, users, ...security } = this.#options.security!
    const sharedKey = security.sharedKey.current
    let ping: Ping
    try {
      ping = parsePing(message)
    } catch (error) {
      if (!(error instanceof HandshakeError)) throw error
      throw new ReceiveError('handshake', error.message, true, { cause: error })
    }
    const reason = refusal(this.#helo!, ping, sharedKey, users && passwords(users))
    const pong = encodePong(this.#helo!, ping, hostname, sharedKey, reason)
    if (reason === undefined) {
      this.#socket.write(pong)
      if (users !== undefined) this.#origin.user = ping.username
      this.#ready = true
      return
    }
    this.#options.onError(new ReceiveError('handshake', reason, true), this)
    this.#origin.closed = true
    this.#socket.end(pong)
  }

  #refuse(error: unknown): void {
    if (error instanceof ReceiveError) this.fail(error)
    else if (error instanceof MsgpackError) {
      const problem = error instanceof TooLargeError ? 'too_large' : 'not_msgpack'
      this.fail(new ReceiveError(problem, error.message, true, { cause: error }))
    } else {
      // A fault of ours that this peer's bytes bring out must not take the other connections with it.
      this.fail(new ReceiveError('internal', (error as Error).message, true, { cause: error }))
    }
  }

  #end(): void {
    if (this.pendingBytes > 0) this.fail(new ReceiveError('cut_off', 'the connection ended within a message', true))
    this.#ended = this.#origin.ended = true
    if (this.#unanswered === 0) this.#hangUp()
  }

  #close(): void {
    if (!this.#origin.closed && this.pendingBytes > 0 && !this.#ended) {
      this.#options.onError(new ReceiveError('cut_off', 'the connection ended within a message', true), this)
    }
    this.#origin.closed = this.#origin.ended = true
    clearTimeout(this.#held)
    this.#options.onClose(this)
  }
}

function passwords(users: ReadonlyMap<string, Secret>): ReadonlyMap<string, string> {
  return new Map([...users].map(([name, secret]) => [name, secret.current]))
}

/** A handshake record of SSL 3 or later. As MessagePack it is small numbers, and its random bytes whatever they look like. */
function beginsTls(data: Buffer): boolean {
  return data[0] === 0x16 && data[1] === 0x03
}
