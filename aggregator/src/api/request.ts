/** One request of the query API: its parameters, its signal, and the reader that works for it. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Grant, RouteAccess } from '../access/access.ts'
import type { QueryLimits } from '../logql/limits.ts'
import { Reader, type RowStore } from '../logql/rows.ts'
import { TenantScope } from '../logql/tenant-scope.ts'
import { ClientGone, TimedOut } from './errors.ts'
import { ParameterError, readTimeRange, type TimeRange } from './params.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route, and for how many tenants. A route that doesn't say is for admins. */
    access?: RouteAccess
  }
  interface FastifyRequest {
    /** What the request was let in with; there before the body is read. */
    grant: Grant
  }
}

/** Whose rows the request may read. For a route with `access: forRead`. */
export function tenantsOf({ grant }: FastifyRequest): TenantScope {
  return new TenantScope(grant.tenants)
}

/** Whose data the request brings. For a route with `access: forPush`. */
export function tenantOf({ grant }: FastifyRequest): string {
  return grant.tenants[0]!
}

export interface ApiRequest {
  readonly parameters: URLSearchParams
  readonly reader: Reader
  /** Whether entries are to come with their metadata apart from the stream's labels. */
  readonly categorized: boolean
  /** When the request arrived, nanoseconds since 1970. */
  readonly now: bigint
  seconds(): number
}

/** The form before the URL, as Go merges them. */
export function readParameters(request: FastifyRequest): URLSearchParams {
  const url = request.raw.url ?? ''
  const search = url.includes('?') ? url.slice(url.indexOf('?') + 1) : ''
  const body = typeof request.body === 'string' ? request.body : ''
  return new URLSearchParams([...new URLSearchParams(body), ...new URLSearchParams(search)])
}

const encodingFlags = 'x-loki-response-encoding-flags'

export function hasFlag(request: FastifyRequest, flag: string): boolean {
  const header = request.headers[encodingFlags]
  const text = Array.isArray(header) ? header.join(',') : (header ?? '')
  return text.split(',').some((item) => item.trim() === flag)
}

/** Aborted when the client goes away or the time is over; `end` releases what that needs. */
export interface RequestSignal {
  readonly signal: AbortSignal
  end(): void
}

export function requestSignal(reply: FastifyReply, timeoutMs: number): RequestSignal {
  const controller = new AbortController()
  const gone = () => {
    if (!reply.raw.writableFinished) controller.abort(new ClientGone())
  }
  reply.raw.once('close', gone)
  const timer = setTimeout(() => controller.abort(new TimedOut()), timeoutMs)
  timer.unref()
  return {
    signal: controller.signal,
    end() {
      clearTimeout(timer)
      reply.raw.off('close', gone)
    },
  }
}

export function apiRequest(
  request: FastifyRequest,
  store: RowStore,
  signal: AbortSignal,
  limits: QueryLimits,
): ApiRequest {
  const began = performance.now()
  return {
    parameters: readParameters(request),
    reader: new Reader(store, tenantsOf(request), signal, began + limits.timeoutMs, limits),
    categorized: hasFlag(request, 'categorize-labels'),
    now: BigInt(Date.now()) * 1_000_000n,
    seconds: () => (performance.now() - began) / 1000,
  }
}

/** The stretch of time that a request is about. */
export function rangeOf(request: ApiRequest): TimeRange {
  const range = readTimeRange(request.parameters, request.now)
  if (range.end < range.start) throw new ParameterError('end timestamp must not be before or equal to start time')
  return range
}
