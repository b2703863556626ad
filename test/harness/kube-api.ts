/**
 * An API server of Kubernetes, as far as a node's agent asks it: LIST and WATCH of pods and namespaces with resource versions, bookmarks
 * and 410 Gone, over HTTP on the loopback. It can be slow, down, forgetful, silent, and talk nonsense; and it counts what it is asked.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { KubeObject } from './kube-objects.ts'

type Resource = 'pods' | 'namespaces'

interface Change {
  readonly version: number
  readonly resource: Resource
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: KubeObject
}

interface Watcher {
  readonly response: ServerResponse
  readonly resource: Resource
  readonly node: string | undefined
}

/** What was asked so far. */
export interface Asked {
  lists: number
  /** Lists that do not come from the cache: what brings control planes down. */
  uncachedLists: number
  watches: number
  /** Of the watches, those without bookmarks, or without an end. */
  carelessWatches: number
  refused: number
  /** With the version each watch went on from. */
  readonly from: string[]
}

export class KubeApi implements AsyncDisposable {
  readonly asked: Asked = { lists: 0, uncachedLists: 0, watches: 0, carelessWatches: 0, refused: 0, from: [] }
  /** The only valid one; undefined: none is asked for. */
  token: string | undefined
  /** How long every answer takes to begin, ms. */
  delay = 0
  /** Objects of one page of a list. */
  pageSize = Number.POSITIVE_INFINITY
  /** Every request is answered with this; undefined for the truth. */
  status: number | undefined
  /** How a forgotten version is said: as the status of the answer, or as an event. */
  goneAs: 'status' | 'event' = 'event'
  /** Watches are accepted and say nothing. */
  silent = false
  #server: Server | undefined
  #port = 0
  #version = 100
  /** Versions before it are forgotten. */
  #oldest = 0
  readonly #objects: Record<Resource, Map<string, KubeObject>> = { pods: new Map(), namespaces: new Map() }
  #changes: Change[] = []
  readonly #watchers = new Set<Watcher>()

  static async start(): Promise<KubeApi> {
    const api = new KubeApi()
    await api.up()
    return api
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get openWatches(): number {
    return this.#watchers.size
  }

  /** A kubeconfig file's text. `tokenFile` is taken from the file's directory. */
  kubeconfig(user: Readonly<Record<string, unknown>> = {}): string {
    return JSON.stringify({
      'current-context': 'test',
      contexts: [{ name: 'test', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster: { server: this.url } }],
      users: [{ name: 'u', user }],
    })
  }

  /** On the same port as before. */
  async up(): Promise<void> {
    const server = createServer((request, response) => void this.#answer(request, response))
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve))
    this.#server = server
    this.#port = (server.address() as AddressInfo).port
  }

  async down(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    this.#watchers.clear()
    server?.closeAllConnections()
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.down()
  }

  /** Adds it, or changes what has its uid. */
  put(object: KubeObject, resource: Resource = 'pods'): void {
    const known = this.#objects[resource].has(object.metadata.uid)
    this.#change(resource, known ? 'MODIFIED' : 'ADDED', object)
  }

  putNamespace(name: string, labels: Readonly<Record<string, string>>): void {
    this.put({ kind: 'Namespace', metadata: { name, uid: `ns-${name}`, labels } }, 'namespaces')
  }

  delete(uid: string, resource: Resource = 'pods'): void {
    const object = this.#objects[resource].get(uid)
    if (object !== undefined) this.#change(resource, 'DELETED', object)
  }

  /** Forgets every version so far: who comes back with one is told 410. */
  forget(): void {
    this.#oldest = ++this.#version
    this.#changes = []
  }

  /** Tells all watches how far they are. */
  bookmark(): void {
    const metadata = { resourceVersion: `${++this.#version}` }
    for (const { response } of this.#watchers) write(response, { type: 'BOOKMARK', object: { kind: 'Pod', metadata } })
  }

  /** Writes to all watches what no API server would. */
  babble(text: string): void {
    for (const { response } of this.#watchers) response.write(text)
  }

  /** Breaks the connections of all watches. */
  drop(): void {
    for (const { response } of this.#watchers) response.destroy()
    this.#watchers.clear()
  }

  /** Ends all watches as a server does when their time is over. */
  end(): void {
    for (const { response } of this.#watchers) response.end()
    this.#watchers.clear()
  }

  #change(resource: Resource, type: Change['type'], shape: KubeObject): void {
    const version = ++this.#version
    const object = { ...shape, metadata: { ...shape.metadata, resourceVersion: `${version}` } }
    if (type === 'DELETED') this.#objects[resource].delete(object.metadata.uid)
    else this.#objects[resource].set(object.metadata.uid, object)
    const change = { version, resource, type, object }
    this.#changes.push(change)
    if (this.silent) return
    for (const watcher of this.#watchers) if (concerns(watcher, change)) write(watcher.response, { type, object })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.url)
    if (this.delay > 0) await new Promise((resolve) => setTimeout(resolve, this.delay))
    if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`) {
      this.asked.refused++
      return fail(response, 401, 'Unauthorized')
    }
    if (this.status !== undefined) return fail(response, this.status, `told to say ${this.status}`)
    const resource = /^\/api\/v1\/(pods|namespaces)$/.exec(url.pathname)?.[1] as Resource | undefined
    if (resource === undefined) return fail(response, 404, `no ${url.pathname} here`)
    const node = /^spec\.nodeName=(.+)$/.exec(url.searchParams.get('fieldSelector') ?? '')?.[1]
    if (url.searchParams.get('watch') === 'true') this.#watch(response, resource, node, url.searchParams)
    else this.#list(response, resource, node, url.searchParams)
  }

  #list(response: ServerResponse, resource: Resource, node: string | undefined, query: URLSearchParams): void {
    this.asked.lists++
    if (query.get('resourceVersion') !== '0') this.asked.uncachedLists++
    const all = [...this.#objects[resource].values()].filter((object) => isOn(object, node))
    const from = Number(query.get('continue') ?? 0)
    const items = all.slice(from, from + this.pageSize)
    const more = from + items.length < all.length ? { continue: `${from + items.length}` } : {}
    response.setHeader('content-type', 'application/json')
    response.end(
      JSON.stringify({
        kind: 'List',
        apiVersion: 'v1',
        metadata: { resourceVersion: `${this.#version}`, ...more },
        items,
      }),
    )
  }

  #watch(response: ServerResponse, resource: Resource, node: string | undefined, query: URLSearchParams): void {
    const from = query.get('resourceVersion') ?? ''
    this.asked.watches++
    this.asked.from.push(from)
    if (query.get('allowWatchBookmarks') !== 'true' || !query.has('timeoutSeconds')) this.asked.carelessWatches++
    if (Number(from) < this.#oldest && this.goneAs === 'status') {
      fail(response, 410, 'too old resource version')
      return
    }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    if (Number(from) < this.#oldest) {
      write(response, {
        type: 'ERROR',
        object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' },
      })
      response.end()
      return
    }
    const watcher = { response, resource, node }
    this.#watchers.add(watcher)
    response.on('close', () => this.#watchers.delete(watcher))
    if (this.silent) return
    for (const change of this.#changes) {
      if (change.version > Number(from) && concerns(watcher, change))
        write(response, { type: change.type, object: change.object })
    }
  }
}

function isOn(object: KubeObject, node: string | undefined): boolean {
  return node === undefined || (object['spec'] as { nodeName?: string } | undefined)?.nodeName === node
}

function concerns({ resource, node }: Watcher, change: Change): boolean {
  return change.resource === resource && isOn(change.object, node)
}

function write(response: ServerResponse, event: unknown): void {
  response.write(`${JSON.stringify(event)}\n`)
}

function fail(response: ServerResponse, code: number, message: string): void {
  response.writeHead(code, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ kind: 'Status', code, message }))
}
