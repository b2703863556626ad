/** The HTTP API: Loki's query endpoints, health, metrics and the start page. Answers; decides nothing about logs itself. */
import type { Readable } from 'node:stream'
import type { TLSSocket, Server as TlsServer } from 'node:tls'
import type { TlsFiles } from '@tributary/protocol/tls-files.ts'
import { parseDuration } from '@tributary/protocol/units.ts'
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import type { Registry } from 'prom-client'
import { type Access, forAdmin, forAnyone, forRead, open } from '../access/access.ts'
import { AccessError } from '../access/access-error.ts'
import { type Limits, limitsConfig } from '../access/config.ts'
import { BackupError } from '../backup/backup.ts'
import type { Logger } from '../log.ts'
import { type QueryLimits, strictest } from '../logql/limits.ts'
import type { RowStore } from '../logql/rows.ts'
import type { Tails } from '../tail/tails.ts'
import { buildInfo } from './build-info.ts'
import {
  type ConnectionLimits,
  defaultLimits,
  limitConnections,
  maxRequestBytes,
  serverOptions,
  tlsServerOptions,
} from './connections.ts'
import { jsonType, textType } from './content-type.ts'
import { answerDetectedFields, answerDetectedValues } from './detected-fields.ts'
import { answerDetectedLabels } from './detected-labels.ts'
import { classify } from './errors.ts'
import { formatQuery } from './format-query.ts'
import { answerIndexStats, answerLabels, answerLabelValues, answerSeries } from './label-answers.ts'
import { drilldownLimits, tenantLimits } from './limits-answers.ts'
import { OtherMethods } from './methods.ts'
import { type ApiMetrics, apiMetrics } from './metrics.ts'
import { statusPage } from './page.ts'
import { ParameterError, readQuery } from './params.ts'
import { answerPatterns } from './patterns.ts'
import { type PushSink, pushRoutes } from './push-routes.ts'
import { answerInstant, answerRange } from './queries.ts'
import { type ApiRequest, apiRequest, readParameters, requestSignal } from './request.ts'
import { ruleRoutes } from './rules.ts'
import { tailRoute } from './tail-route.ts'
import { answerVolume, answerVolumeRange } from './volume-answers.ts'

export interface Readiness {
  readonly ready: boolean
  /** Why not yet. */
  readonly reason?: string
}

export interface ApiOptions {
  readonly store: RowStore
  readonly access: Access
  /** Of the aggregator, such as `0.1.0`. */
  readonly version: string
  readonly log: Logger
  /** Served at `/metrics`; the API adds its own metrics to it. */
  readonly registry: Registry
  /** Without it nobody can tail. */
  readonly tails?: Tails
  /** Without it nothing is pushed here. */
  readonly push?: PushSink
  ready(): Readiness
  /** Why the process is not healthy; undefined when it is. By default it always is. */
  problem?(): string | undefined
  /**
   * The ledger, passed through to `/api/v1/audit`: one value, or the items of a list.
   *
   * @param waitMs how long to wait until what was received is in the store, as the request's `wait` has it
   */
  audit(waitMs: number, signal: AbortSignal): unknown
  /** The archive that `/api/v1/backup` answers with. Throws BackupError. */
  backup?(): Promise<Readable>
  /** The page at `/`; by default one that says what runs. */
  page?(): string
  /** With it the API speaks only TLS. Where it has trusted certificates, clients must have one of theirs. */
  readonly tls?: TlsFiles
  readonly limits?: ConnectionLimits
  /** Of a tenant; the standard ones by default. */
  tenantLimits?(tenant: string): Limits
  /** How long rows are kept, milliseconds; 0, the default, for ever. */
  readonly retentionMs?: number
  /** How long a query may take, milliseconds. */
  readonly queryTimeoutMs?: number
}

/** Loki's query_timeout. */
const defaultQueryTimeoutMs = 60_000

/** Label names are no longer than this in Loki. */
const maxNameLength = 1024

/** An audit counts every row there is. */
const maxAuditMs = 600_000
const defaultAuditWaitMs = 30_000

/** Not listening yet. */
export function createApi(options: ApiOptions): FastifyInstance {
  const { limits = defaultLimits, tls } = options
  const app = fastify({
    logger: false,
    bodyLimit: maxRequestBytes,
    routerOptions: { maxParamLength: maxNameLength * 3, ignoreTrailingSlash: true },
    requestTimeout: limits.requestTimeout,
    keepAliveTimeout: limits.idleTimeout,
    // A path whose percent signs mean nothing: no route is looked for. In the words of Go's server.
    frameworkErrors: (_, __, reply) =>
      void (reply as unknown as FastifyReply).status(400).type(textType).send('400 Bad Request'),
    ...(tls === undefined ? { http: serverOptions(limits) } : { https: tlsServerOptions(limits, tls) }),
  }) as unknown as FastifyInstance
  const metrics = apiMetrics(options.registry)
  limitConnections(app, limits, metrics)
  tls?.keepFresh(app.server as unknown as TlsServer)
  acceptAnyBody(app)
  letIn(app, options.access, metrics, tls?.material.ca !== undefined)
  answerErrors(app, options)
  countRequests(app, metrics)
  const others = new OtherMethods(app)
  queryRoutes(app, options, metrics)
  if (options.push) pushRoutes(app, options.push)
  if (options.tails) {
    tailRoute(app, {
      store: options.store,
      tails: options.tails,
      queryTimeoutMs: options.queryTimeoutMs ?? defaultQueryTimeoutMs,
      onUnexpected: (error) => options.log.error({ err: error }, 'a tail failed'),
    })
  }
  exploreRoutes(app, options)
  ruleRoutes(app)
  operationRoutes(app, options)
  others.refuse()
  return app
}

/** Forms come as text; whatever else is sent is ignored, as the URL may say all. */
function acceptAnyBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_, body, done) =>
    done(null, body),
  )
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_, __, done) => done(null, undefined))
}

/** Before anything of a body is read. A path that isn't there needs a credential, but no role: clients look which paths there are. */
function letIn(app: FastifyInstance, access: Access, metrics: ApiMetrics, certificates: boolean): void {
  app.addHook('onRequest', async (request, reply) => {
    const needed = request.is404 ? forAnyone : (request.routeOptions.config.access ?? forAdmin)
    try {
      if (certificates && needed !== open && !(request.raw.socket as TLSSocket).authorized)
        throw new AccessError('no_certificate', 'a client certificate is needed')
      request.grant = access.grant(request.headers, needed)
    } catch (error) {
      if (!(error instanceof AccessError)) throw error
      metrics.refused(error.problem)
      if (error.challenge !== undefined) reply.header('www-authenticate', error.challenge)
      throw error
    }
  })
}

function answerErrors(app: FastifyInstance, { log, ready: readiness }: ApiOptions): void {
  app.setErrorHandler((error, request, reply) => {
    const failure = classify(error, undefined)
    const { ready, reason } = readiness()
    // As long as tables are made, statements find none.
    if (failure.unexpected && !ready) return reply.status(503).type(textType).send(notReady(reason))
    if (failure.unexpected) log.error({ err: error, route: request.routeOptions.url }, 'request failed')
    return reply.status(failure.status).type(textType).send(failure.message)
  })
  // Grafana takes this text as "not supported".
  app.setNotFoundHandler((_, reply) => reply.status(404).type(textType).send('404 page not found\n'))
}

const notReady = (reason = 'starting'): string => `not ready: ${reason}\n`

function countRequests(app: FastifyInstance, metrics: ApiMetrics): void {
  app.addHook('onResponse', async (request, reply) => {
    metrics.requested(request.routeOptions.url ?? 'none', reply.statusCode, reply.elapsedTime / 1000)
  })
}

function queryRoutes(app: FastifyInstance, options: ApiOptions, metrics: ApiMetrics): void {
  const limitsOf = ({ grant }: FastifyRequest): QueryLimits => {
    const own = grant.tenants.map((tenant) => options.tenantLimits?.(tenant) ?? limitsConfig.parse({}))
    const limits = strictest(own)
    return options.queryTimeoutMs === undefined ? limits : { ...limits, timeoutMs: options.queryTimeoutMs }
  }
  const query = (path: string, answer: (request: ApiRequest, raw: FastifyRequest) => Promise<string>) => {
    const handler = async (raw: FastifyRequest, reply: FastifyReply) => {
      const limits = limitsOf(raw)
      const { signal, end } = requestSignal(reply, limits.timeoutMs)
      const request = apiRequest(raw, options.store, signal, limits)
      try {
        const body = await answer(request, raw)
        return reply.type(jsonType).send(body)
      } catch (error) {
        throw signal.aborted ? signal.reason : error
      } finally {
        end()
        metrics.read(request.reader.totals.rows, request.reader.totals.bytes)
      }
    }
    app.route({ method: ['GET', 'POST'], url: `/loki/api/v1/${path}`, config: { access: forRead }, handler })
  }
  query('query_range', answerRange)
  query('query', answerInstant)
  query('labels', answerLabels)
  query('label', answerLabels)
  query('label/:name/values', (request, raw) => answerLabelValues(request, (raw.params as { name: string }).name))
  query('series', answerSeries)
  query('index/stats', answerIndexStats)
  query('index/volume', answerVolume)
  query('index/volume_range', answerVolumeRange)
  query('detected_labels', answerDetectedLabels)
  query('detected_fields', answerDetectedFields)
  query('detected_field/:name/values', (request, raw) =>
    answerDetectedValues(request, (raw.params as { name: string }).name),
  )
  query('patterns', answerPatterns)
}

/** What is answered without the store. */
function exploreRoutes(
  app: FastifyInstance,
  { tenantLimits: ofTenant, queryTimeoutMs, retentionMs = 0 }: ApiOptions,
): void {
  const config = { access: forRead }
  const limitsOf = ({ grant }: FastifyRequest) => {
    // Those of several tenants are told by the first.
    const own = ofTenant?.(grant.tenants[0]!) ?? limitsConfig.parse({})
    return [own, { timeoutMs: queryTimeoutMs ?? own.queryTimeout, retention: retentionMs }] as const
  }
  app.get('/loki/api/v1/drilldown-limits', { config }, (request, reply) =>
    reply.type(jsonType).send(drilldownLimits(...limitsOf(request))),
  )
  // Text, so that browsers show it.
  app.get('/config/tenant/v1/limits', { config }, (request, reply) =>
    reply.type(textType).send(tenantLimits(...limitsOf(request))),
  )
  app.route({
    method: ['GET', 'POST'],
    url: '/loki/api/v1/format_query',
    config,
    handler: (request, reply) => {
      const { body, status } = formatQuery(readQuery(readParameters(request)))
      return reply.status(status).type('application/json; charset=utf-8').send(body)
    },
  })
}

function operationRoutes(app: FastifyInstance, options: ApiOptions): void {
  const { version, registry } = options
  app.get('/loki/api/v1/status/buildinfo', { config: { access: forAnyone } }, (_, reply) =>
    reply.type(jsonType).send(JSON.stringify(buildInfo(version))),
  )
  app.get('/healthz', { config: { access: open } }, (_, reply) => {
    const problem = options.problem?.()
    return reply
      .status(problem === undefined ? 200 : 503)
      .type(textType)
      .send(`${problem ?? 'ok'}\n`)
  })
  app.get('/ready', { config: { access: open } }, (_, reply) => {
    const { ready, reason } = options.ready()
    return reply
      .status(ready ? 200 : 503)
      .type(textType)
      .send(ready ? 'ready\n' : notReady(reason))
  })
  app.get('/metrics', { config: { access: open } }, async (_, reply) =>
    reply.type(registry.contentType).send(await registry.metrics()),
  )
  app.get('/api/v1/audit', { config: { access: forAdmin } }, async (request, reply) => {
    const { signal, end } = requestSignal(reply, maxAuditMs)
    try {
      const waitMs = auditWait((request.query as Record<string, unknown>)['wait'])
      return reply.type(jsonType).send(await auditJson(options.audit(waitMs, signal)))
    } finally {
      end()
    }
  })
  app.get('/api/v1/backup', { config: { access: forAdmin } }, async (_, reply) => {
    if (options.backup === undefined) return reply.callNotFound()
    try {
      return reply.type('application/x-tar').send(await options.backup())
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      return reply.status(409).type(textType).send(`${error.message}\n`)
    }
  })
  app.get('/', { config: { access: forAnyone } }, (_, reply) =>
    reply.type('text/html; charset=utf-8').send(options.page?.() ?? statusPage({ version, ...options.ready() })),
  )
}

/** `30s`, as the parameter `wait` has it. */
function auditWait(text: unknown): number {
  if (text === undefined) return defaultAuditWaitMs
  const ms = parseDuration(String(text))
  if (ms === undefined) throw new ParameterError(`invalid wait ${JSON.stringify(text)}: write a duration such as 30s`)
  return Math.min(ms, maxAuditMs)
}

async function auditJson(audit: unknown): Promise<string> {
  const value = await audit
  if (value === null || typeof value !== 'object' || !(Symbol.asyncIterator in value)) return JSON.stringify(value)
  const items: string[] = []
  for await (const item of value as AsyncIterable<unknown>) items.push(JSON.stringify(item))
  return `[${items.join(',')}]`
}
