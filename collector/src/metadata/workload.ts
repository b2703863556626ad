/** What keeps a pod running, told from the pod alone: owners of owners are not asked for. Pure. */

/** The parts of a pod's `metadata` that tell. */
export interface OwnedPod {
  readonly labels: Readonly<Record<string, string>>
  readonly owners: readonly Owner[]
}

export interface Owner {
  readonly kind: string
  readonly name: string
  /** The owner that manages the pod; others only keep it from being deleted. */
  readonly controller: boolean
}

export interface Workload {
  readonly kind: string
  readonly name: string
}

/**
 * Undefined for a bare pod, and for a static pod, whose owner is the node. A ReplicaSet's name is its Deployment's and the pod
 * template's hash; a Job's is its CronJob's and the scheduled time in minutes since 1970.
 */
export function workloadOf({ labels, owners }: OwnedPod): Workload | undefined {
  const owner = owners.find(({ controller }) => controller) ?? owners[0]
  if (owner === undefined || owner.kind === 'Node') return undefined
  const { kind, name } = owner
  if (kind === 'ReplicaSet') {
    const hash = labels['pod-template-hash']
    if (hash && name.endsWith(`-${hash}`) && name.length > hash.length + 1)
      return { kind: 'Deployment', name: name.slice(0, -hash.length - 1) }
  }
  if (kind === 'Job') {
    const cron = /^(.+)-\d{8,}$/.exec(name)
    if (cron) return { kind: 'CronJob', name: cron[1]! }
  }
  return { kind, name }
}
