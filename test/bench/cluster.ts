/** A Kubernetes API that tells of a bench's pods, for collectors whose records carry what it says. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KubeApi } from '../harness/kube-api.ts'
import { makePod } from '../harness/kube-objects.ts'
import { node } from '../harness/processes.ts'

export interface BenchPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly container: string
}

export class BenchCluster implements AsyncDisposable {
  readonly #api: KubeApi
  readonly #directory: string

  private constructor(api: KubeApi, directory: string) {
    this.#api = api
    this.#directory = directory
  }

  static async start(pods: Iterable<BenchPod> = []): Promise<BenchCluster> {
    const directory = mkdtempSync(join(tmpdir(), 'tributary-cluster-'))
    const cluster = new BenchCluster(await KubeApi.start(), directory)
    writeFileSync(join(directory, 'kubeconfig'), cluster.#api.kubeconfig())
    for (const pod of pods) cluster.add(pod)
    return cluster
  }

  /** The section `kubernetes` of a collector's configuration. */
  get kubernetes(): Record<string, unknown> {
    return { enabled: true, kubeconfig: join(this.#directory, 'kubeconfig'), labels: ['*'] }
  }

  /** With the labels and the owner that a Helm chart's deployment gives to a pod. */
  add({ namespace, name, uid, container }: BenchPod): void {
    const labels = {
      'app.kubernetes.io/name': name,
      'app.kubernetes.io/instance': 'bench',
      'app.kubernetes.io/version': '1.0.0',
      'helm.sh/chart': 'bench-1.0.0',
      'pod-template-hash': '6d4cf56db6',
    }
    const owner = { kind: 'ReplicaSet', name: `${name}-6d4cf56db6` }
    this.#api.put(makePod({ name, namespace, uid, node, labels, owner, containers: [container] }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#api[Symbol.asyncDispose]()
    rmSync(this.#directory, { recursive: true, force: true })
  }
}
