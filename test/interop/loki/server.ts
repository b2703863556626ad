/** A real Loki, and the aggregator beside it, with the same entries. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startAggregator } from '../../harness/aggregator.ts'
import { Daemon } from '../../harness/daemon.ts'
import { freePorts, type Pipeline, until } from '../../harness/processes.ts'
import { entryCount, ofSecondTenant, type PushedStream, range, streams } from './entries.ts'

export const tenant = 'u1'
export const secondTenant = 'u2'
/** What pushes are tried with. */
export const pushTenant = 'p1'

const patience = 90_000

/** Loki with tenants and a store on disk, as small as it gets. Limits are its defaults. */
function configuration(directory: string, http: number, grpc: number): object {
  const listen = '127.0.0.1'
  return {
    auth_enabled: true,
    analytics: { reporting_enabled: false },
    server: {
      http_listen_address: listen,
      http_listen_port: http,
      grpc_listen_address: listen,
      grpc_listen_port: grpc,
      log_level: 'error',
    },
    common: {
      instance_addr: listen,
      path_prefix: directory,
      storage: {
        filesystem: { chunks_directory: join(directory, 'chunks'), rules_directory: join(directory, 'rules') },
      },
      replication_factor: 1,
      ring: { kvstore: { store: 'inmemory' } },
    },
    limits_config: { volume_enabled: true, allow_structured_metadata: true },
    schema_config: {
      configs: [
        {
          from: '2020-10-24',
          store: 'tsdb',
          object_store: 'filesystem',
          schema: 'v13',
          index: { prefix: 'index_', period: '24h' },
        },
      ],
    },
    ingester: { lifecycler: { min_ready_duration: '0s', final_sleep: '0s' } },
    pattern_ingester: { enabled: false },
    querier: { multi_tenant_queries_enabled: true },
  }
}

export class Pair implements AsyncDisposable {
  readonly loki: string
  readonly ours: string
  readonly #daemon: Daemon
  readonly #aggregator: Pipeline
  readonly #directory: string

  private constructor(daemon: Daemon, loki: string, aggregator: Pipeline, directory: string) {
    this.loki = loki
    this.ours = aggregator.url
    this.#daemon = daemon
    this.#aggregator = aggregator
    this.#directory = directory
  }

  /** Both answer, and both have the entries. */
  static async start(program: string): Promise<Pair> {
    const aggregator = await startAggregator({ tenants: { enabled: true }, load: { blockDelay: '100ms' } })
    const directory = mkdtempSync(join(tmpdir(), 'tributary-loki-'))
    const [http, grpc] = (await freePorts(2)) as [number, number]
    const file = join(directory, 'loki.yaml')
    // YAML is a superset of JSON.
    writeFileSync(file, JSON.stringify(configuration(directory, http, grpc)))
    const daemon = new Daemon(program, [`-config.file=${file}`])
    const pair = new Pair(daemon, `http://127.0.0.1:${http}`, aggregator, directory)
    try {
      await pair.#fill()
      return pair
    } catch (error) {
      await pair[Symbol.asyncDispose]()
      throw error
    }
  }

  async #fill(): Promise<void> {
    const ready = async () => (await fetch(`${this.loki}/ready`).catch(() => undefined))?.ok === true
    await until(ready, patience, () => `Loki is not ready; its last words:\n${this.#daemon.output}`)
    for (const url of [this.loki, this.ours]) {
      await this.#give(url, tenant, streams)
      await this.#give(url, secondTenant, ofSecondTenant)
    }
  }

  /** What was pushed to the aggregator is in its store. Loki answers from memory what it took. */
  async settled(): Promise<void> {
    const response = await fetch(`${this.ours}/api/v1/audit?wait=60s`, { headers: { 'x-scope-orgid': pushTenant } })
    const { caughtUp } = (await response.json()) as { caughtUp: boolean }
    if (!caughtUp) throw new Error('the aggregator has not stored what was pushed')
  }

  async #give(url: string, to: string, pushed: readonly PushedStream[]): Promise<void> {
    const response = await fetch(`${url}/loki/api/v1/push`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-scope-orgid': to },
      body: JSON.stringify({ streams: pushed }),
    })
    if (response.status !== 204) throw new Error(`${url}: ${response.status} ${await response.text()}`)
    const wanted = entryCount(pushed)
    let found = 0
    await until(
      async () => (found = await this.#count(url, to)) >= wanted,
      patience,
      () => `${url} has ${found} of ${wanted} entries`,
    )
  }

  async #count(url: string, of: string): Promise<number> {
    const parameters = new URLSearchParams({ query: '{case=~".+"}', ...range, limit: '5000' })
    const response = await fetch(`${url}/loki/api/v1/query_range?${parameters}`, { headers: { 'x-scope-orgid': of } })
    if (!response.ok) return 0
    const { data } = (await response.json()) as { data: { result: { values: unknown[] }[] } }
    return data.result.reduce((sum, { values }) => sum + values.length, 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon[Symbol.asyncDispose]()
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 })
    await this.#aggregator[Symbol.asyncDispose]()
  }
}
