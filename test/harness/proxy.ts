/** A TCP proxy that treats connections as bad networks do. */
import net from 'node:net'

interface Pair {
  readonly client: net.Socket
  readonly server: net.Socket
}

export class FaultyProxy {
  readonly #target: () => number
  readonly #server: net.Server
  readonly #pairs = new Set<Pair>()
  #mute = false
  connections = 0

  private constructor(target: () => number) {
    this.#target = target
    this.#server = net.createServer((client) => this.#connect(client))
  }

  /** @param target port on loopback, asked at every connection */
  static async listen(target: () => number): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(target)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port
  }

  #connect(client: net.Socket): void {
    this.connections++
    const server = net.connect(this.#target(), '127.0.0.1')
    const pair = { client, server }
    this.#pairs.add(pair)
    client.pipe(server)
    server.on('data', (data) => {
      if (!this.#mute) client.write(data)
    })
    const end = () => {
      this.#pairs.delete(pair)
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) socket.on('error', end).on('close', end)
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

  /** Nothing passes in either direction, and nobody is told. */
  stall(): void {
    for (const { client, server } of this.#pairs) {
      client.pause()
      server.pause()
    }
  }

  resume(): void {
    for (const { client, server } of this.#pairs) {
      client.resume()
      server.resume()
    }
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
