/** A cluster as people have one: a control plane, nodes, volumes that can grow; helm and kubectl talk to it. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { chart, type Ran, run } from '../chart/render.ts'
import type { ApiClient } from './api.ts'
import { ControlPlane } from './control-plane.ts'
import { type ClusterPod, Nodes, type PodRuntime } from './nodes.ts'
import type { ClusterTools } from './tools.ts'

const storageClass = {
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: { name: 'standard', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
  provisioner: 'kubernetes.io/no-provisioner',
  allowVolumeExpansion: true,
}

export class Cluster implements AsyncDisposable {
  readonly plane: ControlPlane
  readonly nodes: Nodes
  readonly api: ApiClient
  readonly #tools: ClusterTools
  /** Path of a file, for whoever may do everything. */
  readonly kubeconfig: string

  private constructor(plane: ControlPlane, nodes: Nodes, tools: ClusterTools) {
    this.plane = plane
    this.nodes = nodes
    this.api = plane.admin
    this.#tools = tools
    this.kubeconfig = plane.kubeconfig(plane.adminToken)
  }

  /** With nodes on which nothing runs. @param volumes how many claims can be had */
  static async start(tools: ClusterTools, names: readonly string[], volumes: number): Promise<Cluster> {
    await using cleanup = new AsyncDisposableStack()
    const plane = cleanup.use(await ControlPlane.start(tools))
    const cluster = await Cluster.of(plane, tools, names, volumes)
    cleanup.move()
    return cluster
  }

  /** @param runtime of its nodes */
  static async of(
    plane: ControlPlane,
    tools: ClusterTools,
    names: readonly string[],
    volumes: number,
    runtime?: PodRuntime,
  ): Promise<Cluster> {
    const { admin } = plane
    await admin.call('POST', '/apis/storage.k8s.io/v1/storageclasses', storageClass)
    for (let i = 0; i < volumes; i++) await admin.call('POST', '/api/v1/persistentvolumes', volume(i))
    return new Cluster(plane, await Nodes.start(admin, names, runtime), tools)
  }

  helm(...args: readonly string[]): Promise<Ran> {
    return run(this.#tools.helm, [...args, '--kubeconfig', this.kubeconfig])
  }

  kubectl(...args: readonly string[]): Promise<Ran> {
    return this.kubectlWith('', ...args)
  }

  /** With something on its standard input. */
  kubectlWith(input: string, ...args: readonly string[]): Promise<Ran> {
    return run(this.#tools.kubectl, ['--kubeconfig', this.kubeconfig, ...args], input)
  }

  /** `helm install` or `upgrade` of the chart, with values; throws with what it complained about. */
  async release(command: 'install' | 'upgrade', namespace: string, values: object, ...more: string[]): Promise<Ran> {
    const args = [command, 'logs', chart, '--namespace', namespace, '--kubeconfig', this.kubeconfig, '--values', '-']
    const ran = await run(this.#tools.helm, [...args, ...more], JSON.stringify(values))
    if (!ran.ok) throw new Error(ran.stderr)
    return ran
  }

  /** The kinds of others that the chart may render, as their own makers define them. */
  async customResources(): Promise<void> {
    const files = readdirSync(this.#tools.definitions).map((name) => join(this.#tools.definitions, name))
    const args = files.flatMap((file) => ['-f', file])
    const applied = await this.kubectl('apply', '--server-side', ...args)
    if (!applied.ok) throw new Error(applied.stderr)
    const waited = await this.kubectl('wait', '--for', 'condition=Established', '--timeout', '60s', ...args)
    if (!waited.ok) throw new Error(waited.stderr)
  }

  /** All objects of a namespace, as `kind/name`, but for events. */
  async everything(namespace: string): Promise<string[]> {
    const kinds = await this.kubectl('api-resources', '--verbs=list', '--namespaced', '-o', 'name')
    const asked = kinds.stdout.split('\n').filter((name) => name !== '' && !/^events|^endpoints$/.test(name))
    const { ok, stdout, stderr } = await this.kubectl('get', asked.join(','), '-n', namespace, '-o', 'name')
    if (!ok) throw new Error(stderr)
    return stdout.split('\n').filter((name) => name !== '')
  }

  /** @param labels of the namespace */
  async namespace(name: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.api.call('POST', '/api/v1/namespaces', { metadata: { name, labels } })
  }

  async pods(namespace: string, component: string): Promise<ClusterPod[]> {
    const selector = encodeURIComponent(`app.kubernetes.io/component=${component}`)
    return (await this.api.get(`/api/v1/namespaces/${namespace}/pods?labelSelector=${selector}`)).items
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.nodes[Symbol.asyncDispose]()
    await this.plane[Symbol.asyncDispose]()
  }
}

/** A volume that is there already, as nobody makes them when they are claimed. */
function volume(number: number): object {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: `volume-${number}` },
    spec: {
      capacity: { storage: '50Gi' },
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'standard',
      persistentVolumeReclaimPolicy: 'Delete',
      hostPath: { path: `/volumes/${number}` },
    },
  }
}
