/** The live line of `tributary up`: lines per second in and stored, how far behind, errors. Without a terminal, a plain line now and then. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface StatusSources {
  readonly port: number
  readonly collectorPort: number
}

interface Sample {
  readonly at: number
  readonly read: number
  readonly stored: number
  readonly unread: number
  readonly connected: boolean
}

const terminalMs = 1000
const plainMs = 30_000

export class StatusLine {
  readonly #sources: StatusSources
  readonly #deaths: { readonly count: number }

  constructor(sources: StatusSources, deaths: { readonly count: number }) {
    this.#sources = sources
    this.#deaths = deaths
  }

  async run(stop: AbortSignal): Promise<void> {
    const terminal = process.stdout.isTTY
    let last: Sample | undefined
    while (!stop.aborted) {
      const sample = await this.#sample()
      if (sample && last) this.#show(formatStatus(last, sample, this.#deaths.count), terminal)
      last = sample
      await sleep(terminal ? terminalMs : plainMs, undefined, { signal: stop }).catch(() => undefined)
    }
    if (terminal) process.stdout.write('\r\x1b[K')
  }

  #show(text: string, terminal: boolean): void {
    if (terminal) process.stdout.write(`\r\x1b[K${text.slice(0, (process.stdout.columns ?? 80) - 1)}`)
    else console.log(text)
  }

  /** Undefined while one of the processes does not answer. */
  async #sample(): Promise<Sample | undefined> {
    const pages = [this.#sources.collectorPort, this.#sources.port].map(async (port) =>
      (await fetch(`http://127.0.0.1:${port}/metrics`)).text(),
    )
    const [collector, aggregator] = await Promise.all(pages).catch(() => [undefined, undefined])
    if (collector === undefined || aggregator === undefined) return undefined
    return {
      at: performance.now(),
      read: metric(collector, 'collector_read_records_total'),
      stored: metric(aggregator, 'aggregator_load_rows_total'),
      unread: metric(collector, 'collector_unread_bytes'),
      connected: metric(collector, 'collector_connected') === 1,
    }
  }
}

/** The sum of a metric's samples in Prometheus' text format. */
export function metric(page: string, name: string): number {
  let sum = 0
  for (const line of page.split('\n')) {
    if (line.startsWith(name) && /^[{ ]/.test(line.slice(name.length)))
      sum += Number(line.slice(line.lastIndexOf(' ') + 1))
  }
  return sum
}

export function formatStatus(last: Sample, now: Sample, deaths: number): string {
  const perSecond = (key: 'read' | 'stored') =>
    Math.max(0, Math.round(((now[key] - last[key]) / (now.at - last.at)) * 1000))
  const behind = now.unread < 1024 ? 'nothing' : `${Math.round(now.unread / 1024)} KiB`
  const errors = deaths + (now.connected ? 0 : 1)
  return `lines/s: ${perSecond('read')} in, ${perSecond('stored')} stored · ${now.stored} stored in all · ${behind} behind · ${errors === 0 ? 'no errors' : `${errors} errors`}`
}
