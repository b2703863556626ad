/** `/loki/api/v1/tail`: a WebSocket that gives history, then what becomes durable. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import { forRead } from '../access/access.ts'
import type { LogExpression } from '../logql/ast.ts'
import { type Entry, evaluateLog } from '../logql/logs.ts'
import { parseQuery } from '../logql/parser.ts'
import { plan } from '../logql/plan.ts'
import { Reader, type RowStore } from '../logql/rows.ts'
import type { TenantScope } from '../logql/tenant-scope.ts'
import { TailPipeline } from '../tail/tail-pipeline.ts'
import { Tailer } from '../tail/tailer.ts'
import type { Tails } from '../tail/tails.ts'
import { classify } from './errors.ts'
import { checkEntryLimit, maxEntries, ParameterError, parseCount, readBound, readLimit, readQuery } from './params.ts'
import { hasFlag, readParameters, tenantsOf } from './request.ts'
import { tailJson } from './shapes.ts'
import { Upgrades } from './upgrade.ts'

interface TailRequest {
  readonly log: LogExpression
  readonly scope: TenantScope
  readonly start: bigint
  readonly limit: number
  /** Milliseconds. */
  readonly delay: number
  readonly categorized: boolean
}

export interface TailRouteOptions {
  readonly store: RowStore
  readonly tails: Tails
  readonly queryTimeoutMs: number
  readonly onUnexpected: (error: unknown) => void
}

const hour = 3_600_000_000_000n
/** Entries may be ahead of the clock: history has no end. */
const endOfTime = (1n << 63n) - 1n
/** Loki's cap, seconds. */
const maxDelay = 5
const pingEvery = 1000
/** A client that answers no ping for so long is gone, milliseconds. */
const pongPatience = 60_000

const faulty = 1011
const goingAway = 1001
/** What a close frame has room for, bytes. */
const maxReason = 123

export function tailRoute(app: FastifyInstance, options: TailRouteOptions): void {
  const upgrades = new Upgrades(app)
  const closing = new AbortController()
  app.addHook('preClose', async () => closing.abort())
  app.get('/loki/api/v1/tail', { config: { access: forRead } }, async (raw, reply) => {
    const request = readTailRequest(raw, BigInt(Date.now()) * 1_000_000n)
    upgrades.expect(raw)
    const end = options.tails.begin(request.scope.tenants.join('|'))
    try {
      const socket = await upgrades.accept(raw, reply)
      if (socket === undefined) end()
      else void serve(socket, request, options, closing.signal).finally(end)
    } catch (error) {
      end()
      throw error
    }
  })
}

function readTailRequest(raw: FastifyRequest, now: bigint): TailRequest {
  const parameters = readParameters(raw)
  const planned = plan(parseQuery(readQuery(parameters)))
  if (planned.kind !== 'log') throw new ParameterError('only log selector is supported')
  const delayText = parameters.get('delay_for') ?? ''
  const delay = delayText === '' ? 0 : parseCount(delayText)
  if (delay > maxDelay) throw new ParameterError(`delay_for can't be greater than ${maxDelay}`)
  const limit = readLimit(parameters)
  checkEntryLimit(limit)
  return {
    log: planned.log,
    scope: tenantsOf(raw),
    start: readBound(parameters, 'start') ?? now - hour,
    limit,
    delay: Math.max(0, delay) * 1000,
    categorized: hasFlag(raw, 'categorize-labels'),
  }
}

/** Until the client is gone, the time is over or something fails; never rejects. */
async function serve(socket: WebSocket, request: TailRequest, options: TailRouteOptions, closing: AbortSignal) {
  const { limits, maxDuration, metrics } = limitsOf(options.tails, request)
  const gone = new AbortController()
  const over = AbortSignal.timeout(maxDuration)
  const signal = AbortSignal.any([gone.signal, over, closing])
  socket.on('error', () => {}) // 'close' follows
  socket.on('close', () => gone.abort())
  const stopPings = keepAlive(socket)
  const tailer = new Tailer({
    feed: options.tails.options.feed,
    pipeline: new TailPipeline(request.log, request.scope),
    limits,
    untilStored: (until) => options.tails.untilStored(until),
    history: (until) => readHistory(request, options, until),
    ...(options.tails.options.sharedStore && { recent: (until) => readRecent(request, options, until) }),
    send: async (entries, dropped) => {
      await sendText(socket, tailJson(entries, dropped, request.categorized))
      metrics.sent(entries.length)
    },
    onDropped: (entries) => metrics.dropped(entries),
  })
  try {
    await tailer.run(signal)
  } catch (error) {
    if (closing.aborted) socket.close(goingAway, 'the aggregator stops')
    else if (over.aborted) socket.close(faulty, 'reached tail max duration limit')
    else if (!gone.signal.aborted) fail(socket, error, options)
  } finally {
    stopPings()
    // Whoever does not answer the close frame is cut off.
    setTimeout(() => socket.terminate(), 1000).unref()
  }
}

function limitsOf({ options }: Tails, { delay }: TailRequest) {
  const { maxDuration, metrics, queueBytes, queueEntries } = options
  return { limits: { maxEntries: queueEntries, maxBytes: queueBytes, delay }, maxDuration, metrics }
}

function fail(socket: WebSocket, error: unknown, { onUnexpected }: TailRouteOptions): void {
  const failure = classify(error, undefined)
  if (failure.unexpected) onUnexpected(error)
  socket.close(
    faulty,
    Buffer.from(failure.message)
      .subarray(0, maxReason)
      .toString()
      .replace(/\ufffd$/, ''),
  )
}

async function readHistory(
  { limit, log, scope, start }: TailRequest,
  { queryTimeoutMs, store }: TailRouteOptions,
  signal: AbortSignal,
): Promise<Entry[]> {
  const reader = new Reader(store, scope, signal, performance.now() + queryTimeoutMs)
  const search = { log, start, end: endOfTime, limit, direction: 'backward', interval: 0n, places: true } as const
  return (await evaluateLog(reader, search)).reverse()
}

/** As far back as another aggregator may be behind with its blocks, nanoseconds. */
const recently = 30_000_000_000n

function readRecent(request: TailRequest, options: TailRouteOptions, signal: AbortSignal): Promise<Entry[]> {
  const start = BigInt(Date.now()) * 1_000_000n - recently
  return readHistory({ ...request, start, limit: maxEntries }, options, signal)
}

function sendText(socket: WebSocket, text: string): Promise<void> {
  return new Promise((resolve, reject) => socket.send(text, (error) => (error ? reject(error) : resolve())))
}

function keepAlive(socket: WebSocket): () => void {
  let answered = performance.now()
  socket.on('pong', () => {
    answered = performance.now()
  })
  const timer = setInterval(() => {
    if (performance.now() - answered > pongPatience) socket.terminate()
    else if (socket.readyState === socket.OPEN) socket.ping()
  }, pingEvery)
  return () => clearInterval(timer)
}
