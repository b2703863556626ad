/**
 * The read-only half of Loki's ruler, without a rule: Grafana asks for them, and takes a missing path for a broken data source. A single
 * group is not answered for: from that Grafana would conclude that it can write some.
 */
import type { FastifyInstance } from 'fastify'
import { forRead } from '../access/access.ts'
import { jsonType, textType } from './content-type.ts'

const prometheusJson = (data: object): string => JSON.stringify({ status: 'success', data, errorType: '', error: '' })

export function ruleRoutes(app: FastifyInstance): void {
  const options = { config: { access: forRead } }
  for (const root of ['/loki/api/v1/rules', '/api/prom/rules']) {
    for (const path of [root, `${root}/:namespace`])
      app.get(path, options, (_, reply) => reply.status(404).type(textType).send('no rule groups found\n'))
  }
  for (const root of ['/prometheus/api/v1', '/api/prom/api/v1']) {
    app.get(`${root}/rules`, options, (_, reply) => reply.type(jsonType).send(prometheusJson({ groups: [] })))
    app.get(`${root}/alerts`, options, (_, reply) => reply.type(jsonType).send(prometheusJson({ alerts: [] })))
  }
}
