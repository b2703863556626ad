/** `/loki/api/v1/push`, and the older path that some clients still have. */
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { forPush } from '../access/access.ts'
import { LimitError } from '../access/limit-error.ts'
import { PushError } from '../push/push-request.ts'
import type { PushBody, PushOutcome, ReceivedBody } from '../push/pusher.ts'
import { textType } from './content-type.ts'
import { tenantOf } from './request.ts'

export interface PushSink {
  /** A body as it comes, of the length that its head has, if any; throws {@link PushError}. */
  receive(body: Readable, length: number | undefined): Promise<ReceivedBody>
  /** Resolves when what was accepted is durable; throws {@link PushError}. */
  take(body: PushBody, tenant: string): Promise<PushOutcome>
}

export function pushRoutes(app: FastifyInstance, sink: PushSink): void {
  // In a context of its own: here bodies are taken whole, whatever they are.
  app.register(async (routes) => {
    routes.removeAllContentTypeParsers()
    routes.addContentTypeParser('*', (request: FastifyRequest, body: Readable) => {
      const length = request.headers['content-length']
      return sink.receive(body, length === undefined ? undefined : Number(length))
    })
    routes.setErrorHandler((error, _, reply) => {
      if (!(error instanceof PushError || error instanceof LimitError)) throw error
      if (error.statusCode === 503) reply.header('retry-after', '1')
      return reply.status(error.statusCode).type(textType).send(error.message)
    })
    const handler = async (request: FastifyRequest, reply: FastifyReply) => {
      const received = (request.body as ReceivedBody | undefined) ?? (await sink.receive(Readable.from([]), 0))
      const body: PushBody = {
        ...received,
        contentType: request.headers['content-type'],
        contentEncoding: request.headers['content-encoding'],
      }
      const { problem } = await sink.take(body, tenantOf(request))
      if (problem !== undefined) return reply.status(400).type(textType).send(problem)
      return reply.status(204).send()
    }
    for (const url of ['/loki/api/v1/push', '/api/prom/push']) {
      routes.route({ method: 'POST', url, config: { access: forPush }, handler })
    }
  })
}
