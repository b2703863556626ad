/** A TCP proxy that treats connections as bad networks do. */
import net from 'node:net'

interface Pair {
  readonly client: net.Socket
  readonly server: net.Socket
}

export class FaultyProxy {
  readonly #target: () => number
  /** Where it connects to instead, if that is no port on loopback. */
  target: { readonly host: string; readonly port: number } | undefined
  readonly #server: net.Server
  readonly #pairs = new Set<Pair>()
  #mute = false
  #stalled = false
  #delayMs = 0
  connections = 0
  #answered = Promise.withResolvers<void>()

  private constructor(target: () => number) {
    this.#target = target
    this.#server = net.createServer((client) => this.#connect(client))
  }

  /** @param target port on loopback, asked at every connection */
  static async listen(target: () => number, { host, port } = { host: '127.0.0.1', port: 0 }): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(target)
    await new Promise<void>((resolve) => proxy.#server.listen(port, host, resolve))
    return proxy
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port
  }

  #connect(client: net.Socket): void {
    this.connections++
    const server = net.connect(this.target ?? { port: this.#target(), host: '127.0.0.1' })
    const pair = { client, server }
    this.#pairs.add(pair)
    client.on('data', (data) => this.#pass(client, data, server))
    server.on('data', (data) => {
      if (this.#mute) return
      this.#pass(server, data, client)
      this.#answered.resolve()
      this.#answered = Promise.withResolvers()
    })
    if (this.#stalled) for (const socket of [client, server]) socket.pause()
    const end = () => {
      this.#pairs.delete(pair)
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) socket.on('error', end).on('close', end)
  }

  /** Each piece takes so long, ms, and the next waits for it: a line that is slow. */
  slow(delayMs: number): void {
    this.#delayMs = delayMs
  }

  #pass(from: net.Socket, data: Buffer, to: net.Socket): void {
    if (this.#delayMs > 0) {
      from.pause()
      setTimeout(() => {
        if (!this.#stalled) from.resume()
        to.write(data)
      }, this.#delayMs)
    } else if (!to.write(data)) {
      from.pause()
      to.once('drain', () => {
        if (!this.#stalled) from.resume()
      })
    }
  }

  /** Ends every connection; each side sees the other leave. */
  cut(): void {
    for (const { client, server } of this.#pairs) {
      client.destroy()
      server.destroy()
    }
  }

  /** Both sides get a reset. */
  reset(): void {
    for (const { client, server } of this.#pairs) {
      client.resetAndDestroy()
      server.resetAndDestroy()
    }
  }

  /** Nothing passes in either direction, and nobody is told. Connections are still taken. */
  stall(): void {
    this.#stalled = true
    for (const { client, server } of this.#pairs) {
      client.pause()
      server.pause()
    }
  }

  resume(): void {
    this.#stalled = false
    for (const { client, server } of this.#pairs) {
      client.resume()
      server.resume()
    }
  }

  /** Resolves with the next thing that a server answers and a client gets. */
  answer(): Promise<void> {
    return this.#answered.promise
  }

  /** What the server answers is dropped until {@link loseAcks} is called with false, which ends the connections: their acks are gone. */
  loseAcks(lose: boolean): void {
    this.#mute = lose
    if (!lose) this.cut()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
