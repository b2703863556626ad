/** A Forward client for tests: sends messages and waits for their answers. */
import { connect, type Socket } from 'node:net'
import { type Ack, parseAck } from '@tributary/protocol/chunk.ts'
import { chunkOf, parseMessage } from '@tributary/protocol/forward.ts'
import { decode, ValueSplitter } from '@tributary/protocol/msgpack.ts'

export class TestSender {
  readonly #socket: Socket
  readonly #waiting = new Map<string, PromiseWithResolvers<Ack>[]>()

  private constructor(socket: Socket) {
    this.#socket = socket
    const splitter = new ValueSplitter(1 << 26)
    socket.on('data', (data) => {
      for (const value of splitter.push(data)) {
        const ack = parseAck(decode(value))
        this.#waiting.get(ack.ack)?.shift()?.resolve(ack)
      }
    })
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => {
      for (const { reject } of [...this.#waiting.values()].flat()) reject(new Error('the connection was closed'))
    })
  }

  static connect(port: number): Promise<TestSender> {
    const socket = connect({ port, host: '127.0.0.1' })
    return new Promise((resolve, reject) => {
      socket.once('error', reject)
      socket.once('connect', () => resolve(new TestSender(socket)))
    })
  }

  /** Resolves with the answer; a message without `chunk` has none. */
  send(message: Buffer): Promise<Ack | undefined> {
    const parsed = parseMessage(message)
    const chunk = parsed === undefined ? undefined : chunkOf(parsed)
    this.#socket.write(message)
    if (chunk === undefined) return Promise.resolve(undefined)
    const waiting = this.#waiting.get(chunk) ?? []
    this.#waiting.set(chunk, waiting)
    waiting.push(Promise.withResolvers())
    return waiting.at(-1)!.promise
  }

  close(): void {
    this.#socket.destroy()
  }
}
