/** What the Kubernetes API tells about a pod of this node, and who knows it. */

export interface PodFacts {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** Labels of its namespace; empty unless they are asked for. */
  readonly namespaceLabels: Readonly<Record<string, string>>
  /** Addresses the pod has in the cluster. */
  readonly addresses: readonly string[]
  /** What keeps it running: Deployment, StatefulSet, DaemonSet, Job, CronJob, …; undefined for a bare pod. */
  readonly workload: { readonly kind: string; readonly name: string } | undefined
  /** By name of the container; init and ephemeral ones too. */
  readonly containers: Readonly<Record<string, ContainerFacts>>
}

export interface ContainerFacts {
  /** As the pod's specification names it. */
  readonly image: string
  /** Digest it was resolved to, when the runtime told. */
  readonly imageId: string | undefined
}

/** The pods of this node, as far as they are known: those that are there, and for a while those that were. */
export interface PodDirectory {
  /** By the uid in the log's path. A static pod is also found by the hash of its manifest, which its path carries instead. */
  find(uid: string): PodFacts | undefined
  findByAddress(address: string): PodFacts | undefined
  /** Called with the uid whenever what is known of a pod changed. */
  onChange: (uid: string) => void
  close(): Promise<void>
}
