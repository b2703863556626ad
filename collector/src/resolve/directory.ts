/** All aggregators that the configured addresses stand for at the moment. */
import type { Logger } from 'pino'
import type { CollectorMetrics } from '../metrics.ts'
import { hostPort, NameResolver } from './resolver.ts'
import { parseTarget, type Target } from './target.ts'
import { WatchedName } from './watched-name.ts'

/** One aggregator and how to reach it. */
export interface Endpoint {
  /** What it is known by, for as long as it is listed. */
  readonly key: string
  readonly host: string
  readonly port: number
  /** Name that its certificate must carry: the configured one; empty for an IP address. */
  readonly serverName: string
  readonly weight: number
  readonly standby: boolean
  /** The configured address it comes from. */
  readonly from: string
}

/** One entry of `aggregator.address`. */
export interface ConfiguredAddress {
  readonly address: string
  readonly weight: number
  readonly standby: boolean
}

export interface DirectoryOptions {
  readonly addresses: readonly ConfiguredAddress[]
  readonly dns: { readonly servers: readonly string[]; readonly interval: number }
  readonly log: Logger
  readonly metrics: CollectorMetrics
}

/** A configured name of which no address is known, or not the newest. */
export interface NameTrouble {
  readonly address: string
  readonly reason: string
  /** Addresses it had when it was last resolved. */
  readonly known: number
}

interface Entry {
  readonly configured: ConfiguredAddress
  readonly target: Target
  readonly watched: WatchedName | undefined
}

export class AggregatorDirectory {
  readonly #entries: readonly Entry[]
  /** Called when {@link endpoints} became others. */
  onChange: () => void = () => undefined

  constructor({ addresses, dns, log, metrics }: DirectoryOptions) {
    let resolver: NameResolver | undefined
    this.#entries = addresses.map((configured) => {
      const target = parseTarget(configured.address)!
      if (target.kind === 'literal') return { configured, target, watched: undefined }
      resolver ??= new NameResolver(dns.servers)
      const parts = { resolver, interval: dns.interval, log, metrics, onChange: () => this.onChange() }
      return { configured, target, watched: new WatchedName(configured.address, target, parts) }
    })
  }

  /** In the order of the configuration; what two entries name is told once. */
  get endpoints(): Endpoint[] {
    const all = new Map<string, Endpoint>()
    for (const endpoint of this.#entries.flatMap(endpointsOf))
      if (!all.has(endpoint.key)) all.set(endpoint.key, endpoint)
    return [...all.values()]
  }

  get troubles(): NameTrouble[] {
    return this.#entries.flatMap(({ configured: { address }, watched }) =>
      watched?.trouble === undefined ? [] : [{ address, reason: watched.trouble, known: watched.found.length }],
    )
  }

  /** A connection failed or was closed: what the names stand for may have changed. */
  refresh(): void {
    for (const { watched } of this.#entries) watched?.refresh()
  }

  async close(): Promise<void> {
    await Promise.all(this.#entries.map(({ watched }) => watched?.close()))
  }
}

function endpointsOf({ configured, target, watched }: Entry): Endpoint[] {
  const { address: from, weight, standby } = configured
  if (target.kind === 'literal') {
    const { host, port } = target
    return [{ key: hostPort(host, port), host, port, serverName: '', weight, standby, from }]
  }
  const serverName = target.host.replace(/\.$/, '')
  return watched!.found.map(({ key, host, port, ...own }) => {
    return { key, host, port, serverName, weight: weight * own.weight, standby: standby || own.standby, from }
  })
}
