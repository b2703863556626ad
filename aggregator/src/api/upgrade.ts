/**
 * WebSocket upgrades through the ordinary routes: hooks, access and errors are the same as for any request, and what is refused is answered in
 * HTTP before anything is upgraded.
 */
import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type WebSocket, WebSocketServer } from 'ws'
import { ParameterError } from './params.ts'

interface Upgrade {
  readonly socket: Duplex
  readonly head: Buffer
}

/** Clients have nothing to say beyond closing, bytes. */
const maxClientMessage = 64 * 1024

/** Other protocols that clients offer, such as h2c, are ignored: their requests are ordinary ones. For the options of node:http's server. */
export const shouldUpgradeCallback = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade?.toLowerCase() === 'websocket'

export class Upgrades {
  readonly #pending = new WeakMap<IncomingMessage, Upgrade>()
  readonly #server = new WebSocketServer({ noServer: true, maxPayload: maxClientMessage })

  constructor(app: FastifyInstance) {
    app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      this.#pending.set(request, { socket, head })
      const response = new ServerResponse(request)
      response.shouldKeepAlive = false
      response.assignSocket(socket as Socket)
      // As for any request that is the last of its connection: whoever does not close it in turn keeps no place.
      response.on('finish', () => (socket as Socket).destroySoon())
      socket.on('timeout', () => socket.destroy()) // takes nothing of its answer; a WebSocket has no timeout
      socket.on('error', () => socket.destroy()) // gone before it was answered
      app.routing(request, response)
    })
  }

  /**
   * The socket of a request for one, or undefined when the client is gone or its handshake is none, which it is told; the reply is over
   * either way. Throws {@link ParameterError} when the request is for no WebSocket.
   */
  accept(request: FastifyRequest, reply: FastifyReply): Promise<WebSocket | undefined> {
    const { socket, head } = this.expect(request)
    reply.hijack()
    reply.raw.removeAllListeners('finish')
    reply.raw.detachSocket(socket as Socket)
    return new Promise((resolve) => {
      if (socket.destroyed) return resolve(undefined)
      // What the handshake fails for is answered by `ws`, which tells nobody but the client.
      const gone = () => resolve(undefined)
      socket.once('close', gone)
      this.#server.handleUpgrade(request.raw, socket, head, (accepted) => {
        socket.off('close', gone)
        resolve(accepted)
      })
    })
  }

  /** @throws ParameterError when the request is not for a WebSocket */
  expect(request: FastifyRequest): Upgrade {
    const upgrade = this.#pending.get(request.raw)
    if (upgrade === undefined)
      throw new ParameterError(
        "websocket: the client is not using the websocket protocol: 'upgrade' token not found in 'Connection' header",
      )
    return upgrade
  }
}
