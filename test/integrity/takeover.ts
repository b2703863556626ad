/** Two aggregators on one store. One after another is killed at chosen moments of a block's way, and the other one goes on. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog } from '@tributary/aggregator/log.ts'
import { openEmbedded } from '@tributary/aggregator/store/embedded.ts'
import { writeBundle } from '../harness/bundled.ts'
import { freePorts, ManagedProcess, Pipeline, until } from '../harness/processes.ts'
import { type StoreFault, StoreProxy, type StoreRequest } from '../harness/store-proxy.ts'

/** Where on a block's way its aggregator is killed, and what the other one has to find out about its rows; undefined: there may be none. */
export const moments = {
  'before the claim': undefined,
  'before the claim is answered': undefined,
  'before the rows': 'void',
  'while rows are inserted': 'void',
  'after rows were inserted': 'stored',
  'before the block is settled': 'stored',
} as const
export type Moment = keyof typeof moments

type Name = 'a' | 'b'

interface Victim {
  readonly name: Name
  readonly moment: Moment
  /** Takes the number of the block's claim, where it has one. */
  readonly killed: (claim: number | undefined) => void
}

export class Pair implements AsyncDisposable {
  readonly pipeline: Pipeline
  readonly #processes: Readonly<Record<Name, ManagedProcess>>
  readonly #volumes: Readonly<Record<Name, string>>
  readonly #resources: AsyncDisposableStack
  readonly #hooks: Hooks
  readonly urls: Readonly<Record<Name, string>>

  private constructor(
    pipeline: Pipeline,
    b: ManagedProcess,
    volumes: Record<Name, string>,
    urls: Record<Name, string>,
    hooks: Hooks,
    resources: AsyncDisposableStack,
  ) {
    this.pipeline = pipeline
    this.#processes = { a: pipeline.aggregator, b }
    this.#volumes = volumes
    this.urls = urls
    this.#hooks = hooks
    this.#resources = resources
  }

  /** Both run, and a collector sends to both. */
  static async start(aggregator: Record<string, unknown>): Promise<Pair> {
    await using resources = new AsyncDisposableStack()
    const directory = mkdtempSync(join(tmpdir(), 'tributary-shared-'))
    resources.defer(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))
    // They start more than a dozen times.
    mkdirSync(join(directory, 'bundle'))
    const script = await writeBundle(join(directory, 'bundle'))
    const store = resources.use(
      await openEmbedded({ directory: join(directory, 'store'), memoryBytes: 5e8, log: createLog('fatal') }),
    )
    const { urls, username, password, database } = store.connection
    const hooks = new Hooks()
    const proxies = { a: await hooks.proxy('a', urls[0]!), b: await hooks.proxy('b', urls[0]!) }
    for (const proxy of Object.values(proxies)) resources.use(proxy)
    const [portA, portB, httpB] = (await freePorts(3)) as [number, number, number]
    const configOf = (name: Name) => ({
      replicas: 2,
      takeover: { after: '3s' },
      shutdown: { drain: '60s' },
      load: { blockDelay: '200ms' },
      ...aggregator,
      store: { engine: 'clickhouse', clickhouse: { url: proxies[name].url, username, password, database } },
    })
    const listen = '127.0.0.1'
    const pipeline = await Pipeline.create({
      aggregatorScript: script('aggregator'),
      collectorScript: script('collector'),
      aggregator: { ...configOf('a'), forward: { listen, port: portA } },
      collector: {
        logs: { scanInterval: '200ms' },
        aggregator: { address: [`${listen}:${portA}`, `${listen}:${portB}`], takeoverAfter: '2s' },
      },
    })
    resources.use(pipeline)
    const volumes = { a: pipeline.dataDir, b: join(pipeline.root, 'b') }
    const file = join(pipeline.root, 'b.yaml')
    const http = { listen, port: httpB }
    writeFileSync(
      file,
      JSON.stringify({ ...configOf('b'), dataDir: volumes.b, http, forward: { listen, port: portB } }),
    )
    const b = new ManagedProcess({
      name: 'aggregator',
      args: [script('aggregator'), '--config', file],
      logFile: join(pipeline.root, 'b.out'),
    })
    resources.defer(async () => void (await b.kill()))
    const pair = new Pair(
      pipeline,
      b,
      volumes,
      { a: pipeline.url, b: `http://${listen}:${httpB}` },
      hooks,
      resources.move(),
    )
    try {
      pair.start('a')
      pair.start('b')
      await pair.ready()
      pipeline.collector.start()
    } catch (error) {
      await pair[Symbol.asyncDispose]()
      throw error
    }
    return pair
  }

  start(name: Name): void {
    this.#processes[name].start()
  }

  /** Waits until both answer queries. */
  async ready(): Promise<void> {
    for (const name of ['a', 'b'] as const) {
      const isReady = async () => (await fetch(`${this.urls[name]}/ready`).catch(() => undefined))?.ok === true
      await until(isReady, 90_000, () => `${name} is not ready:\n${this.#processes[name].output}`)
    }
  }

  /** Tells an aggregator to stop and waits for it; its exit code. */
  stop(name: Name): Promise<number | undefined> {
    return this.#processes[name].stop('SIGTERM', 90_000)
  }

  /** The last of what it printed. */
  output(name: Name): string {
    return this.#processes[name].output
  }

  /** Kills an aggregator the next time it is there; when it is dead, the number of the claim that it leaves open. */
  async killAt(name: Name, moment: Moment): Promise<number | undefined> {
    let dead: Promise<number | undefined> | undefined
    const killed = (claim: number | undefined) => {
      dead = this.#processes[name].kill().then(() => claim)
    }
    this.#hooks.victim = { name, moment, killed }
    await until(
      () => dead !== undefined,
      90_000,
      () => `${name} never came to: ${moment}\n${this.output(name)}`,
    )
    return await dead
  }

  /** Waits until an aggregator has found out what became of the other one's claim. */
  async resolution(by: Name, claim: number): Promise<'stored' | 'void'> {
    const line = new RegExp(`"claim":${claim},"writer":"\\w+","days":\\d+,"stored":(\\d+),`)
    const found = () => line.exec(this.output(by))?.[1]
    await until(
      () => found() !== undefined,
      90_000,
      () => `${by} did not resolve ${claim}:\n${this.output(by)}`,
    )
    return found() === '0' ? 'void' : 'stored'
  }

  /** Takes away what a dead aggregator had on its disk. */
  loseVolume(name: Name): void {
    rmSync(this.#volumes[name], { recursive: true, force: true, maxRetries: 5 })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync()
  }
}

/** What passes between the aggregators and the store. */
class Hooks {
  victim: Victim | undefined
  /** Of the rows that were inserted last since the victim was chosen. */
  #inserted: number | undefined

  proxy(name: Name, target: string): Promise<StoreProxy> {
    return StoreProxy.listen(
      () => target,
      (request) => this.#fault(name, request),
    )
  }

  #fault(name: Name, { query, token = '', body }: StoreRequest): StoreFault {
    if (this.victim?.name !== name) return { kind: 'none' }
    const { moment, killed } = this.victim
    const claim = /\/(\d+):\d+$/.exec(token)?.[1]
    const isEntry = query.includes('INTO ledger_log ')
    const passing: Passing = {
      claims: isEntry && body.includes('"claim":{'),
      settles: isEntry && this.#inserted !== undefined && body.includes(`"settled":[${this.#inserted}]`),
      streams: query.includes('INTO streams '),
      rows: query.includes('INTO logs ') && claim !== undefined,
    }
    const left = claim === undefined ? this.#inserted : Number(claim)
    if (passing.rows) this.#inserted = left
    const fate = fateAt(moment, passing)
    if (fate === undefined) return { kind: 'none' }
    this.victim = undefined
    this.#inserted = undefined
    const kill = () => killed(moments[moment] === undefined ? undefined : left)
    // What is stored is stored before it dies; what is cut, it does not live to send again.
    if (fate === 'stored') return { kind: 'stored, then cut', stored: kill }
    kill()
    return { kind: 'cut' }
  }
}

interface Passing {
  readonly claims: boolean
  readonly settles: boolean
  readonly streams: boolean
  readonly rows: boolean
}

function fateAt(moment: Moment, { claims, settles, streams, rows }: Passing): 'cut' | 'stored' | undefined {
  if (moment === 'before the claim') return claims ? 'cut' : undefined
  if (moment === 'before the claim is answered') return claims ? 'stored' : undefined
  if (moment === 'before the rows') return streams ? 'cut' : undefined
  if (moment === 'while rows are inserted') return rows ? 'cut' : undefined
  if (moment === 'after rows were inserted') return rows ? 'stored' : undefined
  return settles ? 'cut' : undefined
}
