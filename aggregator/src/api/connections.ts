/** Connections of the API: how many, and how long one may do nothing. Whoever is slow costs a place, and no more. */
import type { ServerOptions } from 'node:http'
import type { ServerOptions as TlsServerOptions } from 'node:https'
import type { TlsFiles } from '@tributary/protocol/tls-files.ts'
import type { FastifyInstance } from 'fastify'
import type { ApiMetrics } from './metrics.ts'
import { shouldUpgradeCallback } from './upgrade.ts'

export interface ConnectionLimits {
  readonly maxConnections: number
  /** Milliseconds. */
  readonly requestTimeout: number
  readonly answerTimeout: number
  readonly idleTimeout: number
}

export const defaultLimits: ConnectionLimits = {
  maxConnections: 1024,
  requestTimeout: 60_000,
  answerTimeout: 60_000,
  idleTimeout: 75_000,
}

/** The language's limit of 128 KiB, percent-encoded, and the rest of a request. */
export const maxRequestBytes = 512 * 1024

export function serverOptions({ requestTimeout }: ConnectionLimits): ServerOptions {
  return {
    maxHeaderSize: maxRequestBytes,
    headersTimeout: requestTimeout,
    requestTimeout,
    connectionsCheckingInterval: Math.min(1000, requestTimeout),
    shouldUpgradeCallback,
  }
}

/** A client without a certificate is not turned away here: what needs none is still answered. */
export function tlsServerOptions(limits: ConnectionLimits, tls: TlsFiles): TlsServerOptions {
  const { material } = tls
  const clients = material.ca === undefined ? {} : { requestCert: true, rejectUnauthorized: false }
  return { ...serverOptions(limits), ...material, ...clients, handshakeTimeout: limits.requestTimeout }
}

/** How often it is looked for connections without a request while closing, milliseconds. */
const idleCheck = 100

export function limitConnections(app: FastifyInstance, limits: ConnectionLimits, metrics: ApiMetrics): void {
  app.server.maxConnections = limits.maxConnections
  app.server.on('drop', () => metrics.dropped())
  // Closing waits for answers that are being made, and then for nothing: their connections would be kept for the next request.
  app.addHook('preClose', async () => {
    const closing = setInterval(() => app.server.closeIdleConnections(), idleCheck)
    app.server.once('close', () => clearInterval(closing))
  })
  // A client that takes nothing of its answer has it in our memory. While it is made nothing moves, so the time begins here.
  app.addHook('onSend', async (_, reply, payload) => {
    reply.raw.setTimeout(limits.answerTimeout)
    return payload
  })
}
