/** `/loki/api/v1/push`, and the older path that some clients still have. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { forPush } from '../access/access.ts'
import { LimitError } from '../access/limit-error.ts'
import { PushError } from '../push/push-request.ts'
import type { PushBody, PushOutcome } from '../push/pusher.ts'
import { textType } from './content-type.ts'
import { tenantOf } from './request.ts'

export interface PushSink {
  /** Longest body, compressed or not, bytes. */
  readonly maxBodyBytes: number
  /** Resolves when what was accepted is durable; throws {@link PushError}. */
  take(body: PushBody, tenant: string): Promise<PushOutcome>
}

const tooLarge = 'FST_ERR_CTP_BODY_TOO_LARGE'

export function pushRoutes(app: FastifyInstance, sink: PushSink): void {
  // In a context of its own: here bodies are taken whole, whatever they are.
  app.register(async (routes) => {
    routes.removeAllContentTypeParsers()
    routes.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: sink.maxBodyBytes }, (_, body, done) =>
      done(null, body),
    )
    routes.setErrorHandler((error, _, reply) => {
      if ((error as { code?: string }).code === tooLarge) {
        const message = `request body too large: compressed message exceeds limit ${sink.maxBodyBytes}`
        return reply.status(413).type(textType).send(message)
      }
      if (!(error instanceof PushError || error instanceof LimitError)) throw error
      if (error.statusCode === 503) reply.header('retry-after', '1')
      return reply.status(error.statusCode).type(textType).send(error.message)
    })
    const handler = async (request: FastifyRequest, reply: FastifyReply) => {
      const body: PushBody = {
        bytes: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
        contentType: request.headers['content-type'],
        contentEncoding: request.headers['content-encoding'],
      }
      const { problem } = await sink.take(body, tenantOf(request))
      if (problem !== undefined) return reply.status(400).type(textType).send(problem)
      return reply.status(204).send()
    }
    for (const url of ['/loki/api/v1/push', '/api/prom/push']) {
      routes.route({ method: 'POST', url, bodyLimit: sink.maxBodyBytes, config: { access: forPush }, handler })
    }
  })
}
