/** The UDP half of the Forward port: Fluentd asks with a datagram whether anyone is there, and is answered with one byte 0. */
import { createSocket, type Socket } from 'node:dgram'
import { isIPv6 } from 'node:net'

const answer = Buffer.of(0)

export class Heartbeat {
  readonly #socket: Socket

  private constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Rejects when the port is taken. */
  static async open(listen: string, port: number, onBeat: () => void): Promise<Heartbeat> {
    const socket = createSocket(isIPv6(listen) ? 'udp6' : 'udp4')
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.bind({ address: listen, port }, resolve)
    })
    socket.removeAllListeners('error')
    // A peer that is gone, or a full buffer: the next heartbeat will do.
    socket.on('error', () => {})
    socket.on('message', (_, peer) => {
      // Senders ask from a port of their own. What comes from ours may be another's answer, forged to begin an endless exchange.
      if (peer.port === port) return
      onBeat()
      socket.send(answer, peer.port, peer.address, () => {})
    })
    return new Heartbeat(socket)
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()))
  }
}
