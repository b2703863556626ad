/** Fills the volumes of a pod with what the API server has, as a kubelet does, in directories of a node's own. */
import { chmodSync, chownSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ApiClient } from './api.ts'
import type { ClusterPod } from './nodes.ts'

interface Item {
  readonly key: string
  readonly path: string
}

interface Projection {
  readonly serviceAccountToken?: { readonly path: string; readonly expirationSeconds: number }
  readonly configMap?: { readonly name: string; readonly items?: readonly Item[] }
  readonly downwardAPI?: {
    readonly items: readonly { readonly path: string; readonly fieldRef: { readonly fieldPath: string } }[]
  }
}

export interface PodVolume {
  readonly name: string
  readonly configMap?: { readonly name: string; readonly defaultMode: number }
  readonly secret?: { readonly secretName: string; readonly defaultMode: number }
  readonly projected?: { readonly sources: readonly Projection[]; readonly defaultMode: number }
  readonly persistentVolumeClaim?: { readonly claimName: string }
  readonly hostPath?: { readonly path: string }
  readonly emptyDir?: object
}

type Files = Record<string, string | Buffer>

export class Volumes {
  readonly #api: ApiClient
  /** What is / on the node. */
  readonly #root: string

  constructor(api: ApiClient, root: string) {
    this.#api = api
    this.#root = root
  }

  /** A directory of the node. */
  host(path: string): string {
    const own = join(this.#root, 'host', path)
    mkdirSync(own, { recursive: true, mode: 0o755 })
    return own
  }

  /** Where on this machine each volume's files are, by its name. */
  async fill(pod: ClusterPod): Promise<ReadonlyMap<string, string>> {
    const { volumes = [], securityContext } = pod.spec as unknown as {
      volumes?: readonly PodVolume[]
      securityContext?: { fsGroup?: number }
    }
    const group = securityContext?.fsGroup ?? 0
    const filled = volumes.map(async (volume) => [volume.name, await this.#one(volume, pod, group)] as const)
    return new Map(await Promise.all(filled))
  }

  async #one(volume: PodVolume, pod: ClusterPod, group: number): Promise<string> {
    const { name, configMap, secret, projected, persistentVolumeClaim, hostPath, emptyDir } = volume
    if (hostPath) return this.host(hostPath.path)
    if (persistentVolumeClaim) return this.#empty(join('claims', persistentVolumeClaim.claimName), group)
    const own = join('pods', pod.metadata.uid, 'volumes', name)
    if (emptyDir) return this.#empty(own, group)
    const { namespace } = pod.metadata
    if (configMap)
      return this.#write(own, await this.#configMap(namespace, configMap.name), group, configMap.defaultMode)
    if (secret) return this.#write(own, await this.#secret(namespace, secret.secretName), group, secret.defaultMode)
    if (!projected) throw new Error(`volume ${name}: not understood`)
    const parts = await Promise.all(projected.sources.map((source) => this.#projection(source, pod)))
    return this.#write(own, Object.assign({}, ...parts), group, projected.defaultMode)
  }

  #empty(path: string, group: number): string {
    const own = join(this.#root, path)
    mkdirSync(own, { recursive: true })
    if (readdirSync(own).length > 0) return own
    chownSync(own, 0, group)
    chmodSync(own, 0o2777)
    return own
  }

  #write(path: string, files: Files, group: number, mode: number): string {
    const own = join(this.#root, path)
    mkdirSync(own, { recursive: true })
    for (const [name, content] of Object.entries(files)) {
      const file = join(own, name)
      writeFileSync(file, content)
      chmodSync(file, group === 0 ? mode : mode | 0o040)
      chownSync(file, 0, group)
    }
    return own
  }

  async #configMap(namespace: string, name: string): Promise<Files> {
    return (await this.#api.get(`/api/v1/namespaces/${namespace}/configmaps/${name}`)).data
  }

  async #secret(namespace: string, name: string): Promise<Files> {
    const { data } = await this.#api.get(`/api/v1/namespaces/${namespace}/secrets/${name}`)
    return Object.fromEntries(
      Object.entries(data as Record<string, string>).map(([key, value]) => [key, Buffer.from(value, 'base64')]),
    )
  }

  async #projection({ serviceAccountToken, configMap, downwardAPI }: Projection, pod: ClusterPod): Promise<Files> {
    const { namespace, name, uid } = pod.metadata
    if (serviceAccountToken) {
      const { serviceAccountName } = pod.spec as unknown as { serviceAccountName: string }
      const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccountName}/token`
      const boundObjectRef = { apiVersion: 'v1', kind: 'Pod', name, uid }
      const spec = { expirationSeconds: serviceAccountToken.expirationSeconds, boundObjectRef }
      const { status } = await this.#api.call('POST', path, { apiVersion: 'authentication.k8s.io/v1', spec })
      return { [serviceAccountToken.path]: status.token }
    }
    if (configMap) {
      const all = await this.#configMap(namespace, configMap.name)
      return Object.fromEntries((configMap.items ?? []).map(({ key, path }) => [path, all[key]!]))
    }
    return Object.fromEntries((downwardAPI?.items ?? []).map(({ path }) => [path, namespace]))
  }
}
