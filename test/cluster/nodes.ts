/**
 * Nodes of a cluster: each says that it is there, and tells of the pods that were given to it, as a kubelet does. What runs them is a
 * {@link PodRuntime}; by default nothing does, and whether a pod is ready is the test's to say.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiClient } from './api.ts'

export interface ClusterPod {
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly uid: string
    readonly labels: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly deletionTimestamp?: string
  }
  readonly spec: { readonly nodeName?: string; readonly containers: readonly { name: string; image: string }[] }
  readonly status: {
    readonly phase: string
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
  }
}

export interface PodState {
  readonly ready: boolean
  readonly restarts: number
  /** Of one that has ended, and is not started again. */
  readonly exitCode?: number
}

export interface PodRuntime {
  /** Begins to run it; its address. */
  start(pod: ClusterPod): Promise<string>
  state(pod: ClusterPod): Promise<PodState>
  /** Ends it within its grace period. */
  stop(pod: ClusterPod): Promise<void>
}

/** Runs nothing. */
class NoRuntime implements PodRuntime {
  readonly #ready: (pod: ClusterPod) => boolean
  #addresses = 0

  constructor(ready: (pod: ClusterPod) => boolean) {
    this.#ready = ready
  }

  async start(): Promise<string> {
    return `10.244.0.${1 + (this.#addresses++ % 250)}`
  }

  async state(pod: ClusterPod): Promise<PodState> {
    return { ready: this.#ready(pod), restarts: 0 }
  }

  async stop(): Promise<void> {}
}

/** How often pods are looked at, ms. */
const step = 100
/** The controllers' patience is 50 s. */
const leaseEvery = 10_000

export class Nodes implements AsyncDisposable {
  /** Whether a pod's probes succeed, where nothing runs. */
  ready: (pod: ClusterPod) => boolean = () => true
  readonly #api: ApiClient
  readonly #names: readonly string[]
  readonly #runtime: PodRuntime
  readonly #stop = new AbortController()
  /** What was told last of each pod, by its uid. */
  readonly #told = new Map<string, string>()
  /** Pods that something is being done about. */
  readonly #busy = new Map<string, Promise<void>>()
  #loop: Promise<void> = Promise.resolve()

  private constructor(api: ApiClient, names: readonly string[], runtime?: PodRuntime) {
    this.#api = api
    this.#names = names
    this.#runtime = runtime ?? new NoRuntime((pod) => this.ready(pod))
  }

  static async start(api: ApiClient, names: readonly string[], runtime?: PodRuntime): Promise<Nodes> {
    const nodes = new Nodes(api, names, runtime)
    for (const name of names) await nodes.#register(name)
    nodes.#loop = nodes.#run()
    return nodes
  }

  async #register(name: string): Promise<void> {
    const labels = { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' }
    await this.#api.call('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name, labels } })
    await this.#api.call('PATCH', `/api/v1/nodes/${name}/status`, {
      status: {
        capacity: { cpu: '4', memory: '16Gi', pods: '110' },
        allocatable: { cpu: '4', memory: '16Gi', pods: '110' },
        conditions: [{ type: 'Ready', status: 'True', reason: 'Test', ...at('lastHeartbeatTime') }],
      },
    })
  }

  async #run(): Promise<void> {
    let leased = 0
    for (const { signal } = this.#stop; !signal.aborted; await sleep(step, undefined, { signal }).catch(() => {})) {
      if (performance.now() - leased > leaseEvery || leased === 0) {
        for (const name of this.#names) await this.#lease(name)
        leased = performance.now()
      }
      const { items } = await this.#api.get('/api/v1/pods')
      for (const pod of items as ClusterPod[]) this.#look(pod)
    }
    await Promise.all(this.#busy.values())
  }

  #look(pod: ClusterPod): void {
    const { uid } = pod.metadata
    if (!this.#names.includes(pod.spec.nodeName ?? '') || this.#busy.has(uid)) return
    const attended = this.#attend(pod).finally(() => this.#busy.delete(uid))
    this.#busy.set(uid, attended)
    attended.catch(() => {}) // the loop's end tells
  }

  async #lease(name: string): Promise<void> {
    const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'
    const renewTime = new Date().toISOString().replace('Z', '000Z')
    const spec = { holderIdentity: name, leaseDurationSeconds: 40, renewTime }
    const { status } = await this.#api.ask('PATCH', `${leases}/${name}`, { spec })
    if (status !== 404) return
    await this.#api.call('POST', leases, { metadata: { name }, spec })
  }

  async #attend(pod: ClusterPod): Promise<void> {
    const { namespace, name, uid, deletionTimestamp } = pod.metadata
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`
    if (deletionTimestamp !== undefined) {
      await this.#runtime.stop(pod)
      await this.#api.ask('DELETE', path, { gracePeriodSeconds: 0, preconditions: { uid } })
      return
    }
    const known = this.#told.get(uid)
    const address = known === undefined ? await this.#runtime.start(pod) : undefined
    const state = await this.#runtime.state(pod)
    const tells = JSON.stringify(state)
    if (tells === known) return
    // It may be gone meanwhile.
    const { status } = await this.#api.ask('PATCH', `${path}/status`, {
      metadata: { uid },
      status: statusOf(pod, state, address),
    })
    if (status < 400) this.#told.set(uid, tells)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#loop
  }
}

const at = (key: string) => ({ [key]: new Date().toISOString().replace(/\.\d+/, '') })

function statusOf(pod: ClusterPod, { ready, restarts, exitCode }: PodState, address: string | undefined): object {
  const conditions = ['PodReadyToStartContainers', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({
    type,
    status: ready || !type.endsWith('Ready') ? 'True' : 'False',
    ...at('lastTransitionTime'),
  }))
  const ended = exitCode !== undefined
  const now = ended ? { terminated: { exitCode, ...at('finishedAt') } } : { running: at('startedAt') }
  const containerStatuses = pod.spec.containers.map(({ name, image }) => ({
    ...{
      name,
      image,
      imageID: `${image}@sha256:ab`,
      containerID: `test://${pod.metadata.uid}`,
      restartCount: restarts,
    },
    ...{ ready, started: !ended, state: now },
  }))
  return {
    phase: ended ? (exitCode === 0 ? 'Succeeded' : 'Failed') : 'Running',
    conditions,
    containerStatuses,
    ...(address === undefined ? {} : { podIP: address, podIPs: [{ ip: address }], ...at('startTime') }),
  }
}

export function isReady({ status }: ClusterPod): boolean {
  return status.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') ?? false
}
