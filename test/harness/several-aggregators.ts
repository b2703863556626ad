/**
 * Several aggregators that share a store, as in a cluster: each a process in a network namespace of its own, behind a proxy that treats its
 * connections as bad networks do; one engine that serves them; a DNS server that tells the collector which of them there are.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeFlags } from '@tributary/collector/node-flags.ts'
import { metric } from 'tributary/status-line.ts'
import { type BundledScript, writeBundle } from './bundled.ts'
import { Dnsmasq } from './dnsmasq.ts'
import { NetworkNamespace } from './namespaces.ts'
import { cluster, freePorts, ManagedProcess, node, until } from './processes.ts'
import { FaultyProxy } from './proxy.ts'

export interface SeveralOptions {
  /** Most aggregators there are at a time. */
  readonly count: number
  readonly collector?: Record<string, unknown>
  readonly aggregator?: Record<string, unknown>
}

const clock = new URL('jumping-clock.ts', import.meta.url)
const name = 'aggregator.test'
const forwardPort = 24224
const httpPort = 3100

/** One aggregator: its process, its network, its disk, its clock, and the proxy that the collector knows it by. */
export class Member {
  readonly process: ManagedProcess
  readonly namespace: NetworkNamespace
  readonly proxy: FaultyProxy
  readonly dataDir: string
  readonly #clockFile: string

  constructor(
    script: string,
    root: string,
    number: number,
    namespace: NetworkNamespace,
    proxy: FaultyProxy,
    config: object,
  ) {
    this.namespace = namespace
    this.proxy = proxy
    this.dataDir = join(root, `aggregator-${number}`)
    this.#clockFile = join(root, `clock-${number}`)
    const file = join(root, `aggregator-${number}.yaml`)
    writeFileSync(file, JSON.stringify({ dataDir: this.dataDir, ...config }))
    this.process = new ManagedProcess({
      name: `aggregator-${number}`,
      prefix: namespace.prefix,
      nodeArgs: ['--import', `${clock.href}?${encodeURIComponent(this.#clockFile)}`],
      args: [script, '--config', file],
      logFile: join(root, `aggregator-${number}.out`),
      supervised: true,
    })
  }

  get url(): string {
    return `http://${this.namespace.address}:${httpPort}`
  }

  async ready(deadlineMs = 120_000): Promise<void> {
    const answers = async () => (await fetch(`${this.url}/ready`, soon()).catch(() => undefined))?.ok === true
    await until(answers, deadlineMs, () => `an aggregator is not ready; its last words:\n${this.process.output}`)
  }

  /** Sets its wall clock off by as much, ms. */
  jump(offset: number): void {
    writeFileSync(this.#clockFile, String(offset))
  }

  /** Ends it for good, with all that only its disk has. */
  async destroy(): Promise<void> {
    await this.process.kill()
    rmSync(this.dataDir, { recursive: true, force: true, maxRetries: 5 })
  }
}

export class SeveralAggregators {
  readonly root: string
  /** What the load generator gets as `out`. */
  readonly logs: string
  readonly members: Member[] = []
  readonly dns: Dnsmasq
  readonly engine: ManagedProcess
  readonly collector: ManagedProcess
  readonly #collectorPort: number
  readonly #open: AsyncDisposableStack
  /** Who answers queries. */
  asked: Member

  private constructor(
    root: string,
    script: (name: BundledScript) => string,
    options: SeveralOptions,
    {
      dns,
      proxies,
      ports,
      open,
    }: { dns: Dnsmasq; proxies: FaultyProxy[]; ports: number[]; open: AsyncDisposableStack },
  ) {
    this.root = root
    this.logs = join(root, 'logs')
    this.dns = dns
    this.#open = open
    const [enginePort, collectorPort, proxyPort] = ports as [number, number, number]
    this.#collectorPort = collectorPort
    mkdirSync(join(this.logs, 'containers'), { recursive: true })
    const passwordFile = join(this.root, 'password')
    writeFileSync(passwordFile, 'of the test')
    this.engine = new ManagedProcess({
      name: 'engine',
      args: [
        ...[
          script('store-stand-in'),
          '--directory',
          join(this.root, 'engine'),
          '--listen',
          '0.0.0.0',
          '--port',
          String(enginePort),
        ],
        ...['--password-file', passwordFile],
      ],
      logFile: join(this.root, 'engine.out'),
      supervised: true,
    })
    for (let i = 0; i < options.count; i++) {
      const namespace = open.use(new NetworkNamespace())
      const clickhouse = { url: `http://${namespace.host}:${enginePort}`, passwordFile }
      const config = {
        forward: { listen: '0.0.0.0', port: forwardPort },
        http: { listen: '0.0.0.0', port: httpPort },
        store: { engine: 'clickhouse', clickhouse },
        replicas: options.count,
        takeover: { after: '3s' },
        shutdown: { drain: '60s' },
        ...options.aggregator,
      }
      this.members.push(new Member(script('aggregator'), this.root, i, namespace, proxies[i]!, config))
      proxies[i]!.target = { host: namespace.address, port: forwardPort }
    }
    this.asked = this.members[0]!
    const config = {
      node,
      cluster,
      stateDir: join(this.root, 'collector'),
      logs: { path: join(this.logs, 'containers') },
      aggregator: {
        address: `${name}:${proxyPort}`,
        takeoverAfter: '2s',
        ackTimeout: '5s',
        dns: { servers: [dns.address], interval: '1s' },
      },
      http: { listen: '127.0.0.1', port: collectorPort },
      ...options.collector,
    }
    const file = join(this.root, 'collector.yaml')
    writeFileSync(file, JSON.stringify(config))
    this.collector = new ManagedProcess({
      name: 'collector',
      args: [script('collector'), '--config', file],
      nodeArgs: nodeFlags,
      logFile: join(this.root, 'collector.out'),
      supervised: true,
    })
  }

  /** The engine and the first `running` aggregators run, and the collector. */
  static async start(options: SeveralOptions, running: number): Promise<SeveralAggregators> {
    await using open = new AsyncDisposableStack()
    const dns = open.use(await Dnsmasq.start())
    const ports = await freePorts(3)
    const proxies: FaultyProxy[] = []
    for (let i = 0; i < options.count; i++) {
      const where = { host: proxyAddress(i), port: ports[2]! }
      proxies.push(open.use(await FaultyProxy.listen(() => 0, where)))
    }
    const root = mkdtempSync(join(tmpdir(), 'tributary-several-'))
    mkdirSync(join(root, 'bundle'))
    const script = await writeBundle(join(root, 'bundle'))
    const started = new SeveralAggregators(root, script, options, { dns, proxies, ports, open: open.move() })
    try {
      started.engine.start()
      for (const member of started.members.slice(0, running)) member.process.start()
      started.list(started.members.slice(0, running))
      started.collector.start()
      for (const member of started.members.slice(0, running)) await member.ready()
      return started
    } catch (error) {
      await started[Symbol.asyncDispose]()
      throw error
    }
  }

  /** These are the addresses that the aggregators' name has from now on. */
  list(members: readonly Member[]): void {
    this.dns.hosts({ [name]: members.map((member) => proxyAddress(this.members.indexOf(member))) })
  }

  get url(): string {
    return this.asked.url
  }

  get aggregator(): ManagedProcess {
    return this.asked.process
  }

  async ready(deadlineMs?: number): Promise<void> {
    await this.asked.ready(deadlineMs)
  }

  /** A metric of the collector. */
  async metric(of: string): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${this.#collectorPort}/metrics`, soon()).catch(() => undefined)
    return answer?.ok ? (metric(await answer.text(), of) ?? 0) : 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const processes = [this.collector, ...this.members.map(({ process }) => process)]
    await Promise.all(processes.map((one) => one.kill()))
    await this.engine.stop()
    await this.#open.disposeAsync()
    if (process.env['KEEP_TEST_DATA']) console.log(`kept: ${this.root}`)
    else rmSync(this.root, { recursive: true, force: true, maxRetries: 5 })
  }
}

const proxyAddress = (number: number) => `127.0.0.${10 + number}`
const soon = () => ({ signal: AbortSignal.timeout(5000) })
