import { ApiClient, type Entry } from './api-client.ts'
import { formatEntry, formatSamples, type Output } from './output.ts'
import { parseRange } from './time.ts'

export interface QueryOptions {
  readonly addr: string
  readonly since?: string
  readonly from?: string
  readonly to?: string
  readonly limit: number
  readonly forward?: boolean
  readonly output: Output
}

export type Print = (line: string) => void

/** `tributary query`: the newest entries first, unless `forward`. */
export async function runQuery(query: string, options: QueryOptions, print: Print): Promise<void> {
  const range = parseRange(options, Date.now())
  const pages = new ApiClient(options.addr).entries(
    query,
    range,
    options.limit,
    options.forward ? 'forward' : 'backward',
  )
  for (;;) {
    const { value, done } = await pages.next()
    if (!done) for (const entry of value) print(formatEntry(entry, options.output))
    else {
      if (value) for (const line of formatSamples(value, options.output)) print(line)
      return
    }
  }
}

export interface TailOptions {
  readonly addr: string
  readonly output: Output
  readonly since: string
  /** Milliseconds between two looks. */
  readonly interval: number
}

/** Lines can become visible later than younger ones: so far back every look goes, ms. */
const overlapMs = 10_000

/** `tributary tail`: what comes, as it comes, until the signal. */
export async function runTail(query: string, options: TailOptions, print: Print, signal: AbortSignal): Promise<void> {
  const client = new ApiClient(options.addr)
  let { start } = parseRange(options, Date.now())
  /** How often an entry was printed, by all it says, for entries that the next look can see again. */
  let printed = new Map<string, number>()
  while (!signal.aborted) {
    const end = BigInt(Date.now() + 60_000) * 1_000_000n
    const seen = new Map<string, number>()
    for await (const page of client.entries(query, { start, end }, Number.MAX_SAFE_INTEGER, 'forward')) {
      for (const entry of page) {
        const key = keyOf(entry)
        const count = (seen.get(key) ?? 0) + 1
        seen.set(key, count)
        if (count > (printed.get(key) ?? 0)) print(formatEntry(entry, options.output))
      }
    }
    printed = seen
    const overlap = BigInt(Date.now() - overlapMs) * 1_000_000n
    if (overlap > start) start = overlap
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, options.interval)
      signal.addEventListener('abort', () => resolve(clearTimeout(timer)), { once: true })
    })
  }
}

function keyOf({ timestamp, labels, line }: Entry): string {
  return `${timestamp} ${JSON.stringify(labels)} ${line}`
}
