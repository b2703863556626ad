/** `tributary tail`: what comes, as it comes. */
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { ApiError, type Entry, flatten, pageLimit, requestHeaders } from './api-client.ts'
import { formatEntry, type Output } from './output.ts'
import type { Print } from './query.ts'
import { parseRange } from './time.ts'

export interface TailOptions {
  readonly addr: string
  readonly output: Output
  readonly since: string
  /** Most lines of the past. */
  readonly limit: number
}

interface Frame {
  readonly streams?: { stream: Record<string, string>; values: [string, string][] }[] | null
  readonly dropped_entries?: unknown[] | null
}

/** Pause before a connection that was lost is made again, milliseconds. */
const retryAfter = 1000
/** After a lost connection so much is asked for again, nanoseconds: lines can become visible later than younger ones. */
const overlap = 10_000_000_000n
/** Lines that are remembered so that they are not printed again then. */
const maxRemembered = 20_000

/** Prints until the signal. A connection that is lost after it was made is made again, for as long as it takes. */
export async function runTail(
  query: string,
  options: TailOptions,
  print: Print,
  warn: Print,
  signal: AbortSignal,
): Promise<void> {
  const printed = new Printed()
  const take = (frame: Frame) => {
    const dropped = frame.dropped_entries?.length ?? 0
    if (dropped > 0) warn(`${dropped} lines were left out: this client is too slow`)
    for (const entry of flatten(frame.streams ?? [], 'forward'))
      if (printed.isNew(entry)) print(formatEntry(entry, options.output))
  }
  const { start } = parseRange(options, Date.now())
  let ended = await follow(address(options.addr, query, start, options.limit), signal, take)
  while (!signal.aborted) {
    warn(`the connection ended (${ended}); connecting again`)
    await sleep(retryAfter, undefined, { signal }).catch(() => {}) // the signal is looked at next
    if (signal.aborted) return
    printed.nextConnection()
    const from = printed.latest - overlap > start ? printed.latest - overlap : start
    ended = await follow(address(options.addr, query, from, pageLimit), signal, take).catch(
      (error: Error) => error.message,
    )
  }
}

function address(addr: string, query: string, start: bigint, limit: number): string {
  const parameters = new URLSearchParams({ query, start: String(start), limit: String(limit) })
  return `${addr.replace(/^http/, 'ws').replace(/\/+$/, '')}/loki/api/v1/tail?${parameters}`
}

/** Resolves with why the connection ended; rejects when it could not be made. */
function follow(url: string, signal: AbortSignal, take: (frame: Frame) => void): Promise<string> {
  const socket = new WebSocket(url, { headers: requestHeaders() })
  let opened = false
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const stop = () => socket.close()
  signal.addEventListener('abort', stop)
  socket.on('open', () => {
    opened = true
  })
  socket.on('message', (data) => take(JSON.parse(String(data)) as Frame))
  socket.on('unexpected-response', async (_, response) => {
    let text = ''
    for await (const piece of response) text += piece
    reject(new ApiError(text.trim() || `${url} answered ${response.statusCode}`))
  })
  socket.on('error', (error) => {
    if (opened || signal.aborted) resolve(error.message)
    else
      reject(
        new ApiError(
          `${new URL(url).origin} does not answer (${error.message}); is an aggregator running there? Set another with --addr`,
        ),
      )
  })
  socket.on('close', (code, reason) => resolve(String(reason) || String(code)))
  return promise.finally(() => signal.removeEventListener('abort', stop))
}

/** What was printed lately. Equal lines that one connection gives are lines of their own; what one before gave is not printed again. */
class Printed {
  #before = new Set<string>()
  #now = new Set<string>()
  /** The youngest time, nanoseconds. */
  latest = 0n

  isNew(entry: Entry): boolean {
    const key = `${entry.timestamp} ${JSON.stringify(entry.labels)} ${entry.line}`
    if (this.#before.has(key)) return false
    this.#now.add(key)
    if (this.#now.size > maxRemembered) this.#now.delete(this.#now.values().next().value!)
    const time = BigInt(entry.timestamp)
    if (time > this.latest) this.latest = time
    return true
  }

  nextConnection(): void {
    this.#before = new Set([...this.#before, ...this.#now].slice(-maxRemembered))
    this.#now = new Set()
  }
}
