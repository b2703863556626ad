import { ApiClient } from './api-client.ts'
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
