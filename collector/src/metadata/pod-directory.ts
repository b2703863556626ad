/** The pods of this node: asked of the Kubernetes API, kept in memory and on disk. */
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { type Disk, replaceFile } from '@tributary/protocol/disk.ts'
import type { Logger } from 'pino'
import type { CollectorMetrics } from '../metrics.ts'
import { fluentBitPrefix, ownPrefix } from './annotations.ts'
import { type ApiAccess, apiAccess } from './api-access.ts'
import type { KubernetesConfig } from './config.ts'
import { compileGlobs, type NameMatcher } from './glob.ts'
import { KnownPods } from './known-pods.ts'
import type { PodDirectory, PodFacts } from './pod-facts.ts'
import { encodePods, loadPods } from './pod-file.ts'
import { readNamespace, readPod } from './pod-object.ts'
import { ResourceWatch, usualTiming, type WatchSink, type WatchTarget, type WatchTiming } from './resource-watch.ts'

export interface PodDirectoryConfig {
  /** The node's name in Kubernetes. */
  readonly node: string
  readonly stateDir: string
  readonly kubernetes: KubernetesConfig
}

export interface PodDirectoryOptions {
  readonly disk: Disk
  readonly log: Logger
  readonly metrics: CollectorMetrics
  readonly timing?: Partial<WatchTiming & { readonly saveAfter: number }>
  /** Where the API is; for tests. */
  readonly access?: () => Promise<ApiAccess>
}

/** How long changes are gathered before they are saved, ms. */
const usualSaveAfter = 1000

const json = { list: 'application/json', watch: 'application/json' }
/** Names and labels only, if the server can: all that is wanted of a namespace. */
const metadataOnly = {
  list: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json',
  watch: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json',
}

/** Knows at once what it knew when it was closed or killed; what is new it learns once it watches. Never rejects. */
export async function openPodDirectory(config: PodDirectoryConfig, options: PodDirectoryOptions): Promise<WatchedPods> {
  const path = join(config.stateDir, 'pods')
  const { pods, damaged } = await loadPods(options.disk, path)
  if (damaged !== undefined) {
    options.metrics.podFileErrors.inc(1, 'damaged')
    options.log.warn({ path, reason: damaged.message }, 'the file of known pods is damaged and set aside')
  }
  return new WatchedPods(config, options, path, pods)
}

export class WatchedPods implements PodDirectory {
  onChange: (uid: string) => void = () => {}
  /** Whether something of a pod's logs is still unread. Asked about deleted pods when their time is over. */
  isNeeded: (uid: string) => boolean = () => false
  readonly #options: PodDirectoryOptions
  readonly #path: string
  readonly #pods: KnownPods
  readonly #watches: ResourceWatch[]
  #annotations: readonly string[]
  #keepAnnotation: NameMatcher
  #saved = 0
  #saving: Promise<void> | undefined
  #saveTimer: NodeJS.Timeout | undefined
  readonly #expiring: NodeJS.Timeout

  constructor(
    { node, kubernetes }: PodDirectoryConfig,
    options: PodDirectoryOptions,
    path: string,
    saved: ConstructorParameters<typeof KnownPods>[1],
  ) {
    this.#options = options
    this.#path = path
    this.#annotations = kubernetes.annotations
    this.#keepAnnotation = keepAnnotations(kubernetes)
    this.#pods = new KnownPods(
      {
        keepDeleted: kubernetes.keepDeleted,
        isNeeded: (uid) => this.isNeeded(uid),
        onChange: (uid) => this.onChange(uid),
      },
      saved,
    )
    this.#saved = this.#pods.changes
    const watch = (target: WatchTarget, sink: WatchSink) =>
      new ResourceWatch({
        ...options,
        target,
        sink,
        timing: { ...usualTiming, ...options.timing },
        access: options.access ?? (() => apiAccess(kubernetes.kubeconfig)),
      })
    this.#watches = [watch(podsOf(node), this.#podSink())]
    if (kubernetes.namespaceLabels.length > 0)
      this.#watches.push(watch(allNamespaces, this.#namespaceSink(compileGlobs(kubernetes.namespaceLabels))))
    this.#expiring = setInterval(() => this.#expire(), Math.min(60_000, kubernetes.keepDeleted || 60_000)).unref()
    this.#count()
  }

  /** Asks the API from now on. Not part of opening it: what that takes of a small quota of CPU, reading does not wait for. */
  watch(): void {
    for (const watch of this.#watches) watch.start()
  }

  find(uid: string): PodFacts | undefined {
    return this.#pods.find(uid)
  }

  findByAddress(address: string): PodFacts | undefined {
    return this.#pods.findByAddress(address)
  }

  /** Why the Kubernetes API tells nothing at the moment; undefined while all is well. */
  get trouble(): string | undefined {
    return this.#watches.find(({ trouble }) => trouble !== undefined)?.trouble
  }

  /** Takes `annotations` of a changed configuration: the pods are listed anew where other ones are to be kept. */
  reconfigure(kubernetes: KubernetesConfig): void {
    if (isDeepStrictEqual(kubernetes.annotations, this.#annotations)) return
    this.#annotations = kubernetes.annotations
    this.#keepAnnotation = keepAnnotations(kubernetes)
    this.#watches[0]!.relist()
  }

  async close(): Promise<void> {
    clearInterval(this.#expiring)
    await Promise.all(this.#watches.map((watch) => watch.close()))
    clearTimeout(this.#saveTimer)
    await this.#saving
    await this.#save()
  }

  #podSink(): WatchSink {
    const read = (object: unknown) => readPod(object, this.#keepAnnotation)
    return {
      listing: () => this.#pods.listing(),
      seen: (object) => {
        const pod = read(object)
        if (pod) this.#pods.seen(pod)
        this.#changed()
      },
      gone: (object) => {
        const pod = read(object)
        if (pod) this.#pods.gone(pod, Date.now())
        this.#changed()
      },
      listed: () => {
        this.#pods.listed(Date.now())
        this.#changed()
      },
    }
  }

  #namespaceSink(keepLabel: NameMatcher): WatchSink {
    return {
      listing: () => {},
      seen: (object) => {
        const namespace = readNamespace(object, keepLabel)
        if (namespace) this.#pods.namespaceSeen(namespace.name, namespace.labels)
        this.#changed()
      },
      gone: (object) => {
        const namespace = readNamespace(object, keepLabel)
        if (namespace) this.#pods.namespaceGone(namespace.name)
      },
      listed: () => {},
    }
  }

  #expire(): void {
    this.#pods.expire(Date.now())
    this.#changed()
  }

  #changed(): void {
    if (this.#pods.changes === this.#saved || this.#saveTimer !== undefined) return
    this.#saveTimer = setTimeout(() => {
      this.#saveTimer = undefined
      this.#count()
      this.#saving = (this.#saving ?? Promise.resolve()).then(() => this.#save())
    }, this.#options.timing?.saveAfter ?? usualSaveAfter)
  }

  #count(): void {
    const { pods } = this.#options.metrics
    pods.set({ state: 'present' }, this.#pods.present)
    pods.set({ state: 'deleted' }, this.#pods.deleted)
  }

  /** What could not be saved is saved with the next change. */
  async #save(): Promise<void> {
    const { disk, metrics, log } = this.#options
    const { changes } = this.#pods
    if (changes === this.#saved) return
    try {
      await replaceFile(disk, this.#path, encodePods(this.#pods.all()))
      this.#saved = changes
    } catch (error) {
      metrics.podFileErrors.inc(1, 'write')
      log.warn({ path: this.#path, reason: (error as Error).message }, 'the known pods could not be saved')
    }
  }
}

function keepAnnotations({ annotations }: KubernetesConfig): NameMatcher {
  const allowed = compileGlobs(annotations)
  return (name) => name.startsWith(ownPrefix) || name.startsWith(fluentBitPrefix) || allowed(name)
}

function podsOf(node: string): WatchTarget {
  return { kind: 'pods', path: '/api/v1/pods', fieldSelector: `spec.nodeName=${node}`, accept: json }
}

const allNamespaces: WatchTarget = {
  kind: 'namespaces',
  path: '/api/v1/namespaces',
  fieldSelector: undefined,
  accept: metadataOnly,
}
